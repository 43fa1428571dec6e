/** `pagewire compare`: every combination of a plan's axes, repeated, in random order, resumable. */

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { Piscina } from 'piscina'
import {
  type CompareProgress,
  type Comparison,
  compare,
  comparisonOf,
  defaultPlanText,
  type Job,
  jobsOf,
  type Plan,
  type Row,
  readPlan,
} from '../experiment/comparison.js'
import type { RunResult } from '../experiment/result.js'
import { RunDirectory } from '../experiment/run-directory.js'
import { runScenario } from '../experiment/runner.js'
import { readScenario } from '../experiment/scenario.js'
import { mean } from '../experiment/statistics.js'
import { ComparisonStore } from '../experiment/store.js'
import { exitCode, PagewireError, usageError } from '../support/errors.js'
import { requireLab } from '../topology/requirements.js'
import { columns } from './columns.js'
import { type ExportFormat, exported, exportFormats } from './compare-export.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { besidePlan, readText } from './input.js'
import { type Interrupts, interrupts } from './interrupts.js'
import { printJson, printText } from './output.js'
import { progressText, type ServedComparison, servedComparison, serveOption } from './served.js'
import { timeStamp } from './time-stamp.js'

interface Options {
  readonly out?: string
  readonly dryRun?: true
  readonly resume?: true
  readonly list?: true
  readonly export?: ExportFormat
  readonly parallel: number
  readonly keepCaptures?: true
  readonly serve?: number
}

export function compareCommand(): Command {
  return new Command('compare')
    .description(
      prose(`
Runs every combination of a plan's axes, each repeated, in random order, and keeps one row a run in one SQLite file as
soon as it is there. Killed, cut off or interrupted, it goes on with --resume: no run is lost that had ended, none is
done twice. Invalid runs are tried again, three times at once and, if less than half of all stay invalid, twice three
times more when the others are done; so does --resume with those that stayed invalid.

Measured runs come one after the other, since they would disturb each other, and need root. A plan with "origin:
predicted" runs on the model, --parallel of them at a time. Exit 5 if rows are invalid.`),
    )
    .argument('[plan]', 'a plan, - for stdin, or the directory of a comparison; without it the default plan')
    .option('-o, --out <directory>', 'where to (default: ./pagewire-runs/TIME-NAME-comparison)')
    .option('--dry-run', 'say what would be run, and run nothing')
    .option('--resume', 'go on with the comparison in this directory')
    .option('--list', 'print the rows of the comparison in this directory')
    .addOption(
      new Option('--export <format>', 'print its rows for other programs').choices([...exportFormats]),
    )
    .option('--parallel <n>', 'predicted runs at a time', wholeNumber, 1)
    .option('--keep-captures', 'keep the captures of every measured run')
    .addOption(serveOption())
    .option('--print-plan', 'print the default plan, to start from')
    .action(async (file: string | undefined, options: Options & { printPlan?: true }, command: Command) => {
      if (options.printPlan) return printText(defaultPlanText)
      process.exitCode = await act(file, options, globalOptions(command))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire compare --print-plan > plan.yaml', 'a plan to edit'],
        ['pagewire compare plan.yaml --dry-run', 'every run that it would make'],
        ['sudo pagewire compare plan.yaml --out results', 'all of them'],
        ['sudo pagewire compare plan.yaml --serve', 'and see the rows come in, in a browser'],
        ['sudo pagewire compare results --resume', 'what is missing after a power cut'],
        ['pagewire compare results --export csv > rows.csv', 'rows for a spreadsheet; also json and parquet'],
        ['pagewire report results', 'the comparison as one HTML file'],
      ]),
    )
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It is a whole number from 1.')
  return number
}

interface Globals {
  readonly json: boolean
  readonly quiet: boolean
}

async function act(file: string | undefined, options: Options, globals: Globals): Promise<number> {
  const made = file !== undefined && file !== '-' && existsSync(file) && statSync(file).isDirectory()
  if (made) return onDirectory(file, options, globals)
  if (options.resume || options.list || options.export !== undefined) {
    throw usageError('--resume, --list and --export need the directory of a comparison', {
      code: 'no-comparison',
      next: 'Give the directory that an earlier compare printed.',
    })
  }
  const text = file === undefined ? defaultPlanText : readText(file)
  const plan = checkedPlan(text, file ?? 'default plan')
  if (options.dryRun) return dryRun(plan, globals)
  if (plan.origin === 'measured') requireLab()
  const out = options.out ?? join('pagewire-runs', `${timeStamp(new Date())}-${plan.name}-comparison`)
  const directory = await RunDirectory.make(out, ['runs'])
  await directory.write(planFile, text)
  return carryOut(plan, directory, options, globals)
}

