/**
 * The reported numbers once more, from what they were made of: a run's from its captures, a validation's and a
 * comparison's from its runs. Knows which numbers cannot be had that way, and leaves those out of both sides.
 */

import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { analyseRun, capturePoints, laneBytes, type RunAnalysis } from '../analysis/run-analysis.js'
import { expectationFile, readExpectation } from '../analysis/run-expectation.js'
import { comparisonOf, type Job, jobsOf, readPlan, rowOf } from '../experiment/comparison.js'
import { checksFromCaptures, fidelityOf } from '../experiment/fidelity.js'
import type { RunResult } from '../experiment/result.js'
import { parseScenario, readScenario } from '../experiment/scenario.js'
import { validate } from '../experiment/validate.js'
import { settingsFile, type ValidationSettings, validationPlan } from '../experiment/validation-plan.js'
import { failure, messageOf, usageError } from '../support/errors.js'

/** One document twice, as far as it can be recomputed. */
export interface Recomputed {
  readonly recorded: unknown
  readonly recomputed: unknown
}

export interface RecomputedRun extends Recomputed {
  readonly analysis: RunAnalysis
  /** The outage as the client saw it, which no capture tells; null without a client. */
  readonly clientMs: number | null
}

/** Usage error if the directory is not that of a run that was analysed. */
export async function recomputeRun(directory: string): Promise<RecomputedRun> {
  const result = readResult(directory)
  const file = join(directory, 'captures', expectationFile)
  const expectation = readExpectation(readText(file), file)
  const [source = '', switchIn = '', switchOut = '', destination = ''] = capturePoints.map((point) =>
    join(directory, 'captures', `${point}.pcap`),
  )
  const analysis = await analyseRun({
    ...expectation,
    captures: { source, 'switch-in': switchIn, 'switch-out': switchOut, destination },
  })
  const { recorded, recomputed } = beside(directory, result, analysis)
  // Through JSON, as the recorded figures went.
  return {
    analysis,
    clientMs: result.outage?.client_ms ?? null,
    recorded,
    recomputed: JSON.parse(JSON.stringify(recomputed)),
  }
}

/** Whatever the run reported of what captures tell, and the same from them. */
function beside(directory: string, result: Partial<RunResult>, analysis: RunAnalysis): Recomputed {
  const { classes, marks, ledger } = result
  const recorded: Record<string, unknown> = { classes, marks, ledger }
  const recomputed: Record<string, unknown> = {
    classes: analysis.classes,
    marks: analysis.marks,
    ledger: analysis.ledger,
  }
  if (analysis.outage !== null) {
    recorded['outage_on_wire'] = result.outage?.wire ?? null
    recomputed['outage_on_wire'] = analysis.outage
  }
  if (result.captures !== undefined) {
    const frames: Readonly<Record<string, number>> = analysis.frames
    recorded['captured_packets'] = result.captures.map(({ point, packets }) => ({ point, packets }))
    recomputed['captured_packets'] = result.captures.map(({ point }) => ({ point, packets: frames[point] }))
  }
  if (typeof result.migration?.wire_bytes === 'number') {
    recorded['wire_bytes'] = result.migration.wire_bytes
    recomputed['wire_bytes'] = laneBytes(analysis)
  }
  if (result.fidelity !== undefined) {
    const again = fidelityAgain(directory, analysis)
    const kept = result.fidelity.checks.filter(({ name }) => names.includes(name))
    recorded['fidelity'] = kept.map(({ name, value }) => ({ name, value }))
    recomputed['fidelity'] = kept.map(({ name }) => ({ name, value: again.get(name) }))
  }
  const series = join(directory, 'series.json')
  if (existsSync(series)) {
    recorded['series'] = parsed(readText(series), series)
    recomputed['series'] = analysis.series
  }
  return { recorded, recomputed }
}

const names: readonly string[] = checksFromCaptures

