/** `pagewire doctor`: what this box can do, what is missing, how to get it, and which dataplane `auto` takes. */

import { Command } from 'commander'
import { exitCode } from '../support/errors.js'
import { type Check, checkRequirements, chooseDataplane, missingFor } from '../topology/requirements.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printJson, printText } from './output.js'

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      prose(`
Tries every privilege, tool, kernel feature and native module that any command needs, and says what each absence stops
and how to get it. Kernel features are tried in a network namespace without a name, which leaves nothing behind.

The exit code is 0 when a run can work on this box, and 3 when not.`),
    )
    .action(async (_options: unknown, command: Command) => {
      const checks = await checkRequirements()
      const choice = chooseDataplane(checks)
      const blocking = missingFor(checks, choice.dataplane, 'run')
      if (globalOptions(command).json) printJson(documentOf(checks, choice.dataplane, blocking))
      else printText(textOf(checks, choice, blocking))
      if (blocking.length > 0) process.exitCode = exitCode.environment
    })
    .addHelpText(
      'after',
      examples([
        ['sudo pagewire doctor', 'everything, tried with the right that a run has'],
        ['pagewire doctor --json', 'the same as a document'],
      ]),
    )
}

function documentOf(checks: readonly Check[], dataplane: string, blocking: readonly Check[]): unknown {
  return {
    ok: blocking.length === 0,
    dataplane,
    checks: checks.map(({ name, kind, present, neededBy, how }) => ({
      name,
      kind,
      present,
      needed_by: neededBy,
      how,
    })),
  }
}

function textOf(
  checks: readonly Check[],
  choice: ReturnType<typeof chooseDataplane>,
  blocking: readonly Check[],
): string {
  const width = Math.max(...checks.map((check) => check.name.length))
  const rows = checks.map(
    ({ name, kind, present }) => `  ${present ? 'yes' : 'NO '}  ${name.padEnd(width)}  ${kind}`,
  )
  const absent = checks.filter((check) => !check.present)
  const remedies = [...new Set(absent.map((check) => check.how))].map((how) => remedy(how, absent))
  return [
    ...rows,
    '',
    ...remedies,
    `Dataplane: ${choice.dataplane}, because ${choice.why}.`,
    blocking.length === 0
      ? 'A run can work on this box.'
      : `A run cannot work on this box: missing ${blocking.map((check) => check.name).join(', ')}.`,
  ].join('\n')
}

/** All that one remedy brings, and what its absence stops. */
function remedy(how: string, absent: readonly Check[]): string {
  const brought = absent.filter((check) => check.how === how)
  const stopped = [...new Set(brought.flatMap((check) => check.neededBy))]
  const names = brought.map((check) => check.name).join(', ')
  return `Missing ${names}\n  stops: ${stopped.join(', ')}\n  ${how}\n`
}
