/** The metrics of one migration, each defined once. Times are nanoseconds since the migration began. */

export type Outcome = 'completed' | 'aborted' | 'failed' | 'cancelled'

/** One round: from a syncDirty (or the start) to the next one. The stop-and-copy phase is the last entry. */
export interface Round {
  readonly round: number
  readonly phase: 'running' | 'suspended' | 'postcopy'
  readonly startNs: number
  readonly durationNs: number
  /** Page messages that the destination confirmed. */
  readonly pagesSent: number
  /** The same by place in memory: in each region of `regionPages`, from page 0 on. */
  readonly pagesSentByRegion: readonly number[]
  /** Pages left out because the guest wrote to them again before their turn. */
  readonly pagesSkipped: number
  /** Pages that the sync at the end of the round found dirty. */
  readonly pagesDirtied: number
  /** Pages whose newest known version was not at the destination when the round ended. */
  readonly pagesOutstanding: number
  /** Application bytes: page payload and message headers. */
  readonly bytesSent: number
  readonly payloadBytes: number
}

export interface MigrationRecord {
  readonly strategy: string
  readonly outcome: Outcome
  readonly reason?: string
  /** Start of the migration to source released (or to the abort). */
  readonly totalNs: number
  /** Guest suspended at the source to guest running at the destination; absent without a handover. */
  readonly downtimeNs?: number
  readonly downtimeSplitNs?: {
    readonly finalCopy: number
    readonly device: number
    readonly handover: number
  }
  readonly rounds: readonly Round[]
  readonly pagesTotal: number
  /** Page messages confirmed, repeats counted each time, zero pages included. */
  readonly pagesSent: number
  readonly pagesZero: number
  /** Page messages that only named a block on shared storage. */
  readonly pagesMapped: number
  /** Different pages sent at least once. */
  readonly pagesUnique: number
  /** Pages that the guest at the destination waited for and asked for over the network. */
  readonly postcopyRequests: number
  readonly payloadBytes: number
  readonly messageBytes: number
  /** Page payload bits per second over the time in which copies were in progress. */
  readonly goodputBps: number
  readonly disk?: DiskRecord
  readonly guestStallNs: number
  readonly guestThrottleMax: number
  /** Pages without content that were never sent, since the guest had returned them; absent without any. */
  readonly pagesBallooned?: number
  /** Log of a guest that was executed again at the destination, with its framing; absent without one. */
  readonly logBytes?: number
  /** What the strategy had to say, each sentence once; absent when nothing. */
  readonly notes?: readonly string[]
}

/** What became of a disk that moved with its guest. */
export interface DiskRecord {
  readonly blocksTotal: number
  readonly blockBytes: number
  /** Blocks confirmed, repeats counted; forwarded writes are not among them. */
  readonly blocksSent: number
  /** Blocks that the destination had already. */
  readonly blocksKnown: number
  /** Blocks that were sent while the guest was suspended. */
  readonly blocksSuspended: number
  readonly deltas: number
  readonly writes: number
  readonly writeStallNs: number
}

/** A migration that ended before its first page could leave. */
export function nothingMoved(
  strategy: string,
  outcome: Outcome,
  reason: string,
  totalNs: number,
  pagesTotal: number,
): MigrationRecord {
  return {
    strategy,
    outcome,
    reason,
    totalNs,
    rounds: [],
    pagesTotal,
    pagesSent: 0,
    pagesZero: 0,
    pagesMapped: 0,
    pagesUnique: 0,
    postcopyRequests: 0,
    payloadBytes: 0,
    messageBytes: 0,
    goodputBps: 0,
    guestStallNs: 0,
    guestThrottleMax: 0,
  }
}

/** Bits per second; 0 when no time passed. */
export function bitsPerSecond(bytes: number, durationNs: number): number {
  return durationNs > 0 ? (bytes * 8 * 1e9) / durationNs : 0
}

const regionsMax = 64

/** Pages of one region of a page map: memory in at most 64 equal parts, each of whole words of a page set. */
export function regionPages(totalPages: number): number {
  return 32 * Math.max(1, Math.ceil(totalPages / 32 / regionsMax))
}
