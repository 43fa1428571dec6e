/**
 * Searches schemes and options in virtual time for those that reach a goal, and says what each costs: bytes, downtime,
 * stalls of the guest, and what the others on the link lose. Which options are tried is written here; a scheme without
 * a row is tried with its defaults.
 */

import { classOfDscp } from '../marking/traffic-class.js'
import { silentJournal } from '../migration/journal.js'
import type { StrategyFactory } from '../migration/strategy.js'
import { wireBits } from '../model/link.js'
import { PagewireError, usageError } from '../support/errors.js'
import { parseDurationNs } from '../support/units.js'
import { modelLink, predict } from './predict.js'
import type { MigrationResult, RunResult } from './result.js'
import type { Scenario } from './scenario.js'

export const planSchema = 'pagewire.plan/1'

/** Upper bounds that must all hold. */
export interface Goal {
  readonly downtimeNs?: number
  readonly totalNs?: number
}

export interface Candidate {
  readonly strategy: string
  readonly options: Readonly<Record<string, unknown>>
  readonly marking: 'as given' | 'none'
  readonly outcome: RunResult['outcome']
  readonly meets_goal: boolean
  readonly total_time_ms: number
  readonly downtime_ms: number | null
  readonly pages_sent: number
  /** Whole frames of the migration, towards the destination. */
  readonly wire_bytes: number
  readonly guest_stall_ms: number
  readonly guest_throttle_max: number
  /** Share of what the cross-traffic would have delivered without the migration that it loses meanwhile; null without any. */
  readonly others_loss_ratio: number | null
}

export interface Plan {
  readonly schema: typeof planSchema
  readonly origin: 'predicted'
  readonly goal: { readonly downtime_ms?: number; readonly total_time_ms?: number }
  readonly searched: number
  readonly reached: boolean
  /** The best first; none of them is worse than another in everything. */
  readonly best: readonly Candidate[]
}

/** `downtime=300ms` or `total=60s`. Throws a usage error. */
export function parseGoal(texts: readonly string[]): Goal {
  const goal: { downtimeNs?: number; totalNs?: number } = {}
  for (const text of texts) {
    const [name, value] = text.split('=')
    const key = name === 'downtime' ? 'downtimeNs' : name === 'total' ? 'totalNs' : undefined
    if (key === undefined || value === undefined || goal[key] !== undefined) {
      throw usageError(`'${text}' is not a goal`, {
        code: 'bad-goal',
        next: 'Give downtime=300ms, total=60s, or one of each.',
      })
    }
    goal[key] = parseDurationNs(value)
  }
  return goal
}

/** Tries every candidate on the model. `tried` hears how many were. */
export async function searchPlan(
  scenario: Scenario,
  strategies: readonly StrategyFactory[],
  goal: Goal,
  shown: number,
  tried: (count: number, of: number) => void,
): Promise<Plan> {
  const attempts = strategies.flatMap((factory) =>
    optionSets(factory, goal).flatMap((options) =>
      markings(scenario).map((marking) => ({ factory, options, marking })),
    ),
  )
  const candidates: Candidate[] = []
  for (const { factory, options, marking } of attempts) {
    tried(candidates.length, attempts.length)
    candidates.push(await attempt(scenario, factory, options, marking, goal))
  }
  const reaching = candidates.filter((one) => one.meets_goal)
  const pool = reaching.length > 0 ? reaching : candidates.filter((one) => one.downtime_ms !== null)
  return {
    schema: planSchema,
    origin: 'predicted',
    goal: {
      ...(goal.downtimeNs === undefined ? {} : { downtime_ms: goal.downtimeNs / 1e6 }),
      ...(goal.totalNs === undefined ? {} : { total_time_ms: goal.totalNs / 1e6 }),
    },
    searched: candidates.length,
    reached: reaching.length > 0,
    best: unbeaten(pool)
      .sort((a, b) => rankOf(a, goal) - rankOf(b, goal))
      .slice(0, shown),
  }
}

/** What a person would turn. Facts about the box or the link are no options to search. */
function optionSets({ info }: StrategyFactory, goal: Goal): readonly Readonly<Record<string, unknown>>[] {
  const limits = (goal.downtimeNs === undefined ? [100, 300, 1000] : shares(goal.downtimeNs / 1e6)).map(
    (ms) => `${ms}ms`,
  )
  const brakes = ['none', 'auto-converge', 'dirty-limit']
  const held = [0.01, 0.05, 0.2].map((max_held) => ({ max_held }))
  const tried: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
    'pre-copy': [
      ...['xen-new', 'threshold-only'].map((profile) => ({ profile })),
      ...[10, 500].map((threshold_pages) => ({ threshold_pages })),
      ...[3, 8].map((max_rounds) => ({ max_rounds })),
    ],
    qemu: limits.flatMap((downtime_limit) => brakes.map((brake) => ({ downtime_limit, brake }))),
    xbzrle: limits.flatMap((downtime_limit) => [
      { downtime_limit },
      { downtime_limit, brake: 'auto-converge' },
    ]),
    'post-copy': [{ variant: 'push' }, { rounds: 1 }, { rounds: 2 }],
    stord: [3, 5, 10].map((split) => ({ split })),
    'async-cache': [0.01, 0.02, 0.1].map((prm_a) => ({ prm_a })),
    ma: held,
    hu: held,
    safari: held,
    zaw: [0.02, 0.05, 0.2].map((list) => ({ list, observe_for: '300ms' })),
    'farzin-alamdari': [{ distance: 'exact' }, { horizon: 0.5 }, { horizon: 2 }],
    ibrahim: limits.map((floor) => ({ floor })),
  }
  return [{}, ...(tried[info.name] ?? [])]
}

