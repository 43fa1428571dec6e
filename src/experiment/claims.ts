/**
 * What a validation claims about pairs of runs: how each figure is read from a result, which way is better, what a
 * cut-off run still tells of it, and the sentence that comes out.
 */

import type { ClassResult } from '../analysis/run-classes.js'
import type { Random } from '../support/random.js'
import type { RunResult } from './result.js'
import { type Effect, mean, summarise, type Verdict, verdictOf } from './statistics.js'

/** What is known of one run's figure; the ends differ where the run was cut off or shows nothing. */
export type Reading = Effect

export type Kind =
  /** The marked runs are better by at least the minimum effect. */
  | 'gain'
  /** The others lose less than the minimum effect. */
  | 'cost'
  /** The marked runs' own mean keeps a limit. */
  | 'level'

export interface Claim {
  readonly metric: string
  /** Of the cross-traffic that it is about. */
  readonly class?: string
  readonly stream?: string
  readonly kind: Kind
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** Effects are ratios, shown in percent, or differences in `unit`. */
  readonly scale: 'ratio' | 'difference'
  /** Share (ratio), difference or limit in `unit`; never negative. */
  readonly minEffect: number
  /** Whether the verdict of the whole depends on it. */
  readonly decides: boolean
  readonly read: (result: RunResult) => Reading
}

/** A row of `claims` in the validation document. */
export interface ClaimResult {
  readonly metric: string
  readonly class?: string
  readonly stream?: string
  readonly kind: Kind
  readonly decides: boolean
  readonly verdict: Verdict
  readonly because: string
  /** Change from unmarked to marked in `unit`, or the marked mean (`level`); null when nothing is known. */
  readonly effect: number | null
  /** Whether the truth may be larger or smaller than `effect`, because of runs that were cut off. */
  readonly effect_is: 'exact' | 'at least' | 'at most' | 'unknown'
  readonly unit: string
  /** Null: open, because of runs that were cut off. */
  readonly ci95: readonly [lo: number | null, hi: number | null]
  /** Two-sided sign-flip test of "no effect". */
  readonly p: number
  readonly min_effect: number
  readonly better: 'higher' | 'lower'
  /** Means of what each arm's runs showed, cut-off runs at what they had reached. */
  readonly marked: number | null
  readonly unmarked: number | null
  readonly value_unit: string
  readonly pairs: number
  /** Pairs of which one run or both tell only a bound of this figure. */
  readonly censored_pairs: number
}

/** The figures of one pair: index 0 unmarked, 1 marked. */
export type ReadPair = readonly [unmarked: Reading, marked: Reading]

const unknown: Reading = { lo: 0, hi: Number.POSITIVE_INFINITY }

/** A figure that a cut-off run has only reached so far. */
function reached({ outcome }: RunResult, value: number | undefined): Reading {
  if (value === undefined) return unknown
  return outcome === 'completed' ? exactly(value) : { lo: value, hi: Number.POSITIVE_INFINITY }
}

/** A figure that only a handed-over guest has. */
function afterHandover({ outcome }: RunResult, value: number | null | undefined): Reading {
  return outcome === 'completed' && value !== null && value !== undefined ? exactly(value) : unknown
}

function exactly(value: number): Reading {
  return { lo: value, hi: value }
}

/** Claims about the migration. `decide`: the metrics that the verdict of the whole depends on. */
export function migrationClaims(minEffect: number, decide: readonly string[]): readonly Claim[] {
  const gain = (
    metric: string,
    unit: string,
    better: Claim['better'],
    read: (result: RunResult) => Reading,
  ): Claim => ({
    metric,
    kind: 'gain',
    unit,
    better,
    scale: 'ratio',
    minEffect,
    decides: decide.includes(metric),
    read,
  })
  return [
    // A rate over the time that the run had: a run that was cut off shows it as well as one that ended.
    gain('goodput', 'Mbit/s', 'higher', (run) =>
      run.migration ? exactly(run.migration.goodput_mbps) : unknown,
    ),
    gain('total_time', 'ms', 'lower', (run) => reached(run, run.migration?.total_time_ms)),
    gain('downtime', 'ms', 'lower', (run) => afterHandover(run, run.migration?.downtime_ms)),
    gain('pages_sent', 'pages', 'lower', (run) => reached(run, run.migration?.pages_sent)),
    gain('outage', 'ms', 'lower', (run) => afterHandover(run, run.outage?.client_ms)),
  ]
}

/** A stream of cross-traffic, as the rows of a result call it. */
export interface Other {
  readonly stream: string
  readonly class: string
}

/** Loss has no ratio to speak of when it was 0: this many percentage points count. */
const lossPointsThatCount = 1

