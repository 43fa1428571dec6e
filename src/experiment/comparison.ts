/**
 * A comparison: a plan of axes, the cells that they span, each repeated, in random order; which of them are still to
 * be done, and what is told of those that are. How a cell is run, and where rows are kept, is the caller's.
 */

import { closest, distance } from 'fastest-levenshtein'
import { parse, stringify } from 'yaml'
import { messageOf, usageError } from '../support/errors.js'
import { random } from '../support/random.js'
import type { RunResult } from './result.js'
import { defaultScenarioText } from './scenario-default.js'

export const comparisonSchema = 'pagewire.comparison/1'

export type Origin = RunResult['origin']

export interface Plan {
  readonly name: string
  readonly origin: Origin
  readonly repetitions: number
  readonly seed: number
  /** The scenario that every cell starts from. */
  readonly scenarioText: string
  readonly axes: readonly Axis[]
}

export interface Axis {
  readonly name: string
  readonly values: readonly AxisValue[]
}

export interface AxisValue {
  readonly label: string
  /** `path=value` texts for the scenario. */
  readonly overrides: readonly string[]
}

/** One cell, once. */
export interface Job {
  /** Unique name made from the parameters: `strategy=stord,marks=CS7`. */
  readonly cell: string
  readonly labels: Readonly<Record<string, string>>
  /** From 1. */
  readonly repetition: number
  /** The same for all cells of a repetition: same guest, same cross-traffic. */
  readonly seed: number
  readonly overrides: readonly string[]
}

/** One finished job. Null: the run does not have the figure. */
export interface Row {
  readonly cell: string
  readonly labels: Readonly<Record<string, string>>
  readonly repetition: number
  readonly seed: number
  readonly origin: Origin
  readonly valid: boolean
  readonly outcome: RunResult['outcome']
  readonly total_time_ms: number | null
  readonly downtime_ms: number | null
  readonly goodput_mbps: number | null
  readonly pages_sent: number | null
  readonly rounds: number | null
  readonly wire_bytes: number | null
  readonly outage_ms: number | null
  readonly guest_stall_ms: number | null
  /** What the cross-traffic got, together, and the share of its frames that were lost. */
  readonly others_mbps: number | null
  readonly run_dir: string | null
}

export interface Comparison {
  readonly schema: typeof comparisonSchema
  readonly name: string
  readonly origin: Origin
  readonly repetitions: number
  readonly axes: readonly { readonly name: string; readonly labels: readonly string[] }[]
  /** Every job has a row. */
  readonly complete: boolean
  readonly invalid_rows: number
  readonly rows: readonly Row[]
}

export const defaultPlanText = `# A Pagewire plan: every combination of the axes, each repeated, in random order.
name: schemes-and-marks
origin: measured            # measured | predicted (in virtual time, without root)
repetitions: 3
seed: 1                     # of the order, and with the repetition's number of guest and cross-traffic

scenario:                   # what every cell starts from; left out: the default scenario
  link: { rate: 100mbit }
  guest: { memory: 16MiB }
  migration: { max_total_time: 20s }
  cross_traffic:
    - { kind: udp-cbr, rate: 60mbit, class: best-effort }
    - { kind: tcp-bulk, flows: 2, class: best-effort }

axes:
  migration.strategy: [pre-copy, stop-and-copy, stord]      # a key of the scenario and its values
  marks:                                                    # or names, each of which sets several keys
    unmarked: { migration.marking.bulk: best-effort, migration.marking.final: best-effort }
    CS7: { migration.marking.bulk: CS7, migration.marking.final: CS7 }
`

const planKeys = ['name', 'origin', 'repetitions', 'seed', 'scenario', 'axes']
const jobsMax = 100_000

