#!/usr/bin/env node
/** The command line: parses, finds the command, loads only that one, and turns whatever is thrown into an exit code. */

import { CommanderError } from 'commander'
import { exitCode, messageOf, PagewireError } from '../support/errors.js'
import { printError, watchOutput } from './output.js'
import { buildProgram, helpHint } from './program.js'

watchOutput()

try {
  const program = await buildProgram(process.argv.slice(2))
  await program.parseAsync(process.argv)
} catch (error) {
  process.exitCode = report(error)
}

/** Says what went wrong and gives the exit code. A broken promise inside our own code shows its stack. */
function report(error: unknown): number {
  const json = process.argv.includes('--json')
  if (error instanceof CommanderError) return reportUsage(error, json)
  if (error instanceof PagewireError) {
    printError({ code: error.code, message: error.message, next: error.next }, json)
    return error.exit
  }
  const stack = error instanceof Error && error.stack !== undefined ? error.stack : messageOf(error)
  printError(
    { code: 'internal', message: stack, next: 'This is a defect of Pagewire: please report it.' },
    json,
  )
  return exitCode.failure
}

/** Help and version arrive as errors too: they are none. Help because the command is missing is one. */
function reportUsage(error: CommanderError, json: boolean): number {
  if (error.exitCode === 0) return exitCode.ok
  if (error.code === 'commander.help') return exitCode.usage
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
  printError(
    { code: error.code.replace('commander.', ''), message, next: helpHint(process.argv.slice(2)) },
    json,
  )
  return exitCode.usage
}
