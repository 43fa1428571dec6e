/** What comes of a scenario's scheme over the plane of dirty rate and available bandwidth, in virtual time. */

import { silentJournal } from '../migration/journal.js'
import type { StrategyFactory } from '../migration/strategy.js'
import { usageError } from '../support/errors.js'
import { predict } from './predict.js'
import { linkPageRate, type Scenario } from './scenario.js'

export interface MapCell {
  readonly bandwidth_mbps: number
  readonly dirty_rate_pages_per_s: number
  /** Bytes dirtied per byte that this bandwidth carries. */
  readonly dirty_ratio: number
  readonly outcome: string
  readonly total_time_ms: number
  readonly downtime_ms: number | null
  readonly rounds: number
  /** Pages sent as a multiple of memory. */
  readonly volume: number
}

export interface ConvergenceMap {
  readonly strategy: string
  readonly memory_bytes: number
  readonly max_total_ms: number
  readonly cells: readonly MapCell[]
}

/** Shares of the scenario's link rate. */
const bandwidths = [1 / 8, 1 / 5, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 4]
/** Of the pages per second that the scenario's idle link carries. */
const dirtyRates = [0.03, 0.06, 0.12, 0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.8, 3]

/** `began` hears of each row. Cross-traffic is left out: the bandwidth is what is available. Throws for an idle guest. */
export async function convergenceMap(
  scenario: Scenario,
  factory: StrategyFactory,
  began: (row: number, of: number) => void,
): Promise<ConvergenceMap> {
  const { workload } = scenario.guest
  if (workload.kind === 'idle') {
    throw usageError('an idle guest has no dirty rate to vary', {
      code: 'no-dirty-rate',
      next: 'Give guest.workload another kind, for example hot.',
    })
  }
  if (workload.kind === 'trace') {
    throw usageError('a trace has a dirty rate of its own, which cannot be varied', {
      code: 'no-dirty-rate',
      next: 'Give guest.workload another kind, for example hot.',
    })
  }
  const cells: MapCell[] = []
  for (const [row, bandwidth] of bandwidths.entries()) {
    began(row, bandwidths.length)
    for (const dirtyRate of dirtyRates) cells.push(await cellOf(scenario, factory, bandwidth, dirtyRate))
  }
  return {
    strategy: factory.info.name,
    memory_bytes: scenario.guest.memoryBytes,
    max_total_ms: scenario.migration.maxTotalNs / 1e6,
    cells,
  }
}

async function cellOf(
  scenario: Scenario,
  factory: StrategyFactory,
  bandwidth: number,
  dirtyRate: number,
): Promise<MapCell> {
  const { guest, link } = scenario
  const rateBps = Math.round(bandwidth * link.rateBps)
  const pagesPerSecond = dirtyRate * linkPageRate(link, guest.pageBytes)
  const varied: Scenario = {
    ...scenario,
    link: { ...link, rateBps },
    guest: { ...guest, workload: { ...guest.workload, dirtyPagesPerSecond: pagesPerSecond } },
    crossTraffic: [],
  }
  const strategy = factory.create(scenario.migration.options)
  const { outcome, migration } = await predict(varied, strategy, silentJournal)
  return {
    bandwidth_mbps: rateBps / 1e6,
    dirty_rate_pages_per_s: Math.round(10 * pagesPerSecond) / 10,
    dirty_ratio: Math.round((1e4 * dirtyRate) / bandwidth) / 1e4,
    outcome,
    total_time_ms: migration?.total_time_ms ?? 0,
    downtime_ms: migration?.downtime_ms ?? null,
    rounds: migration?.rounds.length ?? 0,
    volume: migration === null ? 0 : Math.round((1e3 * migration.pages_sent) / migration.pages_total) / 1e3,
  }
}
