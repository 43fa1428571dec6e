/** The captures of the repository and the numbers that belong to them. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface ExpectedClass {
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
  readonly packets: number
  readonly bytes: number
}

export interface ExpectedCapture {
  readonly format: string
  readonly packets: number
  readonly bytes: number
  readonly truncated_at?: number
  readonly classes: readonly ExpectedClass[]
  readonly migration?: {
    readonly protocol: string
    readonly pages_sent: number
    readonly pages_unique: number
    readonly rounds: readonly { readonly phase: string; readonly pages: number }[]
  }
  /** Counted by the run that the capture is of, not from the capture. */
  readonly run?: { readonly pages_sent: number; readonly dropped_by_queues: number }
}

export type Expected = Readonly<Record<string, ExpectedCapture>>

export const capturesDirectory = fileURLToPath(new URL('../../../captures', import.meta.url))

export function readExpected(): Expected {
  return JSON.parse(readFileSync(join(capturesDirectory, 'expected.json'), 'utf8')) as Expected
}
