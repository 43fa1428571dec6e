/**
 * Tables 2 and 3 of Moslehi & Mohebbi beside what the model gives: Xen's pre-copy against the proposal, its two parts
 * apart and together, with and without cross-traffic, which the paper never had. Its own contradictions stand next to it.
 */

import { migrate } from '../migration/engine.js'
import { silentJournal } from '../migration/journal.js'
import type { MigrationRecord } from '../migration/metrics.js'
import type { Strategy, StrategyFactory } from '../migration/strategy.js'
import { type Competitor, framedLink, idlePageRate } from '../model/link.js'
import { ModelTestbed } from '../model/testbed.js'
import type { WorkloadSpec } from '../workload/workload.js'
import { type Claim, reproductionSchema } from './reproduce-stord.js'
import { ms } from './result.js'

export interface MoslehiRow {
  readonly workload: 'idle' | 'light' | 'heavy'
  readonly cross_traffic: boolean
  readonly scheme: 'xen' | 'cache' | 'priority' | 'cache+priority'
  readonly outcome: MigrationRecord['outcome']
  readonly pages_sent: number
  readonly total_time_ms: number
  readonly downtime_ms: number | null
  readonly guest_stall_ms: number
  /** Fractions saved of Xen's figure under the same workload and traffic; null where either migration did not end. */
  readonly pages_saving: number | null
  readonly time_saving: number | null
  readonly downtime_saving: number | null
}

export interface MoslehiReproduction {
  readonly schema: typeof reproductionSchema
  readonly origin: 'predicted'
  readonly paper: string
  readonly setting: string
  readonly rows: readonly MoslehiRow[]
  /** Table 2 of the paper: savings as recomputed from its own rows. */
  readonly table2: {
    readonly pages_saving: number
    readonly time_saving: number
    readonly downtime_saving: number
  }
  readonly claims: readonly Claim[]
}

export interface MoslehiSchemes {
  readonly xen: StrategyFactory
  readonly cache: StrategyFactory
}

const pageBytes = 4096
const totalPages = 65_536
const rateBps = 1e9
const mtuBytes = 1500
const maxTotalNs = 600e9

const marked = 7
const bestEffort = 0
const always = { startNs: 0, stopNs: Number.POSITIVE_INFINITY }
/** Half of the link in datagrams, and three connections that take what they get, all best effort. */
const crossTraffic: readonly Competitor[] = [
  { pcp: bestEffort, offeredBps: rateBps / 2, elasticFlows: 0, ...always },
  { pcp: bestEffort, elasticFlows: 3, ...always },
]

/** Dirty ratios against the idle link. The paper says "idle", "low" and "heavy" and gives no rates. */
const workloads: readonly (readonly [MoslehiRow['workload'], number, number])[] = [
  ['idle', 0, 1],
  ['light', 0.3, 0.03],
  ['heavy', 0.9, 0.3],
]

export async function reproduceMoslehi(schemes: MoslehiSchemes): Promise<MoslehiReproduction> {
  const xen = schemes.xen.create({})
  const cache = schemes.cache.create({})
  const rows: MoslehiRow[] = []
  for (const [workload, dirtyRatio, workingSet] of workloads) {
    for (const contended of [false, true]) {
      const run = (strategy: Strategy, pcp: number): Promise<MigrationRecord> =>
        modelRun(strategy, pcp, contended, dirtyRatio, workingSet)
      const base = await run(xen, bestEffort)
      const measured = [
        ['xen', base],
        ['cache', await run(cache, bestEffort)],
        ['priority', await run(xen, marked)],
        ['cache+priority', await run(cache, marked)],
      ] as const
      for (const [scheme, record] of measured) rows.push(row(workload, contended, scheme, record, base))
    }
  }
  return {
    schema: reproductionSchema,
    origin: 'predicted',
    paper: 'Moslehi Takantapeh & Mohebbi: asynchronized cache and prioritized IP packets',
    setting:
      '256 MiB guest, 1 Gbit/s link, strict priority; cross-traffic: 500 Mbit/s of datagrams and 3 connections',
    rows,
    table2: {
      pages_saving: saving(17_811, 33_874) ?? 0,
      time_saving: saving(1227, 1234) ?? 0,
      downtime_saving: saving(193, 267) ?? 0,
    },
    claims: claimsOn(rows),
  }
}

