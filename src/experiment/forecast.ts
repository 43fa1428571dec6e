/** A scenario's migration as Akoush et al. reckon it, beside what the model makes of it: two predictions that can be compared. */

import { migrate } from '../migration/engine.js'
import { silentJournal } from '../migration/journal.js'
import { pagesPerPeek } from '../model/feed.js'
import {
  average,
  type Bounds,
  bounds,
  ConstantRate,
  type Forecast,
  forecast,
  RecordedLog,
} from '../model/forecast.js'
import { recordHistory } from '../model/history.js'
import { ModelTestbed } from '../model/testbed.js'
import { strategyNamed } from '../strategies/index.js'
import { xenPolicy } from '../strategies/pre-copy.js'
import { usageError } from '../support/errors.js'
import { modelSpec } from './predict.js'
import { type MigrationResult, mbps, migrationResult, ms } from './result.js'
import type { Scenario } from './scenario.js'

export const forecastMethods = ['avg', 'hist'] as const
export type ForecastMethod = (typeof forecastMethods)[number]

export interface ForecastResult {
  readonly schema: 'pagewire.forecast/1'
  readonly origin: 'predicted'
  readonly method: ForecastMethod
  readonly scenario: unknown
  /** What the reckoning rests on. */
  readonly inputs: {
    /** Page payload rate of an idle migration on the modelled link. */
    readonly rate_mbps: number
    readonly overhead_ms: number
    readonly downtime_overhead_ms: number
    /** Seed of the earlier run that was recorded. */
    readonly history_seed: number
    readonly interval_ms: number
    readonly dirty_pages_per_second: number
    readonly working_set_pages: number
  }
  readonly forecast: {
    readonly total_time_ms: number
    readonly downtime_ms: number
    readonly pages_sent: number
    readonly rounds: readonly { readonly pages_sent: number; readonly pages_skipped: number }[]
  }
  readonly bounds: { readonly xen42: BoundsResult; readonly xen_new: BoundsResult }
  /** The same scenario run on the model. */
  readonly model: MigrationResult
  /** Of the forecast, against the model: (forecast - model) / model. */
  readonly relative_error: {
    readonly total_time: number
    readonly downtime: number | null
    readonly pages_sent: number
  }
}

interface BoundsResult {
  readonly total_time_ms_min: number
  readonly total_time_ms_max: number
  readonly downtime_ms_min: number
  readonly downtime_ms_max: number
}

/** Live rounds that both toolstacks make at most. */
const liveRounds = { xen42: 29, xenNew: 5 } as const
/** The record covers the longest migration that the stop rules allow, in multiples of memory. */
const recordedMemories = 6
const shortestIntervalNs = 1e6
const intervalsAtMost = 100_000

/** Throws a usage error unless the scenario's strategy is pre-copy with one of Xen's stop rules. */
export async function forecastScenario(
  scenario: Scenario,
  method: ForecastMethod,
  historySeed: number,
): Promise<ForecastResult> {
  const { migration, guest } = scenario
  const policy = migration.strategy === 'pre-copy' ? xenPolicy(migration.options) : undefined
  if (policy === undefined) {
    throw usageError(`--method ${method} reckons pre-copy with profile xen42 or xen-new only`, {
      code: 'not-forecast',
      next: 'Set migration.strategy=pre-copy and migration.options.profile=xen42, or leave --method out.',
    })
  }
  const idle = await modelled(withoutWrites(scenario))
  const pageNs = (guest.pageBytes * 8e9) / idle.goodputBps
  const probe = {
    totalPages: guest.totalPages,
    pageNs,
    overheadNs: Math.max(0, idle.totalNs - guest.totalPages * pageNs),
    downtimeOverheadNs: idle.downtimeNs ?? 0,
  }
  const horizonNs = recordedMemories * guest.totalPages * pageNs
  const intervalNs = Math.max(shortestIntervalNs, Math.ceil(horizonNs / intervalsAtMost))
  const spec = { ...modelSpec(scenario).guest, seed: historySeed }
  const history = recordHistory(spec, intervalNs, Math.ceil(horizonNs / intervalNs))
  const { pagesPerSecond, workingSetPages } = average(guest.totalPages, history)
  const dirtying =
    method === 'avg'
      ? new ConstantRate(guest.totalPages, pagesPerSecond, workingSetPages)
      : new RecordedLog(guest.totalPages, history)
  const reckoned = forecast({ ...probe, policy, pagesPerPeek }, dirtying)
  const record = await modelled(scenario)
  const model = migrationResult(record, {
    setupNs: 0,
    verified: record.outcome === 'completed',
    wireBytes: null,
  })
  return {
    schema: 'pagewire.forecast/1',
    origin: 'predicted',
    method,
    scenario: scenario.given,
    inputs: {
      rate_mbps: mbps(idle.goodputBps),
      overhead_ms: ms(probe.overheadNs),
      downtime_overhead_ms: ms(probe.downtimeOverheadNs),
      history_seed: historySeed,
      interval_ms: ms(intervalNs),
      dirty_pages_per_second: Math.round(pagesPerSecond),
      working_set_pages: workingSetPages,
    },
    forecast: forecastResult(reckoned),
    bounds: {
      xen42: boundsResult(bounds('xen42', liveRounds.xen42, probe)),
      xen_new: boundsResult(bounds('xen-new', liveRounds.xenNew, probe)),
    },
    model,
    relative_error: {
      total_time: relative(reckoned.totalNs, record.totalNs),
      downtime: record.downtimeNs ? relative(reckoned.downtimeNs, record.downtimeNs) : null,
      pages_sent: relative(reckoned.pagesSent, record.pagesSent),
    },
  }
}

type Modelled = Awaited<ReturnType<typeof migrate>>

function modelled(scenario: Scenario): Promise<Modelled> {
  const { migration } = scenario
  const strategy = strategyNamed(migration.strategy).create(migration.options)
  const testbed = new ModelTestbed(modelSpec(scenario))
  return migrate(strategy, testbed, { maxTotalNs: migration.maxTotalNs }, silentJournal)
}

function withoutWrites(scenario: Scenario): Scenario {
  const { guest } = scenario
  const workload = { ...guest.workload, kind: 'idle', dirtyPagesPerSecond: 0 } as const
  return { ...scenario, guest: { ...guest, workload } }
}

function forecastResult({ totalNs, downtimeNs, pagesSent, rounds }: Forecast): ForecastResult['forecast'] {
  return {
    total_time_ms: ms(totalNs),
    downtime_ms: ms(downtimeNs),
    pages_sent: pagesSent,
    rounds: rounds.map(({ sent, skipped }) => ({ pages_sent: sent, pages_skipped: skipped })),
  }
}

function boundsResult(limits: Bounds): BoundsResult {
  return {
    total_time_ms_min: ms(limits.totalNsMin),
    total_time_ms_max: ms(limits.totalNsMax),
    downtime_ms_min: ms(limits.downtimeNsMin),
    downtime_ms_max: ms(limits.downtimeNsMax),
  }
}

/** To a tenth of a per mille. */
function relative(forecasted: number, actual: number): number {
  return Math.round(((forecasted - actual) / actual) * 1e4) / 1e4
}
