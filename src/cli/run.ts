/** `pagewire run`: one migration under contention, on real frames, with everything proven from the captures. */

import { Command, Option } from 'commander'
import type { RunHooks } from '../experiment/jobs.js'
import { readScenario } from '../experiment/scenario.js'
import { usageError } from '../support/errors.js'
import { requireLab } from '../topology/requirements.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'
import { interrupts } from './interrupts.js'
import { exitOf, measuredRun } from './measured-run.js'
import { printJson, printText } from './output.js'
import { runSummary } from './run-summary.js'
import { serveOption } from './served.js'

interface Options {
  readonly out?: string
  readonly force?: true
  readonly set: readonly string[]
  readonly testHook: readonly string[]
  readonly serve?: number
}

export function runCommand(): Command {
  return new Command('run')
    .description(
      prose(`
Builds the lab, records at four points, lets cross-traffic fight for the congested port, migrates the guest, analyses
the captures and takes everything away again. The summary is printed; the run directory keeps result.json,
scenario.yaml, events.jsonl, logs, captures and checksums.

A run that the machine could not sustain is invalid: it says which limit was broken and what to change, prints no
figure, and exits with 5. The first Ctrl-C stops the migration and keeps what was measured; the second tears down at
once. Needs root.`),
    )
    .argument('[scenario]', 'what to run; - reads stdin, without it the default scenario')
    .addOption(setOption())
    .option('-o, --out <directory>', 'run directory (default: ./pagewire-runs/TIME-NAME)')
    .addOption(serveOption())
    .option('--force', 'print the numbers of an invalid run, each marked INVALID')
    .addOption(
      new Option(
        '--test-hook <hook>',
        'break something on purpose: flip-page=N, unmark-lane=NAME or capture-buffer=KIB',
      )
        .hideHelp()
        .default([])
        .argParser((hook: string, hooks: readonly string[]) => [...hooks, hook]),
    )
    .action(async (file: string | undefined, options: Options, command: Command) => {
      process.exitCode = await run(file, options, command)
    })
    .addHelpText(
      'after',
      examples([
        ['sudo pagewire run', 'the default scenario: a marked migration under cross-traffic'],
        ['sudo pagewire run --set migration.marking.bulk=best-effort', 'the same, bulk unmarked'],
        ['sudo pagewire run my.yaml --out results/a', 'your scenario, its results in results/a'],
        ['sudo pagewire run my.yaml --serve', 'the same, with its charts growing in a browser'],
        ['sudo pagewire run --json | jq .migration.downtime_ms', 'one figure for a script'],
      ]),
    )
}

async function run(file: string | undefined, options: Options, command: Command): Promise<number> {
  const { json, quiet } = globalOptions(command)
  const { text, name } = scenarioInput(file)
  const read = readScenario(text, name, options.set, beside(name))
  const hooks = parseHooks(options.testHook)
  requireLab(['tcpdump'])
  const signals = interrupts()
  try {
    const showProgress = !quiet && !json
    const result = await measuredRun({
      read,
      out: options.out,
      hooks,
      showProgress,
      signals,
      serve: options.serve,
    })
    if (json) printJson(result)
    else printText(runSummary(result, options.force === true))
    return exitOf(result, signals.exitCode)
  } finally {
    signals.close()
  }
}

function parseHooks(hooks: readonly string[]): RunHooks {
  const parsed = hooks.map((hook) => {
    const [kind, value] = hook.split('=')
    if (kind === 'flip-page' && /^\d+$/.test(value ?? '')) return { flipByteOfPage: Number(value) }
    if (kind === 'capture-buffer' && /^\d+$/.test(value ?? '')) return { captureBufferKib: Number(value) }
    if (kind === 'unmark-lane' && value) return { unmarkedLane: value }
    throw usageError(`unknown test hook '${hook}'`, {
      code: 'bad-hook',
      next: 'flip-page=N, unmark-lane=NAME or capture-buffer=KIB',
    })
  })
  return Object.assign({}, ...parsed)
}