function fidelityAgain(directory: string, analysis: RunAnalysis): ReadonlyMap<string, number> {
  const file = join(directory, 'scenario.yaml')
  const { link } = parseScenario(readText(file), file, [], (name) => readText(join(directory, name)))
  const sum = (entries: readonly { readonly difference: number }[]): number =>
    entries.reduce((total, { difference }) => total + Math.abs(difference), 0)
  const { checks } = fidelityOf({
    framesWrong: analysis.marks.frames_wrong,
    frameLedgerDifference: sum(analysis.ledger.frames),
    byteLedgerDifference: sum(analysis.ledger.flows),
    port: analysis.port,
    linkBps: link.rateBps,
    // What follows no capture tells; its checks are not among the ones that are compared.
    flood: { lossAtSwitch: 0, lostAtSender: 0 },
    framesDroppedByCapture: 0,
    sourceCpuShare: 0,
    sourceEventLoopDelayMs: 0,
    dirtyPagesPerSecond: { asked: 0, achieved: 0 },
    traffic: [],
  })
  return new Map(checks.map(({ name, value }) => [name, value]))
}

/**
 * A validation decided anew on the recorded runs, in the recorded order: the same pairs, intervals, tests, verdicts.
 */
export async function recomputeValidation(directory: string): Promise<Recomputed> {
  const file = join(directory, 'validation.json')
  const recorded = parsed(readText(file), file) as RecordedValidation
  const scenario = join(directory, 'scenario.yaml')
  const settings = join(directory, settingsFile)
  const plan = validationPlan(
    readScenario(readText(scenario), scenario, [], (name) => readText(join(directory, name))),
    parsed(readText(settings), settings) as ValidationSettings,
  )
  const left = new Map(recorded.runs.map((run) => [run.label, run]))
  const again = await validate({
    ...plan,
    // How long a run may take was found out by the clock.
    limitNs: recorded.run_limit_ms * 1e6,
    // The recorded runs are all there is: when they are used up, so is the time.
    maxTimeNs: 1,
    nowNs: () => (left.size === 0 ? 2 : 0),
    run: async ({ label }) => {
      const run = left.get(label)
      left.delete(label)
      const result = join(directory, 'runs', label, 'result.json')
      if (run !== undefined && existsSync(result)) return parsed(readText(result), result) as RunResult
      throw failure(run?.because ?? `run ${label} is not in the bundle`, { code: 'not-recorded' })
    },
  })
  return { recorded: withoutTime(recorded), recomputed: withoutTime(JSON.parse(JSON.stringify(again))) }
}

interface RecordedValidation {
  readonly run_limit_ms: number
  readonly runs: readonly { readonly label: string; readonly because?: string }[]
}

/** How long it took is no figure of the results. */
function withoutTime(validation: object): unknown {
  return { ...validation, duration_s: null }
}

/** A comparison's rows from its runs; those of the model by running the model again. */
export async function recomputeComparison(
  directory: string,
  predictAgain: (text: string, job: Job) => Promise<RunResult>,
): Promise<Recomputed> {
  const file = join(directory, 'comparison.json')
  const recorded = parsed(readText(file), file) as ReturnType<typeof comparisonOf>
  const planFile = join(directory, 'plan.yaml')
  const plan = readPlan(readText(planFile), planFile)
  const jobs = new Map(jobsOf(plan).map((job) => [`${job.cell} ${job.repetition}`, job]))
  const rows = []
  for (const row of recorded.rows) {
    const job = jobs.get(`${row.cell} ${row.repetition}`)
    if (job === undefined)
      throw usageError(`${file}: no such cell in its plan: ${row.cell}`, { code: 'bad-run' })
    const result =
      row.run_dir === null
        ? await predictAgain(plan.scenarioText, job)
        : readResult(join(directory, 'runs', basename(row.run_dir)))
    rows.push(rowOf(job, result))
  }
  return { recorded, recomputed: JSON.parse(JSON.stringify(comparisonOf(plan, rows))) }
}

function readResult(directory: string): RunResult {
  const file = join(directory, 'result.json')
  const document = parsed(readText(file), file)
  if (typeof document === 'object' && document !== null && 'classes' in document) return document as RunResult
  throw usageError(`${file} is not the result of a run`, { code: 'bad-run' })
}

function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw usageError(`${file}: ${messageOf(error)}`, { code: 'bad-run', cause: error })
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw usageError(`cannot read ${file}: ${messageOf(error)}`, {
      code: 'bad-run',
      next: 'A run directory has result.json and captures/; give single captures by their file names.',
      cause: error,
    })
  }
}
