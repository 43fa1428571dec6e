/** `pagewire predict`: a scenario in virtual time. */

import { Command } from 'commander'
import { predict } from '../experiment/predict.js'
import type { RunResult } from '../experiment/result.js'
import { readScenario } from '../experiment/scenario.js'
import { silentJournal } from '../migration/journal.js'
import { strategyNamed } from '../strategies/index.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { scenarioInput } from './input.js'
import { printJson, printText } from './output.js'

export function predictCommand(): Command {
  return new Command('predict')
    .description(
      prose(`
Runs the scenario in virtual time: the same guest, the same strategy and the same classes as \`run\`, on a model of the
link that shares its rate among the classes. Needs no root and no network; minutes become milliseconds.

The model is fluid: it predicts rates and times, not the loss and delay of single packets. With --json it prints the
result document of a run, with "origin": "predicted".`),
    )
    .argument('[scenario]', 'the scenario; - reads stdin, the default scenario without one')
    .addOption(setOption())
    .action(async (file: string | undefined, options: { set: readonly string[] }, command: Command) => {
      const { text, name } = scenarioInput(file)
      const { scenario } = readScenario(text, name, options.set)
      const strategy = strategyNamed(scenario.migration.strategy).create(scenario.migration.options)
      const result = await predict(scenario, strategy, silentJournal)
      if (globalOptions(command).json) printJson(result)
      else printText(summary(scenario.name, result))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire predict', 'the default scenario'],
        ['pagewire predict my.yaml --set migration.strategy=stord', 'another scheme'],
        ['pagewire predict my.yaml --set migration.marking.bulk=best-effort', 'the same without marks'],
        ['pagewire predict my.yaml --json | jq .migration.downtime_ms', 'one figure of the result document'],
      ]),
    )
}

function summary(name: string, { outcome, reason, migration }: RunResult): string {
  if (migration === null) return `${name}: ${outcome}`
  const figures: readonly (readonly [string, string])[] = [
    ['strategy', migration.strategy],
    ['outcome', reason === undefined ? outcome : `${outcome}: ${reason}`],
    ['total time', `${migration.total_time_ms} ms`],
    ['downtime', migration.downtime_ms === null ? 'none: not handed over' : `${migration.downtime_ms} ms`],
    ['rounds', String(migration.rounds.length)],
    ['pages sent', `${migration.pages_sent} of ${migration.pages_total}`],
    ['goodput', `${migration.goodput_mbps} Mbit/s`],
    ['guest stall', `${migration.guest_stall_ms} ms`],
  ]
  const rows = figures.map(([label, value]) => `  ${label.padEnd(12)}${value}`)
  return [`${name} (predicted)`, ...rows].join('\n')
}