/** Reads a plan. Usage error (exit 2) that names the key and what it should be. */
export function readPlan(text: string, fileName: string): Plan {
  const plan = parsed(text, fileName)
  const wrong = (message: string, next?: string): never => {
    throw usageError(`${fileName}: ${message}`, { code: 'bad-plan', ...(next === undefined ? {} : { next }) })
  }
  if (!isMap(plan)) return wrong('a plan is a map with name, axes, repetitions')
  for (const key of Object.keys(plan)) {
    if (planKeys.includes(key)) continue
    const near = closest(key, planKeys)
    const hint = distance(key, near) <= 3 ? `; did you mean ${near}?` : ''
    wrong(`${key}: unknown key${hint} (known: ${planKeys.join(', ')})`)
  }
  const { name = 'comparison', origin = 'measured', repetitions = 3, seed = 1, scenario, axes } = plan
  if (typeof name !== 'string' || !/^[\w.-]{1,60}$/.test(name)) wrong('name: 1 to 60 letters, digits, . _ -')
  if (origin !== 'measured' && origin !== 'predicted') return wrong('origin: measured or predicted')
  if (!isCount(repetitions, 1)) return wrong('repetitions: a whole number from 1')
  if (!isCount(seed, 0)) return wrong('seed: a whole number from 0')
  if (!isMap(axes) || Object.keys(axes).length === 0) return wrong('axes: a map of at least one axis')
  const read = Object.entries(axes).map(([axis, values]) => readAxis(axis, values, wrong))
  const jobs = read.reduce((product, { values }) => product * values.length, repetitions)
  if (jobs > jobsMax) wrong(`${jobs} runs are more than ${jobsMax}`)
  return {
    name: String(name),
    origin,
    repetitions,
    seed,
    scenarioText: scenario === undefined ? defaultScenarioText : stringify(scenario),
    axes: read,
  }
}

function parsed(text: string, fileName: string): unknown {
  try {
    return parse(text, { maxAliasCount: 100 })
  } catch (error) {
    throw usageError(`${fileName}: ${messageOf(error)}`, { code: 'plan-syntax', cause: error })
  }
}

function readAxis(name: string, values: unknown, wrong: (message: string) => never): Axis {
  if (Array.isArray(values) && values.length > 0) {
    return {
      name: name.split('.').at(-1) ?? name,
      values: values.map((value) => ({
        label: labelOf(value),
        overrides: [`${name}=${JSON.stringify(value)}`],
      })),
    }
  }
  if (!isMap(values) || Object.keys(values).length === 0) {
    return wrong(
      `axes.${name}: a list of values for this key, or a map of names with the keys that each sets`,
    )
  }
  return {
    name,
    values: Object.entries(values).map(([label, keys]) => {
      if (!isMap(keys)) return wrong(`axes.${name}.${label}: a map of keys of the scenario and their values`)
      const overrides = Object.entries(keys).map(([path, value]) => `${path}=${JSON.stringify(value)}`)
      return { label, overrides }
    }),
  }
}

function labelOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least
}

/** Every job of a plan, in the plan's random order. */
export function jobsOf(plan: Plan): readonly Job[] {
  const cells = plan.axes.reduce<readonly AxisValue[][]>(
    (found, { values }) => found.flatMap((chosen) => values.map((value) => [...chosen, value])),
    [[]],
  )
  const jobs = cells.flatMap((values) =>
    Array.from({ length: plan.repetitions }, (_, i): Job => jobOf(plan, values, i + 1)),
  )
  const order = random(plan.seed, 103)
  for (let i = jobs.length - 1; i > 0; i--) {
    const j = order.below(i + 1)
    ;[jobs[i], jobs[j]] = [jobs[j]!, jobs[i]!]
  }
  return jobs
}

function jobOf({ axes, seed }: Plan, values: readonly AxisValue[], repetition: number): Job {
  const labels = Object.fromEntries(values.map(({ label }, i) => [axes[i]?.name ?? '', label]))
  const own = (seed + repetition) >>> 0
  return {
    cell: Object.entries(labels)
      .map(([axis, label]) => `${axis}=${label}`)
      .join(','),
    labels,
    repetition,
    seed: own,
    overrides: [...values.flatMap(({ overrides }) => overrides), `seed=${own}`],
  }
}

