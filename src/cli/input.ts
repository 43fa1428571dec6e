/** Reads the files that a user names on the command line. */

import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import type { ReadBeside } from '../experiment/scenario.js'
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

/** Reads what a scenario of this name (a file, or anything else for the working directory) names beside itself. */
export function beside(scenario: string): ReadBeside {
  const directory = existsSync(scenario) ? dirname(scenario) : '.'
  return (file) => readText(isAbsolute(file) ? file : join(directory, file))
}

/** The same for a plan's scenario, which may be read again from elsewhere: names are those of the working directory. */
export const besidePlan = beside('')
