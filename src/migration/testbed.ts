/** What the engine needs of a world: real agents in network namespaces, or a model in virtual time. Types only. */

import type { Accesses } from '../memory/access-log.js'
import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import type { PushQueue } from './push.js'
import type { Lane, LaneName, LogState } from './strategy.js'

export interface CopyRequest {
  readonly lanes: readonly Lane[]
  /** No page leaves after this time of the testbed's clock. */
  readonly feedUntilNs: number
  /** Return by this time even when pages that left are not confirmed. >= feedUntilNs. */
  readonly giveUpAtNs: number
  readonly skipRedirtied: boolean
  /** Pages that the guest accessed since the last readAccesses are skipped at their turn in the same way. */
  readonly skipAccessed: boolean
  /** Writes of the guest to pages outside this set and outside the dirty log wait until the copy ends. */
  readonly holdWritesOutside?: ReadonlyPageSet
  /** All lanes name the same pages, of which each takes the next few when it has room. */
  readonly sharePages?: true
  /** Receives the pages that the destination confirmed. */
  readonly sent: PageSet
  /** Receives the pages that were skipped because the guest wrote to them again before their turn. */
  readonly skipped: PageSet
}

/** Bytes that a copy put on the wire's application layer: page payload, and everything with its headers. */
export interface CopyResult {
  readonly payloadBytes: number
  readonly messageBytes: number
  readonly zeroPages: number
  /** Pages that went as the number of a block on shared storage; none when absent. */
  readonly mappedPages?: number
}

export interface PushRequest {
  /** What to push, and in what order. */
  readonly queue: PushQueue
  readonly via: LaneName
  readonly faultsVia: LaneName
  /** No page that nobody waits for leaves after this time. */
  readonly feedUntilNs: number
  /** Return by this time even when pages that left are not confirmed. */
  readonly giveUpAtNs: number
  /** Receives the pages that the destination confirmed. */
  readonly sent: PageSet
}

export interface PushResult extends CopyResult {
  /** Pages that the guest had to wait for and asked for over the network. */
  readonly requests: number
}

export interface HandoverResult {
  /** When the last byte of the device state was confirmed, on the testbed's clock. */
  readonly deviceDoneNs: number
  /** When the guest ran at the destination, on the testbed's clock. */
  readonly resumedNs: number
  readonly messageBytes: number
}

export interface ShipResult {
  /** Records and what they were framed in. */
  readonly messageBytes: number
}

/** What a scheme that moves the disk needs of a world. Blocks are numbered like pages. */
export interface DiskWorld {
  readonly totalBlocks: number
  readonly blockBytes: number
  /** Begins to copy these blocks; those that the destination confirmed are in `sent` when the copy is over. */
  begin(blocks: ReadonlyPageSet, via: LaneName, sent: PageSet, giveUpAtNs: number): void
  /** Returns when at most `left` blocks of the copy are not confirmed; false when it is time to give up before. */
  wait(left: number, giveUpAtNs: number): Promise<boolean>
  /** Reads and clears the disk's dirty log. */
  syncDirty(into: PageSet): void
  /** Forwards each write from now on. */
  forward(via: LaneName, throttle: WriteThrottle, giveUpAtNs: number): void
  /** Returns when every write so far is at the destination; false when it is time to give up before. */
  drain(giveUpAtNs: number): Promise<boolean>
  /** Adds to `known` the blocks that the destination has in their newest version. False: no answer in time. */
  compare(via: LaneName, giveUpAtNs: number, known: PageSet): Promise<boolean>
  readonly counts: DiskCounts
}

export interface WriteThrottle {
  readonly everyWrites: number
  readonly firstDelayNs: number
}

/** So far, repeats counted. */
export interface DiskCounts {
  readonly blocksSent: number
  /** Writes that were forwarded. */
  readonly deltas: number
  readonly writes: number
  /** Guest time that writes were delayed by. */
  readonly writeStallNs: number
}

export interface Testbed {
  readonly origin: 'measured' | 'predicted'
  readonly totalPages: number
  readonly pageBytes: number
  /** Absent where the guest has no disk that moves with it. */
  readonly disk?: DiskWorld | undefined
  /** Monotonic, in nanoseconds. */
  nowNs(): number
  /** Sends pages until all are sent or skipped, or a time limit cuts it short. Ends when sent pages are confirmed. */
  copy(request: CopyRequest): Promise<CopyResult>
  /** Reads and clears the dirty log into the set; returns how many pages it held. */
  syncDirty(into: PageSet): Promise<number>
  /** The dirty log at this moment. */
  peekDirty(): ReadonlyPageSet
  /** What the scheme regards as outstanding memory; for workloads that stay inside it. */
  declareOutstanding(pages: ReadonlyPageSet): void
  /** Reads and clears the guest's access log; the first call begins it. */
  readAccesses(latest: number, writesOnly: boolean): Accesses
  /** Pages that the guest has returned to the hypervisor: a live view. */
  readonly ballooned: ReadonlyPageSet
  /** The guest returns its free pages but so many. */
  balloon(reservePages: number): void
  /** Snapshot: from now on copies read it, and the guest's inputs are logged. Once a migration. */
  checkpoint(replaySpeed: number): void
  /** Sends the log; with the guest suspended it also waits until the destination has executed all of it. */
  shipLog(via: LaneName, giveUpAtNs: number): Promise<ShipResult | 'gave up'>
  logState(): LogState
  throttle(withhold: number): Promise<void>
  wait(forNs: number): Promise<void>
  /** Stops the guest's network, where it has one: called just before `suspend`, so that nothing of it answers after. */
  silence?(): Promise<void>
  /** Stops the guest and reads the dirty log a last time. */
  suspend(into: PageSet): Promise<number>
  /**
   * Sends the device state and lets the destination run the guest. `missing` are pages that it does not have in their
   * newest version: it must forget what it has of them, and the guest waits at its first access to one.
   */
  handover(via: LaneName, giveUpAtNs: number, missing: ReadonlyPageSet): Promise<HandoverResult | 'gave up'>
  /** After a handover with pages missing: pushes them and serves faults. Ends when what left is confirmed. */
  push(request: PushRequest): Promise<PushResult>
  /** The pages that are still missing will never come: the guest is lost at the destination. */
  abandon(reason: string): Promise<void>
  /** Tells the destination to forget the guest, and lets it run on at the source. */
  abort(reason: string): Promise<void>
  /** True when somebody asked to stop: the engine then aborts with outcome `cancelled`. */
  readonly cancelled: boolean
  /** Guest running time lost to throttling so far, in nanoseconds. */
  readonly guestStallNs: number
}