/** Claims about what the others pay: throughput, loss and the time in the queue. */
export function othersClaims(others: readonly Other[], minEffect: number): readonly Claim[] {
  return others.flatMap((other) =>
    Object.entries(othersFigures).map(
      ([metric, { unit, better, scale, of }]): Claim => ({
        metric,
        ...other,
        kind: 'cost',
        unit,
        better,
        scale,
        minEffect: scale === 'ratio' ? minEffect : lossPointsThatCount,
        decides: false,
        read: readOther(other, of),
      }),
    ),
  )
}

const othersFigures = {
  throughput: {
    unit: 'Mbit/s',
    better: 'higher',
    scale: 'ratio',
    of: (row: ClassResult) => row.throughput_mbps,
  },
  loss: {
    unit: '%',
    better: 'lower',
    scale: 'difference',
    of: (row: ClassResult) => (row.loss_ratio === null ? null : 100 * row.loss_ratio),
  },
  latency_p50: {
    unit: 'ms',
    better: 'lower',
    scale: 'ratio',
    of: (row: ClassResult) => row.queue_delay_ms_p50,
  },
  latency_p99: {
    unit: 'ms',
    better: 'lower',
    scale: 'ratio',
    of: (row: ClassResult) => row.queue_delay_ms_p99,
  },
} as const

/** The least that a figure can tell apart from nothing, so that ratios exist. */
const resolution = 0.001

function readOther(other: Other, of: (row: ClassResult) => number | null): Claim['read'] {
  return (run) => {
    const rows = run.classes as readonly ClassResult[]
    const row = rows.find(({ role, direction }) => role === other.stream && direction === 'client-to-server')
    const value = row === undefined ? null : of(row)
    return value === null ? unknown : exactly(value)
  }
}

export type LevelProblem = { readonly problem: string }

/** `downtime < 300 ms`, `tenants latency_p99 < 5 ms`, `best-effort loss < 1 %`: limits that the marked runs must keep. */
export function levelClaims(text: string, others: readonly Other[]): readonly Claim[] | LevelProblem {
  const match = /^\s*(?:(\S+)\s+)?([a-z_0-9]+)\s*([<>])\s*(\d+(?:\.\d+)?)\s*(\S*)\s*$/.exec(text)
  if (!match) return { problem: 'write it like "downtime < 300 ms" or "tenants p99 < 5 ms"' }
  const [, subject, word = '', sign, number, unit = ''] = match
  const metric = aliases[word] ?? word
  const base = subject === undefined ? migrationClaims(0, []) : othersClaims(matching(subject, others), 0)
  const found = base.filter((claim) => claim.metric === metric)
  const first = found[0]
  if (first === undefined) {
    const known = subject === undefined ? migrationClaims(0, []) : othersClaims(others.slice(0, 1), 0)
    const names = [...new Set(known.map((claim) => claim.metric))].join(', ')
    return {
      problem: `nothing here is called "${subject ?? ''} ${word}"; known: ${names} of ${whose(others)}`,
    }
  }
  if (unit !== '' && unit !== first.unit) return { problem: `${metric} is in ${first.unit}` }
  return found.map((claim) => ({
    ...claim,
    kind: 'level',
    scale: 'difference',
    better: sign === '<' ? 'lower' : 'higher',
    minEffect: Number(number),
    decides: true,
  }))
}

const aliases: Readonly<Record<string, string>> = { p50: 'latency_p50', p99: 'latency_p99' }

function matching(subject: string, others: readonly Other[]): readonly Other[] {
  if (['tenants', 'tenant', 'others'].includes(subject)) return others
  return others.filter(({ stream, class: name }) => name === subject || stream.includes(` ${subject} `))
}

function whose(others: readonly Other[]): string {
  return ['the migration', 'tenants', ...new Set(others.map((other) => other.class))].join(', ')
}

/** The pair's effect where larger is better and 0 is none: a difference of logarithms for ratios. */
function benefit(claim: Claim, [unmarked, marked]: ReadPair): Effect {
  if (claim.kind === 'level') return oriented(claim, marked)
  const [before, after] =
    claim.scale === 'ratio' ? [logarithm(unmarked), logarithm(marked)] : [unmarked, marked]
  return oriented(claim, { lo: after.lo - before.hi, hi: after.hi - before.lo })
}

function oriented({ better }: Claim, { lo, hi }: Effect): Effect {
  return better === 'higher' ? { lo, hi } : { lo: -hi, hi: -lo }
}

/** An exact 0 is below what can be told apart from it; 0 as an open end stays one. */
function logarithm({ lo, hi }: Reading): Effect {
  return lo === hi ? exactly(Math.log(Math.max(lo, resolution))) : { lo: Math.log(lo), hi: Math.log(hi) }
}