export function rowOf(job: Job, result: RunResult): Row {
  const { migration, classes } = result
  const others = (classes as readonly { role: string; direction: string; throughput_mbps: number }[]).filter(
    ({ role, direction }) => role.startsWith('cross-traffic') && direction === 'client-to-server',
  )
  return {
    cell: job.cell,
    labels: job.labels,
    repetition: job.repetition,
    seed: job.seed,
    origin: result.origin,
    valid: result.fidelity.valid && result.outcome !== 'failed',
    outcome: result.outcome,
    total_time_ms: migration?.total_time_ms ?? null,
    downtime_ms: migration?.downtime_ms ?? null,
    goodput_mbps: migration?.goodput_mbps ?? null,
    pages_sent: migration?.pages_sent ?? null,
    rounds: migration?.rounds.length ?? null,
    wire_bytes: migration?.wire_bytes ?? null,
    outage_ms: result.outage?.client_ms ?? null,
    guest_stall_ms: migration?.guest_stall_ms ?? null,
    others_mbps: others.length === 0 ? null : others.reduce((sum, row) => sum + row.throughput_mbps, 0),
    run_dir: result.run_dir,
  }
}

export interface CompareInput {
  readonly jobs: readonly Job[]
  /** Which of the jobs have a valid row by now. */
  readonly isDone: (job: Job) => boolean
  /** Keeps the row for good before it returns. */
  readonly keep: (row: Row) => void
  readonly run: (job: Job, attempt: number) => Promise<RunResult>
  /** Jobs at a time: 1 for measured ones, which would disturb each other. */
  readonly parallel: number
  readonly nowNs: () => number
  readonly stopped: () => boolean
  readonly onProgress?: (progress: CompareProgress) => void
}

export interface CompareProgress {
  readonly done: number
  readonly total: number
  readonly running: string
  /** From what the jobs of this session took; undefined before the first ended. */
  readonly leftNs: number | undefined
}

/** Tries for one measured job whose runs are invalid; then the invalid row is kept, and says so. */
const triesMax = 3
/**
 * What disturbs a box lasts for a while: jobs that stayed invalid get their tries once more when all others are done, at
 * most this often, and not where half of all jobs are invalid, for then the box cannot do it.
 */
const returnsMax = 2

/** Runs what has no valid row yet. Returns when all have one or had their tries, or soon after `stopped`; throws what `run` throws. */
export async function compare(input: CompareInput): Promise<void> {
  const { jobs, isDone } = input
  await runAll(
    input,
    jobs.filter((job) => !isDone(job)),
  )
  for (let i = 0; i < returnsMax && !input.stopped(); i++) {
    const left = jobs.filter((job) => !isDone(job))
    if (left.length >= jobs.length / 2) return
    await runAll(input, left)
  }
}

async function runAll(input: CompareInput, pending: readonly Job[]): Promise<void> {
  const total = input.jobs.length
  const began = input.nowNs()
  let next = 0
  let finished = 0
  const worker = async (): Promise<void> => {
    while (next < pending.length && !input.stopped()) {
      const job = pending[next++]!
      const leftNs =
        finished === 0 ? undefined : ((input.nowNs() - began) / finished) * (pending.length - finished)
      input.onProgress?.({ done: total - pending.length + finished, total, running: job.cell, leftNs })
      const row = await oneRow(input, job)
      if (row === undefined) return
      input.keep(row)
      finished++
    }
  }
  await Promise.all(Array.from({ length: Math.min(input.parallel, pending.length) }, worker))
}

/** A valid row if three tries give one; undefined when it was stopped. */
async function oneRow(input: CompareInput, job: Job): Promise<Row | undefined> {
  let row: Row | undefined
  for (let attempt = 0; attempt < triesMax && !row?.valid; attempt++) {
    const result = await input.run(job, attempt)
    if (result.outcome === 'cancelled' || input.stopped()) return undefined
    row = rowOf(job, result)
  }
  return row
}

export function comparisonOf(plan: Plan, rows: readonly Row[]): Comparison {
  return {
    schema: comparisonSchema,
    name: plan.name,
    origin: plan.origin,
    repetitions: plan.repetitions,
    axes: plan.axes.map(({ name, values }) => ({ name, labels: values.map(({ label }) => label) })),
    complete: rows.length === jobsOf(plan).length,
    invalid_rows: rows.filter(({ valid }) => !valid).length,
    rows,
  }
}
