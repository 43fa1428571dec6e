/**
 * The result document of a run (`result.json`, schema pagewire.run/1) and the one place where our units become its
 * snake_case names. What each figure means is defined where it is computed: migration/metrics.ts, analysis/.
 */

import type { WireOutage } from '../analysis/client-watch.js'
import type { MigrationRecord, Outcome, Round } from '../migration/metrics.js'
import { bitsPerSecond } from '../migration/metrics.js'

export const runSchema = 'pagewire.run/1'

export interface RoundResult {
  readonly round: number
  readonly phase: Round['phase']
  readonly start_ms: number
  readonly duration_ms: number
  readonly pages_sent: number
  /** By place: in each of at most 64 equal parts of memory, from page 0 on. */
  readonly pages_sent_by_region: readonly number[]
  readonly pages_skipped: number
  readonly pages_dirtied: number
  readonly bytes_sent: number
  readonly goodput_mbps: number
}

export interface MigrationResult {
  readonly strategy: string
  readonly total_time_ms: number
  readonly setup_time_ms: number
  /** Null when the guest was not handed over. */
  readonly downtime_ms: number | null
  readonly downtime_split_ms: {
    readonly final_copy: number
    readonly device: number
    readonly handover: number
  } | null
  readonly rounds: readonly RoundResult[]
  readonly pages_total: number
  readonly pages_sent: number
  readonly pages_zero: number
  readonly pages_unique: number
  readonly pages_postcopy_requests: number
  /** What the destination read from shared storage; null for a scheme that uses none. */
  readonly storage: {
    /** Pages that the source sent as the number of a block, repeats counted. */
    readonly pages_mapped: number
    readonly blocks_fetched: number
    /** Fetches that a newer page from the source made needless. */
    readonly fetches_cancelled: number
    readonly bytes_fetched: number
  } | null
  /** What became of the guest's disk; null for a scheme that does not move it. */
  readonly disk: {
    readonly blocks_total: number
    readonly block_bytes: number
    /** Blocks copied, repeats counted. */
    readonly blocks_sent: number
    /** Blocks that the destination had already. */
    readonly blocks_known: number
    /** Blocks copied while the guest was suspended. */
    readonly blocks_suspended: number
    /** Writes that were forwarded in order, and applied after the copy. */
    readonly deltas_sent: number
    readonly bytes_sent: number
    readonly writes: number
    /** Guest time that writes were delayed by. */
    readonly write_stall_ms: number
  } | null
  readonly payload_bytes: number
  /** Whole frames of the migration's lanes, both directions, from the capture; null in a prediction without one. */
  readonly wire_bytes: number | null
  readonly goodput_mbps: number
  readonly guest_stall_ms: number
  readonly guest_throttle_max: number
  /** Pages that the guest had returned to the hypervisor: never sent; absent without any. */
  readonly pages_ballooned?: number
  /** Log of a guest that was executed again at the destination; absent without one. */
  readonly log_bytes?: number
  /** What the strategy had to say; absent when nothing. */
  readonly notes?: readonly string[]
  /** The destination's memory was compared with the source's at suspend and equals it. */
  readonly verified: boolean
}

export interface FidelityCheck {
  readonly name: string
  readonly value: number
  readonly limit: number
  readonly unit: string
  readonly ok: boolean
  /** What to change when it is not. */
  readonly advice: string
}

export interface Fidelity {
  readonly valid: boolean
  readonly checks: readonly FidelityCheck[]
}

export interface CrossTrafficResult {
  readonly kind: string
  readonly class: string
  readonly offered_mbps: number | null
  readonly achieved_mbps: number
  readonly loss_ratio: number | null
}

export interface CaptureResult {
  readonly point: string
  readonly file: string
  readonly packets: number
  readonly dropped_by_kernel: number
}

/** Moments of the time line that others look up. */
export const moments = {
  suspended: 'guest suspended at the source',
  running: 'guest running at the destination',
  firstQuestion: 'first question at the destination',
} as const

/** What the guest's client saw. Times of day are milliseconds since the start of the migration. */
export interface OutageResult {
  /** The longest time between two answers, as the client saw it. */
  readonly client_ms: number
  /** Questions since the start of the migration, and those that were never answered. */
  readonly probes_sent: number
  readonly probes_lost: number
  /** From the last answer before it to the first one after it. */
  readonly from_ms: number
  readonly to_ms: number
  /** No answer ended it. */
  readonly open: boolean
  readonly rate_per_s: number
  readonly class: string
  /** What happened around the handover, in order. */
  readonly timeline: readonly { readonly at_ms: number; readonly what: string }[]
  /** Questions shortly before, in and after the gap: when each was sent, and its round trip; null: never answered. */
  readonly latency: readonly { readonly at_ms: number; readonly rtt_ms: number | null }[]
  /** The same gap in the captures; null when they were not analysed. */
  readonly wire: WireOutage | null
  /** With `client.network: other`, once the guest was handed over; what is above is then of the old connection. */
  readonly moved?: {
    /** `ipip` or `vxlan`, and by when the old host sent on through it. */
    readonly tunnel: string
    readonly tunnel_ms: number
    readonly new_address: string
    /** New connections, by the guest's name: when the first went to the new address, and was answered; null: never. */
    readonly first_connected_ms: number | null
    readonly first_answer_ms: number | null
    readonly probes_sent: number
    readonly probes_lost: number
  }
}

