/** `pagewire scenario`: prints the default scenario or a checked one, ready to edit, and the published schema. */

import { Command } from 'commander'
import { readScenario } from '../experiment/scenario.js'
import { scenarioSchema } from '../experiment/scenario-schema.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'
import { printJson, printText } from './output.js'

export function scenarioCommand(): Command {
  return new Command('scenario')
    .description(
      prose(`
Prints the default scenario, commented and ready to edit, or checks FILE and prints it. Every key has a default,
except cross_traffic: a scenario without it has none. An unknown key, a bad unit and a contradiction are refused with
file, line and column, the path of the key and the nearest known word (exit 2).

With --json it prints the scenario with all defaults filled in.`),
    )
    .argument('[file]', 'the scenario to check; - reads stdin')
    .addOption(setOption())
    .option('--schema', 'print the JSON schema of a scenario, for editors that check while you type')
    .action(
      (file: string | undefined, options: { set: readonly string[]; schema?: true }, command: Command) => {
        if (options.schema) return printJson(scenarioSchema)
        const { text, name } = scenarioInput(file)
        const read = readScenario(text, name, options.set, beside(name))
        if (globalOptions(command).json) printJson(read.document)
        else printText(read.text)
      },
    )
    .addHelpText(
      'after',
      examples([
        ['pagewire scenario > my.yaml', 'the default scenario, with a comment for every key'],
        ['pagewire scenario my.yaml', 'check it; the exit code is 2 if anything is wrong'],
        ['pagewire scenario --set link.rate=50mbit --set guest.memory=16MiB > small.yaml', 'a smaller one'],
        ['pagewire scenario my.yaml --json', 'what a run would use, defaults included'],
        ['pagewire scenario --schema > scenario.schema.json', 'the schema, for an editor'],
      ]),
    )
}