const planFile = 'plan.yaml'
const storeFile = 'rows.sqlite'

async function onDirectory(path: string, options: Options, globals: Globals): Promise<number> {
  if (!existsSync(join(path, planFile))) {
    throw usageError(`${path} holds no comparison`, { code: 'no-comparison', next: `It has no ${planFile}.` })
  }
  const plan = checkedPlan(readFileSync(join(path, planFile), 'utf8'), join(path, planFile))
  if (options.resume) {
    if (plan.origin === 'measured') requireLab()
    return carryOut(plan, RunDirectory.reopen(path), options, globals)
  }
  const store = ComparisonStore.open(join(path, storeFile))
  const comparison = comparisonOf(plan, store.rows())
  store.close()
  if (options.export !== undefined) {
    const text = exported(comparison, options.export)
    process.stdout.write(text)
  } else show(comparison, path, globals, options.list === true)
  return exitOf(comparison)
}

/** The plan, with every cell's scenario checked. */
function checkedPlan(text: string, name: string): Plan {
  const plan = readPlan(text, name)
  for (const job of jobsOf(plan)) {
    if (job.repetition > 1) continue
    try {
      readScenario(plan.scenarioText, `${name}: scenario`, job.overrides, besidePlan)
    } catch (error) {
      if (!(error instanceof PagewireError)) throw error
      throw usageError(`cell ${job.cell}: ${error.message}`, { code: error.code })
    }
  }
  return plan
}

function dryRun(plan: Plan, { json }: Globals): number {
  const jobs = jobsOf(plan)
  if (json) printJson({ name: plan.name, origin: plan.origin, runs: jobs })
  else {
    const rows = jobs.map((job) => [String(job.repetition), String(job.seed), job.cell])
    const heads = [
      { title: 'repetition', align: 'right' },
      { title: 'seed', align: 'right' },
      { title: 'cell', align: 'left' },
    ] as const
    printText(`${jobs.length} ${plan.origin} runs, in this order:\n${columns(heads, rows)}`)
  }
  return exitCode.ok
}

async function carryOut(
  plan: Plan,
  directory: RunDirectory,
  options: Options,
  globals: Globals,
): Promise<number> {
  const store = ComparisonStore.open(join(directory.path, storeFile))
  const live = options.serve === undefined ? undefined : await servedComparison(plan, options.serve)
  const signals = interrupts()
  const runner =
    plan.origin === 'predicted'
      ? predictor(plan, options.parallel)
      : measurer(plan, directory, options, signals, live)
  const progress = progressLine(!globals.quiet && !globals.json)
  let comparison: Comparison
  try {
    await compare({
      jobs: jobsOf(plan),
      isDone: (job) => store.has(job),
      keep: (row) => {
        store.keep(row)
        live?.rows(store.rows())
      },
      run: runner.run,
      parallel: plan.origin === 'predicted' ? options.parallel : 1,
      nowNs: () => performance.now() * 1e6,
      stopped: () => signals.first.aborted,
      onProgress: (now) => {
        progress.show(now)
        live?.progress(now)
      },
    })
    comparison = comparisonOf(plan, store.rows())
    await directory.write('comparison.json', `${JSON.stringify(comparison, null, 2)}\n`)
  } finally {
    progress.done()
    await live?.close()
    await runner.close()
    store.close()
    signals.close()
    await directory.seal()
  }
  show(comparison, directory.path, globals, false)
  return signals.exitCode ?? exitOf(comparison)
}

interface Runner {
  readonly run: (job: Job, attempt: number) => Promise<RunResult>
  readonly close: () => Promise<void>
}

function predictor(plan: Plan, parallel: number): Runner {
  const pool = new Piscina({
    filename: new URL('./predict-worker.js', import.meta.url).href,
    name: 'predictCell',
    minThreads: 1,
    maxThreads: parallel,
  })
  return {
    run: (job) => pool.run({ text: plan.scenarioText, name: job.cell, overrides: job.overrides }),
    close: () => pool.destroy(),
  }
}

