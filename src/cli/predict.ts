/** `pagewire predict`: a scenario in virtual time. */

import { Command, InvalidArgumentError, Option } from 'commander'
import { type ForecastMethod, forecastMethods, forecastScenario } from '../experiment/forecast.js'
import { predict } from '../experiment/predict.js'
import type { RunResult } from '../experiment/result.js'
import { readScenario } from '../experiment/scenario.js'
import { silentJournal } from '../migration/journal.js'
import { strategyNamed } from '../strategies/index.js'
import { usageError } from '../support/errors.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'
import { printJson, printText } from './output.js'
import { forecastText } from './predict-forecast.js'
import { printPlan } from './predict-goal.js'
import { recordTrace } from './predict-trace.js'

interface Options {
  readonly set: readonly string[]
  readonly method?: ForecastMethod
  readonly historySeed?: number
  readonly goal: readonly string[]
  readonly best: number
  readonly map?: string
  readonly recordTrace?: string
  readonly sites?: string
}

export function predictCommand(): Command {
  return new Command('predict')
    .description(
      prose(`
Runs the scenario in virtual time: the same guest, the same strategy and the same classes as \`run\`, on a model of the
link that shares its rate among the classes. Needs no root and no network; minutes become milliseconds.

The model is fluid: it predicts rates and times, not the loss and delay of single packets. With --json it prints the
result document of a run, with "origin": "predicted".

--method avg and --method hist reckon a Xen pre-copy as Akoush et al. (2010) do, without running one: from an average
dirty rate, or from the recorded dirty log of an earlier run of the same workload. The bounds that hold for any guest
and the model's own result stand beside it.

--goal searches: every scheme with the options that a person would turn, with and without the marks where there is
cross-traffic. It prints the best few that reach the goal and what each costs; none of them is worse than another in
everything. Exit code 4 when nothing reaches it; the nearest are printed then.

--map draws what comes of the scenario's scheme over the plane of dirty rate and available bandwidth.

--sites plans the replicas of the guest's disk over several sites and its moves between them as prices change, as
CloudSpider does by our reconstruction: where a replica pays, what keeps it up to date, when the guest moves, and what
each move sends and takes on the scenario's link, with the replica and without.`),
    )
    .argument('[scenario]', 'the scenario; - reads stdin, the default scenario without one')
    .addOption(setOption())
    .addOption(
      new Option('--method <method>', 'reckon instead of running the model').choices([...forecastMethods]),
    )
    .option(
      '--history-seed <seed>',
      'with --method: seed of the earlier run that is recorded (default: the next one; the scenario’s own: the very trace)',
      seed,
    )
    .addOption(
      new Option('--goal <goal>', 'search for downtime=300ms or total=60s; both may be given')
        .argParser((text: string, earlier: readonly string[]) => [...earlier, text])
        .default([], 'no search')
        .conflicts(['method', 'map']),
    )
    .addOption(new Option('--best <count>', 'with --goal: how many are printed').argParser(count).default(5))
    .addOption(
      new Option('--map <file>', 'write the convergence map there, as .svg or .csv').conflicts('method'),
    )
    .addOption(
      new Option(
        '--record-trace <file>',
        'write what the guest writes meanwhile there, for workload trace',
      ).conflicts(['method', 'goal', 'map']),
    )
    .addOption(
      new Option(
        '--sites <file>',
        'plan replicas and moves over the sites of a YAML file; - reads stdin',
      ).conflicts(['method', 'goal', 'map', 'recordTrace']),
    )
    .action(async (file: string | undefined, options: Options, command: Command) => {
      const { text, name } = scenarioInput(file)
      const { scenario } = readScenario(text, name, options.set, beside(name))
      if (options.goal.length > 0) {
        process.exitCode = await printPlan(scenario, options, command)
        return
      }
      if (options.sites !== undefined) {
        const { printSites } = await import('./predict-sites.js')
        return printSites(scenario, options.sites, command)
      }
      if (options.map !== undefined) {
        // What draws takes longer to load than most predictions take.
        const { printMap } = await import('./predict-map.js')
        return printMap(scenario, options.map, command)
      }
      if (options.method === undefined && options.historySeed !== undefined) {
        throw usageError('--history-seed is the seed of the record that --method needs', {
          code: 'no-method',
          next: 'Give --method avg or --method hist with it.',
        })
      }
      if (options.method !== undefined) {
        const historySeed = options.historySeed ?? (scenario.seed + 1) >>> 0
        const result = await forecastScenario(scenario, options.method, historySeed)
        if (globalOptions(command).json) printJson(result)
        else printText(forecastText(scenario.name, result))
        return
      }
      const strategy = strategyNamed(scenario.migration.strategy).create(scenario.migration.options)
      const result = await predict(scenario, strategy, silentJournal)
      const writes =
        options.recordTrace === undefined ? 0 : recordTrace(scenario, result, options.recordTrace)
      if (globalOptions(command).json) printJson(result)
      else printText(summary(scenario.name, result))
      if (writes > 0 && !globalOptions(command).json) printText(`${writes} writes in ${options.recordTrace}`)
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire predict', 'the default scenario'],
        ['pagewire predict my.yaml --set migration.strategy=stord', 'another scheme'],
        ['pagewire predict my.yaml --set migration.marking.bulk=best-effort', 'the same without marks'],
        ['pagewire predict my.yaml --method hist', 'reckoned from the dirty log of an earlier run'],
        [
          'pagewire predict my.yaml --goal downtime=300ms',
          'which schemes and options reach it, and what they cost',
        ],
        ['pagewire predict my.yaml --map map.svg', 'where its scheme converges, as a picture'],
        [
          'pagewire predict my.yaml --sites sites.yaml',
          'replicas of its disk, and its moves as prices change',
        ],
        [
          'pagewire predict my.yaml --record-trace writes.txt',
          'a trace, for pagewire trace and workload trace',
        ],
        ['pagewire predict my.yaml --json | jq .migration.downtime_ms', 'one figure of the result document'],
      ]),
    )
}

function count(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= 100) return value
  throw new InvalidArgumentError('A count is a whole number from 1 to 100.')
}

function seed(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 0 && value <= 0xffffffff) return value
  throw new InvalidArgumentError('A seed is a whole number from 0 to 4294967295.')
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
    ...(migration.notes ?? []).map((note) => ['note', note] as const),
  ]
  const rows = figures.map(([label, value]) => `  ${label.padEnd(12)}${value}`)
  return [`${name} (predicted)`, ...rows].join('\n')
}
