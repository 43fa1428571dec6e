/** Reads the files that a user names on the command line. */

import { readFileSync } from 'node:fs'
import { defaultScenarioText } from '../experiment/scenario-default.js'
import { messageOf, usageError } from '../support/errors.js'

/** The text of a scenario and the name for messages: the file, stdin for `-`, the default where there is none. */
export function scenarioInput(file: string | undefined): { readonly text: string; readonly name: string } {
  if (file === undefined) return { text: defaultScenarioText, name: 'default scenario' }
  return { text: readText(file), name: file === '-' ? 'stdin' : file }
}

/** The text of a file, or of stdin for `-`. Throws a usage error (exit 2) if it cannot be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw usageError(`cannot read ${file}: ${messageOf(error)}`, { code: 'unreadable-input', cause: error })
  }
}
