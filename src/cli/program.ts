/** The tree of commands. Help and version need nothing but this file; a command is loaded only when it is asked for. */

import { parseArgs } from 'node:util'
import { Command, Option } from 'commander'
import { version } from '../topology/version.js'
import { type CommandEntry, commands } from './commands.js'
import { logLevels } from './globals.js'

/** The program for these arguments: the command that they name is complete, the others have name and summary only. */
export async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = frame()
  const wanted = findEntry(commandWords(args))
  for (const entry of commands) {
    const command = entry === wanted ? (await entry.load())() : new Command(entry.path.split(' ').at(-1))
    command.summary(entry.summary)
    parentOf(program, entry).addCommand(command.helpGroup(`${entry.group}:`))
  }
  inherit(program)
  return program
}

function frame(): Command {
  return new Command('pagewire')
    .description(
      'Emulates the live migration of a virtual machine on a real network: real frames, real queues, 802.1Q priorities proven on the wire.',
    )
    .version(version(), '-V, --version', 'print the version and exit')
    .option('--json', 'print exactly one JSON document on stdout')
    .option('-q, --quiet', 'no progress; warnings and errors only')
    .addOption(
      new Option('--log-level <level>', 'how much the log on stderr tells')
        .choices(logLevels)
        .default('warn'),
    )
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({ outputError: () => {} })
    .exitOverride()
    .addHelpText('after', footer)
}

const footer = `
Units:
  memory 64MiB, rates 200mbit (decimal), durations 300ms; a DSCP is a name (CS7, EF, AF41, LE) or 0-63.

Exit codes:
  0 ok, PASS   1 failure while running   2 bad usage, scenario or input   3 privilege, tool or kernel feature missing
  4 FAIL       5 INCONCLUSIVE or invalid run   130, 143 ended by a signal (the partial result is kept)

pagewire help COMMAND explains a command and shows examples.`

/** Where the help for these arguments is: the end of a sentence. */
export function helpHint(args: readonly string[]): string {
  const path = findEntry(commandWords(args))?.path
  return `See pagewire ${path === undefined ? '' : `${path} `}--help.`
}

/** The words before any option value that can name a command; `help` in front of them is not one. */
function commandWords(args: readonly string[]): readonly string[] {
  const { positionals } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    options: { 'log-level': { type: 'string' } },
  })
  return positionals[0] === 'help' ? positionals.slice(1) : positionals
}

function findEntry(words: readonly string[]): CommandEntry | undefined {
  return commands.find(({ path }) => path.split(' ').every((word, i) => word === words[i]))
}

/** The command that an entry hangs under: the program, or a group such as `agent`, made when it is first needed. */
function parentOf(program: Command, entry: CommandEntry): Command {
  const [first, second] = entry.path.split(' ')
  if (first === undefined || second === undefined) return program
  const known = program.commands.find((command) => command.name() === first)
  if (known) return known
  const group = new Command(first).helpGroup(`${entry.group}:`)
  const members = commands
    .filter(({ path }) => path.startsWith(`${first} `))
    .map(({ path }) => path.split(' ')[1])
  program.addCommand(group.summary(`${members.join(', ')}: see pagewire ${first} --help`))
  return group
}

/** Commands made apart from the program take over its way to fail and to format help. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    inherit(child)
  }
}