/** What the benefit must exceed. */
function threshold({ kind, scale, better, minEffect }: Claim): number {
  const sign = better === 'higher' ? 1 : -1
  if (kind === 'level') return sign * minEffect
  const wanted = kind === 'gain' ? 1 : -1
  if (scale === 'difference') return wanted * minEffect
  // 10 % more, or 10 % less, of what was there unmarked.
  return sign * Math.log(1 + sign * wanted * minEffect)
}

/** The verdict at a look that may spend `alpha`, one-sided. */
export function judge(claim: Claim, pairs: readonly ReadPair[], alpha: number, random: Random): Verdict {
  const effects = pairs.map((pair) => benefit(claim, pair))
  return verdictOf(effects, threshold(claim), alpha, random)
}

/** The row of the document, with a verdict that was reached before. */
export function claimResult(
  claim: Claim,
  pairs: readonly ReadPair[],
  verdict: Verdict,
  random: Random,
): ClaimResult {
  const { metric, kind, decides, better } = claim
  const { effect, bound, interval, p } = summarise(
    pairs.map((pair) => benefit(claim, pair)),
    random,
  )
  const flipped = better === 'lower'
  const shown = [interval.lo, interval.hi].map((end) => display(claim, end))
  const [lo = null, hi = null] = flipped ? shown.toReversed() : shown
  const row = {
    metric,
    ...(claim.class === undefined ? {} : { class: claim.class }),
    ...(claim.stream === undefined ? {} : { stream: claim.stream }),
    kind,
    decides,
    verdict,
    effect: display(claim, effect),
    effect_is: bound === 'exact' || bound === 'unknown' || !flipped ? bound : opposite(bound),
    unit: claim.scale === 'ratio' ? '%' : claim.unit,
    ci95: [lo, hi],
    p: rounded(p),
    min_effect: claim.scale === 'ratio' ? rounded(100 * claim.minEffect) : claim.minEffect,
    better,
    marked: meanOf(pairs.map(([, marked]) => marked)),
    unmarked: meanOf(pairs.map(([unmarked]) => unmarked)),
    value_unit: claim.unit,
    pairs: pairs.length,
    censored_pairs: pairs.filter((pair) => pair.some((reading) => reading.lo !== reading.hi)).length,
  } as const
  return { ...row, because: because(claim, row) }
}

function opposite(bound: 'at least' | 'at most'): 'at least' | 'at most' {
  return bound === 'at least' ? 'at most' : 'at least'
}

/** From the benefit's scale to the change that people read: percent of unmarked, or the unit. */
function display(claim: Claim, value: number): number | null {
  const change = claim.better === 'lower' ? -value : value
  if (!Number.isFinite(change)) return null
  if (claim.scale === 'difference') return rounded(change)
  const percent = 100 * (Math.exp(change) - 1)
  return Number.isFinite(percent) ? rounded(percent) : null
}

function because(
  claim: Claim,
  row: Pick<ClaimResult, 'verdict' | 'pairs' | 'censored_pairs' | 'ci95' | 'min_effect' | 'unit'>,
): string {
  const cut =
    row.censored_pairs === 0 ? '' : `; ${row.censored_pairs} pairs with a run that was cut off at its limit`
  return `${sentence(claim, row)}${cut}`
}

function sentence(
  claim: Claim,
  { verdict, ci95, min_effect, unit }: Pick<ClaimResult, 'verdict' | 'ci95' | 'min_effect' | 'unit'>,
): string {
  const least = `${min_effect} ${unit}`
  const [lo, hi] = ci95
  switch (claim.kind) {
    case 'level': {
      const limit = `${claim.better === 'lower' ? 'below' : 'above'} ${least}`
      if (verdict === 'PASS') return `the marked mean is ${limit}`
      return verdict === 'FAIL' ? `the marked mean is not ${limit}` : `cannot tell whether it is ${limit}`
    }
    case 'gain': {
      if (verdict === 'PASS') return `better by more than ${least}`
      if (verdict === 'INCONCLUSIVE') return `the interval does not tell whether it is better by ${least}`
      const worse = claim.better === 'higher' ? hi !== null && hi < 0 : lo !== null && lo > 0
      const none = lo !== null && hi !== null && lo > -min_effect && hi < min_effect
      return worse && !none ? 'worse than unmarked' : none ? 'no effect' : `not better by ${least}`
    }
    case 'cost': {
      if (verdict === 'PASS') return `costs less than ${least}`
      return verdict === 'FAIL'
        ? `costs more than ${least}`
        : `the interval does not tell whether it costs ${least}`
    }
  }
}

/** Cut-off runs count with what they reached; null when a run shows nothing. */
function meanOf(readings: readonly Reading[]): number | null {
  const known = readings.filter((reading) => reading !== unknown).map(({ lo }) => lo)
  return known.length === 0 ? null : rounded(mean(known))
}

/** Six significant digits are more than any run repeats. */
function rounded(value: number): number {
  return Number(value.toPrecision(6))
}
