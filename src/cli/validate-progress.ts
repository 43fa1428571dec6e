/** One line on a terminal's stderr that says how far a validation is. */

import type { ValidationStep } from '../experiment/validate.js'

export interface ValidationProgress {
  step(step: ValidationStep): void
  /** Clears the line. */
  done(): void
}

export function validationProgress(shown: boolean, output: NodeJS.WriteStream): ValidationProgress {
  if (!shown || !output.isTTY) return { step: () => {}, done: () => {} }
  return {
    step: ({ doing, pairs, verdict }) => {
      const text = `${doing} ...  ${pairs} pairs so far: ${verdict}`
      output.write(`\r\x1b[K${text.slice(0, (output.columns ?? 80) - 1)}`)
    },
    done: () => output.write('\r\x1b[K'),
  }
}