/** Every field of result.json. Parts that a prediction cannot have are empty there. */
export interface RunResult {
  readonly schema: typeof runSchema
  readonly origin: 'measured' | 'predicted'
  readonly outcome: Outcome
  readonly reason?: string
  readonly run_dir: string | null
  readonly scenario: unknown
  readonly applied: unknown
  readonly migration: MigrationResult | null
  readonly classes: readonly unknown[]
  readonly marks: unknown
  readonly cross_traffic: readonly CrossTrafficResult[]
  /** Null: nobody asked. */
  readonly outage: OutageResult | null
  readonly captures: readonly CaptureResult[]
  readonly ledger: unknown
  readonly fidelity: Fidelity
}

/** What the record does not hold. */
export interface MigrationExtras {
  readonly setupNs: number
  readonly verified: boolean
  readonly wireBytes: number | null
  readonly storage?: {
    readonly blocksFetched: number
    readonly fetchesCancelled: number
    readonly bytesFetched: number
  }
}

export function migrationResult(record: MigrationRecord, extras: MigrationExtras): MigrationResult {
  const split = record.downtimeSplitNs
  return {
    strategy: record.strategy,
    total_time_ms: ms(record.totalNs),
    setup_time_ms: ms(extras.setupNs),
    downtime_ms: record.downtimeNs === undefined ? null : ms(record.downtimeNs),
    downtime_split_ms:
      split === undefined
        ? null
        : { final_copy: ms(split.finalCopy), device: ms(split.device), handover: ms(split.handover) },
    rounds: record.rounds.map(roundResult),
    pages_total: record.pagesTotal,
    pages_sent: record.pagesSent,
    pages_zero: record.pagesZero,
    pages_unique: record.pagesUnique,
    pages_postcopy_requests: record.postcopyRequests,
    storage: storageResult(record, extras),
    disk: diskResult(record),
    payload_bytes: record.payloadBytes,
    wire_bytes: extras.wireBytes,
    goodput_mbps: mbps(record.goodputBps),
    guest_stall_ms: ms(record.guestStallNs),
    guest_throttle_max: record.guestThrottleMax,
    ...(record.pagesBallooned === undefined ? {} : { pages_ballooned: record.pagesBallooned }),
    ...(record.logBytes === undefined ? {} : { log_bytes: record.logBytes }),
    ...(record.notes === undefined ? {} : { notes: record.notes }),
    verified: extras.verified,
  }
}

function storageResult(
  { pagesMapped }: MigrationRecord,
  { storage }: MigrationExtras,
): MigrationResult['storage'] {
  if (storage === undefined) return null
  return {
    pages_mapped: pagesMapped,
    blocks_fetched: storage.blocksFetched,
    fetches_cancelled: storage.fetchesCancelled,
    bytes_fetched: storage.bytesFetched,
  }
}

function diskResult({ disk }: MigrationRecord): MigrationResult['disk'] {
  if (disk === undefined) return null
  return {
    blocks_total: disk.blocksTotal,
    block_bytes: disk.blockBytes,
    blocks_sent: disk.blocksSent,
    blocks_known: disk.blocksKnown,
    blocks_suspended: disk.blocksSuspended,
    deltas_sent: disk.deltas,
    bytes_sent: (disk.blocksSent + disk.deltas) * disk.blockBytes,
    writes: disk.writes,
    write_stall_ms: ms(disk.writeStallNs),
  }
}

function roundResult(round: Round): RoundResult {
  return {
    round: round.round,
    phase: round.phase,
    start_ms: ms(round.startNs),
    duration_ms: ms(round.durationNs),
    pages_sent: round.pagesSent,
    pages_sent_by_region: round.pagesSentByRegion,
    pages_skipped: round.pagesSkipped,
    pages_dirtied: round.pagesDirtied,
    bytes_sent: round.bytesSent,
    goodput_mbps: mbps(bitsPerSecond(round.payloadBytes, round.durationNs)),
  }
}

/** Milliseconds to the microsecond. */
export function ms(ns: number): number {
  return Math.round(ns / 1e3) / 1e3
}

/** Megabits per second to the kilobit. */
export function mbps(bps: number): number {
  return Math.round(bps / 1e3) / 1e3
}
