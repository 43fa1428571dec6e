/** `pagewire validate`: does priority help, and what does it cost, with statistics behind the answer. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { migrationClaims } from '../experiment/claims.js'
import type { RunResult } from '../experiment/result.js'
import { RunDirectory } from '../experiment/run-directory.js'
import { runScenario } from '../experiment/runner.js'
import { RunsAhead, type Turn } from '../experiment/runs-ahead.js'
import { readScenario } from '../experiment/scenario.js'
import { writeScenario } from '../experiment/scenario-file.js'
import type { Verdict } from '../experiment/statistics.js'
import { type RunRequest, type Validation, validate } from '../experiment/validate.js'
import { settingsFile, type ValidationSettings, validationPlan } from '../experiment/validation-plan.js'
import { exitCode } from '../support/errors.js'
import { parseDurationNs } from '../support/units.js'
import { requireLab } from '../topology/requirements.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'
import { type Interrupts, interrupts } from './interrupts.js'
import { printJson, printText } from './output.js'
import { timeStamp } from './time-stamp.js'
import { validationProgress } from './validate-progress.js'
import { validationSummary } from './validate-summary.js'

interface Options {
  readonly out?: string
  readonly set: readonly string[]
  readonly pairs?: number
  readonly maxPairs: number
  readonly maxTime: string
  readonly runLimit?: string
  readonly minEffect: string
  readonly decide: readonly string[]
  readonly claim: readonly string[]
  readonly price?: true
  readonly keepCaptures?: true
}

export function validateCommand(): Command {
  return new Command('validate')
    .description(
      prose(`
Runs the scenario in pairs, once with its marks and once with all lanes best-effort: same guest, same cross-traffic,
order drawn by lot. Pairs are added until the answer is clear or a limit is reached. Every figure comes as the paired
change with a 95 % interval (BCa bootstrap) and a sign-flip permutation test.

PASS (exit 0): the marks improve what --decide names, by more than --min-effect, and every --claim holds. FAIL (exit
4): they do not; no effect is a FAIL. INCONCLUSIVE (exit 5): the pairs do not tell. Looking again after every few pairs
does not raise the error rate: each look spends a part of it. Eight pairs are the least for an early answer, six for one
at the end of the time or of --pairs. The next run's lab, agents and cross-traffic are made ready while the last frames
of a run are written and analysed; no two migrate at once.

A run that hits its time limit is cut off, and counts: its goodput is the rate that it had, its total time and pages
are at least what they had come to, its downtime is unknown, and no verdict leans on more than that. The limit is four
times what the marked run of the warm-up took, within 10 to 30 s, and less (5 s at least) where ten pairs would not fit
into --max-time. Where that run was cut off itself, runs tell nothing but their rate, and many short ones tell it better
than few long ones: forty pairs are to fit, with 2.5 s at least for each run. --run-limit sets another. Invalid runs are
replaced and counted. What the other tenants pay is in the same table. Needs root.`),
    )
    .argument('[scenario]', 'what to validate; - reads stdin, without it the default scenario')
    .addOption(setOption())
    .option('-n, --pairs <n>', 'exactly this many pairs, however clear the answer', wholeNumber)
    .option('--max-pairs <n>', 'no more pairs than this', wholeNumber, 80)
    .option('--max-time <duration>', 'start no pair that would not end within this time', '7.75min')
    .option('--run-limit <duration>', 'cut every run off after this long')
    .option('--min-effect <percent>', 'the least change that counts', '10%')
    .addOption(
      new Option('--decide <metrics>', `what the verdict is about, of ${metricNames.join(', ')}`)
        .default(['goodput'], 'goodput')
        .argParser((text: string) => metrics(text)),
    )
    .addOption(
      new Option('--claim <claim>', 'a limit for the marked runs, e.g. "tenants p99 < 5 ms"; repeatable')
        .default([], 'none')
        .argParser((text: string, earlier: readonly string[]) => [...earlier, text]),
    )
    .option('--price', 'also mark the bulk only, the final copy only, and LE bulk with a CS7 final copy')
    .option('--keep-captures', 'keep the captures of every run (some 100 MB each)')
    .option('-o, --out <directory>', 'where to (default: ./pagewire-runs/TIME-NAME-validation)')
    .action(async (file: string | undefined, options: Options, command: Command) => {
      process.exitCode = await run(file, options, command)
    })
    .addHelpText(
      'after',
      examples([
        ['sudo pagewire validate', 'the default scenario, at most 8 minutes'],
        ['sudo pagewire validate --set link.discipline=fifo', 'a switch without QoS: expect FAIL'],
        [
          'sudo pagewire validate my.yaml --min-effect 50% --max-time 1h',
          'a large effect, and time to find it',
        ],
        ['sudo pagewire validate --claim "tenants p99 < 20 ms"', 'and the others must not wait longer'],
        ['sudo pagewire validate --price --max-time 30min', 'what each way of marking gains and costs'],
        [
          'sudo pagewire validate --set migration.marking.bulk=best-effort --set migration.marking.final=best-effort',
          'A/A: both unmarked, which must never PASS',
        ],
      ]),
    )
}

const metricNames = migrationClaims(0, []).map(({ metric }) => metric)

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It is a whole number from 1.')
  return number
}

function metrics(text: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim().replaceAll('-', '_'))
  const wrong = names.find((name) => !metricNames.includes(name))
  if (wrong !== undefined) throw new InvalidArgumentError(`Known: ${metricNames.join(', ')}.`)
  return names
}

async function run(file: string | undefined, options: Options, command: Command): Promise<number> {
  const { json, quiet } = globalOptions(command)
  const input = scenarioInput(file)
  const { text } = input
  const read = readScenario(text, input.name, options.set, beside(input.name))
  const settings = settingsOf(options)
  const plan = validationPlan(read, settings)
  const maxTimeNs = parseDurationNs(options.maxTime)
  requireLab()
  const path =
    options.out ?? join('pagewire-runs', `${timeStamp(new Date())}-${read.scenario.name}-validation`)
  const directory = await RunDirectory.make(path, ['runs'])
  const progress = validationProgress(!quiet && !json, process.stderr)
  const signals = interrupts()
  const row = inARow({ text, name: input.name, options, base: directory.path, signals })
  let validation: Validation
  try {
    validation = await validate({
      ...plan,
      maxTimeNs,
      run: (request, ahead) => row.run(request, ahead),
      nowNs: () => performance.now() * 1e6,
      onStep: (step) => {
        directory.event(step)
        progress.step(step)
      },
    })
    await writeScenario(directory, read.scenario, read.text)
    await directory.write(settingsFile, `${JSON.stringify(settings, null, 2)}\n`)
    await directory.write('validation.json', `${JSON.stringify(validation, null, 2)}\n`)
  } finally {
    progress.done()
    await row.close()
    signals.close()
    await directory.seal()
  }
  if (json) printJson({ ...validation, run_dir: directory.path })
  else printText(validationSummary(validation, directory.path))
  return validation.ended === 'cancelled' ? (signals.exitCode ?? exitCode.sigint) : exitOf(validation.verdict)
}

function settingsOf({
  pairs,
  maxPairs,
  runLimit,
  minEffect,
  decide,
  claim,
  price,
}: Options): ValidationSettings {
  return {
    ...(pairs === undefined ? {} : { pairs }),
    maxPairs,
    ...(runLimit === undefined ? {} : { runLimit }),
    minEffect,
    decide,
    claim,
    price: price === true,
  }
}

function exitOf(verdict: Verdict): number {
  switch (verdict) {
    case 'PASS':
      return exitCode.ok
    case 'FAIL':
      return exitCode.verdictFail
    case 'INCONCLUSIVE':
      return exitCode.inconclusive
  }
}

interface Place {
  readonly text: string
  readonly name: string
  readonly options: Options
  /** Directory of the validation. */
  readonly base: string
  readonly signals: Interrupts
}