async function modelRun(
  strategy: Strategy,
  pcp: number,
  contended: boolean,
  dirtyRatio: number,
  workingSet: number,
): Promise<MigrationRecord> {
  const link = framedLink(rateBps, mtuBytes, { competitors: contended ? crossTraffic : [] })
  const workload: WorkloadSpec = {
    kind: dirtyRatio === 0 ? 'idle' : 'hot',
    writesPerSecond: dirtyRatio * idlePageRate(link, pageBytes),
    workingSetPages: Math.round(workingSet * totalPages),
    hotShare: 0.98,
  }
  const testbed = new ModelTestbed({
    guest: { totalPages, pageBytes, seed: 1, workload },
    deviceBytes: 2 ** 18,
    link,
    lanes: { bulk: pcp },
  })
  return migrate(strategy, testbed, { maxTotalNs }, silentJournal)
}

function row(
  workload: MoslehiRow['workload'],
  contended: boolean,
  scheme: MoslehiRow['scheme'],
  record: MigrationRecord,
  base: MigrationRecord,
): MoslehiRow {
  const ended = record.outcome === 'completed' && base.outcome === 'completed'
  return {
    workload,
    cross_traffic: contended,
    scheme,
    outcome: record.outcome,
    pages_sent: record.pagesSent,
    total_time_ms: ms(record.totalNs),
    downtime_ms: record.downtimeNs === undefined ? null : ms(record.downtimeNs),
    guest_stall_ms: ms(record.guestStallNs),
    pages_saving: ended ? saving(record.pagesSent, base.pagesSent) : null,
    time_saving: ended ? saving(record.totalNs, base.totalNs) : null,
    downtime_saving: ended ? saving(record.downtimeNs, base.downtimeNs) : null,
  }
}

/** Fraction of `before` that is saved, to a ten-thousandth. */
function saving(after: number | undefined, before: number | undefined): number | null {
  if (after === undefined || before === undefined || before === 0) return null
  return Math.round((1 - after / before) * 1e4) / 1e4
}

function claimsOn(rows: readonly MoslehiRow[]): readonly Claim[] {
  return [
    {
      claim: 'The number of pages sent falls by 47.4 % (abstract), 47.7 % (table 3).',
      verdict: 'holds in part',
      because: `Table 2 gives 47.4 %; table 3 misprints it. On the model, against Xen with its skip rule and under heavy writing, the cache alone saves ${pagesSaved(rows, false)} of the pages on an idle network and ${pagesSaved(rows, true)} under cross-traffic.`,
    },
    {
      claim: 'Total migration time falls by 10 % (abstract, table 3).',
      verdict: 'does not hold',
      because: 'Table 2 gives 1234 and 1227, which is 0.6 %.',
    },
    {
      claim: 'Migration takes 1234 seconds and downtime 267 seconds (table 2).',
      verdict: 'does not hold',
      because:
        '33874 pages are 138.7 MB, which would be 0.11 MB/s on a 10 Gbit/s network; in milliseconds it is 112 MB/s, the speed of 1 Gbit/s.',
    },
    {
      claim:
        'An idle guest is down about one second less; when it is idle the difference is negligible (section 5).',
      verdict: 'does not hold',
      because:
        'The two sentences contradict each other, and Xen stops an idle guest for its device state only.',
    },
    {
      claim: 'Higher priority makes the migration faster.',
      verdict: 'holds in part',
      because:
        'Only under contention, which the experiments did not have: compare the rows with and without cross-traffic.',
    },
  ]
}

/** What the cache alone saves of Xen's pages under heavy writing. */
function pagesSaved(rows: readonly MoslehiRow[], contended: boolean): string {
  const row = rows.find(
    (one) => one.workload === 'heavy' && one.cross_traffic === contended && one.scheme === 'cache',
  )
  return row === undefined || row.pages_saving === null
    ? 'an unknown share'
    : `${(100 * row.pages_saving).toFixed(1)} %`
}