/** The limit is what the scheme expects, not what comes of it: some below the goal are tried too. */
function shares(ms: number): readonly number[] {
  return [0.3, 0.6, 0.9].map((share) => Math.max(1, Math.round(share * ms)))
}

/** Marks matter where somebody competes. */
function markings({ crossTraffic, migration }: Scenario): readonly Candidate['marking'][] {
  const marked = Object.values(migration.lanes).some(({ dscp }) => dscp !== 0)
  return crossTraffic.length > 0 && marked ? ['as given', 'none'] : ['as given']
}

async function attempt(
  given: Scenario,
  factory: StrategyFactory,
  options: Readonly<Record<string, unknown>>,
  marking: Candidate['marking'],
  goal: Goal,
): Promise<Candidate> {
  const scenario = withMarking(given, marking)
  const { outcome, migration } = await predict(scenario, factory.create(options), silentJournal)
  if (migration === null)
    throw new PagewireError(1, 'a prediction without a migration', { code: 'no-prediction' })
  const { total_time_ms, downtime_ms } = migration
  const bits = wireBits(modelLink(scenario), applicationBytes(migration))
  return {
    strategy: factory.info.name,
    options,
    marking,
    outcome,
    meets_goal:
      outcome === 'completed' &&
      (downtime_ms ?? Number.POSITIVE_INFINITY) * 1e6 <= (goal.downtimeNs ?? Number.POSITIVE_INFINITY) &&
      total_time_ms * 1e6 <= (goal.totalNs ?? Number.POSITIVE_INFINITY),
    total_time_ms,
    downtime_ms,
    pages_sent: migration.pages_sent,
    wire_bytes: Math.round(bits / 8),
    guest_stall_ms: migration.guest_stall_ms,
    guest_throttle_max: migration.guest_throttle_max,
    others_loss_ratio: othersLoss(scenario, bits, total_time_ms / 1e3),
  }
}

function withMarking(scenario: Scenario, marking: Candidate['marking']): Scenario {
  if (marking === 'as given') return scenario
  const { migration } = scenario
  const unmarked = classOfDscp(scenario.marking, 0)
  const lanes = { ...migration.lanes, bulk: unmarked, final: unmarked, faults: unmarked }
  return { ...scenario, migration: { ...migration, lanes } }
}

function applicationBytes({ rounds }: MigrationResult): number {
  return rounds.reduce((sum, round) => sum + round.bytes_sent, 0)
}

/** The port is never idle while somebody has something to send, so what the migration takes and nobody left over is missing. */
function othersLoss({ crossTraffic, link }: Scenario, migrationBits: number, seconds: number): number | null {
  if (crossTraffic.length === 0 || seconds === 0) return null
  const wanted = crossTraffic.reduce((sum, stream) => {
    const from = stream.startNs / 1e9
    const to = Math.min(seconds, (stream.stopNs ?? Number.POSITIVE_INFINITY) / 1e9)
    return sum + (stream.rateBps ?? Number.POSITIVE_INFINITY) * Math.max(0, to - from)
  }, 0)
  const carried = link.rateBps * seconds
  const alone = Math.min(carried, wanted)
  const beside = Math.min(Math.max(0, carried - migrationBits), wanted)
  return alone === 0 ? null : Math.round(1e4 * (1 - beside / alone)) / 1e4
}

/** Those that no other one beats in everything that is shown. */
function unbeaten(candidates: readonly Candidate[]): Candidate[] {
  const costs = candidates.map(costsOf)
  return candidates.filter((_, i) => {
    const mine = costs[i]!
    return !costs.some((other, j) => {
      const better = other.some((cost, k) => cost < mine[k]!)
      const worse = other.some((cost, k) => cost > mine[k]!)
      return !worse && (better || j < i)
    })
  })
}

function costsOf(one: Candidate): readonly number[] {
  return [
    one.total_time_ms,
    one.downtime_ms ?? Number.POSITIVE_INFINITY,
    one.wire_bytes,
    one.guest_stall_ms,
    one.others_loss_ratio ?? 0,
  ]
}

/**
 * With a goal for the downtime, what takes least time; with one for the time, what is down least. Stalls of the guest
 * count as time lost: a guest that waits for its pages is no better off than one that is suspended.
 */
function rankOf(one: Candidate, goal: Goal): number {
  const down = (one.downtime_ms ?? Number.POSITIVE_INFINITY) + one.guest_stall_ms
  const overDown =
    goal.downtimeNs === undefined
      ? 0
      : Math.max(0, (one.downtime_ms ?? Number.POSITIVE_INFINITY) * 1e6 - goal.downtimeNs)
  const overTotal = goal.totalNs === undefined ? 0 : Math.max(0, one.total_time_ms * 1e6 - goal.totalNs)
  const over = (overDown + overTotal) / 1e6
  return 1e6 * over + (goal.totalNs === undefined ? one.total_time_ms + one.guest_stall_ms : down)
}