function inARow(place: Place): RunsAhead<RunRequest> {
  const directoryOf = ({ label }: RunRequest): string => join(place.base, 'runs', label)
  return new RunsAhead<RunRequest>({
    carryOut: (request, turn) => runOne(request, turn, directoryOf(request), place),
    same: (a, b) => a.label === b.label && a.limitNs === b.limitNs,
    dropped: (request) => rm(directoryOf(request), { recursive: true, force: true }),
  })
}

async function runOne(request: RunRequest, turn: Turn, directory: string, place: Place): Promise<RunResult> {
  const { arm, seed, limitNs } = request
  const { scenario, text } = readScenario(
    place.text,
    place.name,
    [
      ...place.options.set,
      `seed=${seed}`,
      `migration.marking.bulk=${arm.marking.bulk}`,
      `migration.marking.final=${arm.marking.final}`,
      `migration.max_total_time=${Math.round(limitNs / 1e6)}ms`,
    ],
    beside(place.name),
  )
  return runScenario({
    scenario,
    text,
    directory: await RunDirectory.make(directory),
    keepCaptures: place.options.keepCaptures === true,
    cancel: place.signals.first,
    abandon: AbortSignal.any([place.signals.second, turn.abandon]),
    mayBegin: turn.mayBegin,
    onQuiet: turn.onQuiet,
    later: turn.later,
  })
}