function measurer(
  plan: Plan,
  directory: RunDirectory,
  options: Options,
  signals: Interrupts,
  served: ServedComparison | undefined,
): Runner {
  return {
    run: async (job, attempt) => {
      const { scenario, text } = readScenario(plan.scenarioText, job.cell, job.overrides, besidePlan)
      const live = served?.begin(job, scenario)
      return runScenario({
        scenario,
        text,
        ...(live === undefined
          ? {}
          : {
              onPhase: (phase) => live.phase(phase),
              onProgress: (progress) => live.progress(progress),
              onJournal: (entry) => live.journal(entry),
              onInterval: (interval) => live.interval(interval),
            }),
        directory: await RunDirectory.make(freshPath(join(directory.path, 'runs', fileName(job)), attempt)),
        keepCaptures: options.keepCaptures === true,
        cancel: signals.first,
        abandon: signals.second,
      })
    },
    close: async () => {},
  }
}

function fileName({ cell, repetition }: Job): string {
  return `${cell.replaceAll(/[^\w=,.-]/g, '_').slice(0, 180)}-${repetition}`
}

/** A run that was killed has left a directory, which is kept for whoever wants to see. */
function freshPath(path: string, attempt: number): string {
  for (let i = attempt; ; i++) {
    const candidate = i === 0 ? path : `${path}-again-${i}`
    if (!existsSync(candidate)) return candidate
  }
}

function exitOf({ invalid_rows }: Comparison): number {
  return invalid_rows > 0 ? exitCode.inconclusive : exitCode.ok
}

function progressLine(shown: boolean): { show: (progress: CompareProgress) => void; done: () => void } {
  const { stderr } = process
  if (!shown || !stderr.isTTY) return { show: () => {}, done: () => {} }
  return {
    show: (progress) => {
      stderr.write(`\r\x1b[K${progressText(progress).slice(0, (stderr.columns ?? 80) - 1)}`)
    },
    done: () => stderr.write('\r\x1b[K'),
  }
}

function show(comparison: Comparison, path: string, { json }: Globals, every: boolean): void {
  if (json) {
    printJson({ ...comparison, run_dir: path })
    return
  }
  const { rows, complete, invalid_rows, origin } = comparison
  const state = complete ? 'complete' : 'not complete; go on with --resume'
  printText(
    [
      `${comparison.name} (${origin}): ${rows.length} rows, ${invalid_rows} invalid, ${state}`,
      every ? listing(rows) : summary(rows),
      `Everything is in ${path}`,
    ].join('\n\n'),
  )
}

const right = (title: string) => ({ title, align: 'right' }) as const
const left = (title: string) => ({ title, align: 'left' }) as const

function summary(rows: readonly Row[]): string {
  const cells = [...new Set(rows.map(({ cell }) => cell))]
  return columns(
    [
      left('cell'),
      right('n'),
      right('completed'),
      right('total ms'),
      right('downtime ms'),
      right('Mbit/s'),
      right('others Mbit/s'),
    ],
    cells.map((cell) => {
      const own = rows.filter((row) => row.cell === cell && row.valid)
      const average = (pick: (row: Row) => number | null): string => {
        const values = own.flatMap((row) => pick(row) ?? [])
        return values.length === 0 ? '-' : mean(values).toFixed(1)
      }
      return [
        cell,
        String(own.length),
        String(own.filter(({ outcome }) => outcome === 'completed').length),
        average((row) => row.total_time_ms),
        average((row) => row.downtime_ms),
        average((row) => row.goodput_mbps),
        average((row) => row.others_mbps),
      ]
    }),
  )
}

function listing(rows: readonly Row[]): string {
  return columns(
    [
      left('cell'),
      right('repetition'),
      left('state'),
      left('outcome'),
      right('total ms'),
      right('downtime ms'),
      right('Mbit/s'),
    ],
    rows.map((row) => [
      row.cell,
      String(row.repetition),
      row.valid ? row.origin : 'INVALID',
      row.outcome,
      row.total_time_ms?.toFixed(1) ?? '-',
      row.downtime_ms?.toFixed(1) ?? '-',
      row.goodput_mbps?.toFixed(1) ?? '-',
    ]),
  )
}
