/** The contract between a strategy and the engine: types only, no I/O, no clock, no randomness. */

import type { Accesses } from '../memory/access-log.js'
import type { EncodingSpec } from '../memory/encoding.js'
import type { ReadonlyPageSet } from '../memory/page-set.js'
import type { LaneName } from './lanes.js'
import type { PushOrder } from './push.js'

export type { LaneName } from './lanes.js'
export type { PushOrder } from './push.js'

/** Pages to send on one lane: a set goes in ascending page order, a list in its own order (no page twice). */
export interface Lane {
  readonly pages: ReadonlyPageSet | Uint32Array
  readonly via: LaneName
  /** A set goes round from this page: ascending to the end, then from page 0; 0 when absent. */
  readonly from?: number
  /** How pages become payloads; raw when absent. */
  readonly encoding?: EncodingSpec
  /** Upper bound of the sending rate in payload bits per second; none when absent. */
  readonly rateLimitBps?: number
}

/** What a strategy may ask for. One intent is in progress at a time, and every intent ends. */
export type Intent =
  | {
      readonly do: 'copy'
      readonly lanes: readonly Lane[]
      /** Cuts the copy short; without it the engine sees to it that every page is sent or skipped. */
      readonly atMostNs?: number
      /**
       * Xen's rule: the dirty log is peeked before each batch of 1024 pages, and pages written again before their
       * turn are skipped (they stay unsent). Xen 4.2.3 tools/libxc/xc_domain_save.c.
       */
      readonly skipRedirtied?: boolean
      /** The same with the access log in the place of the dirty log: needs a readAccesses before. */
      readonly skipAccessed?: true
      /**
       * While the copy lasts, a write to a page that is neither in this set nor in the dirty log waits; at the end of
       * the copy it happens. So a guest pays for a new dirty page with the time of one copy (scheme 8).
       */
      readonly holdWritesOutside?: ReadonlyPageSet
      /** All lanes name the same pages; each page goes once, on the lane that has room for the next batch first. */
      readonly sharePages?: true
    }
  /**
   * Reads and clears the dirty log into `unsent`: closes this round and opens the next, unless the scheme counts
   * rounds otherwise and this sync is within one.
   */
  | { readonly do: 'syncDirty'; readonly sameRound?: true }
  /** Tells the world what memory the scheme regards as outstanding: the workload `nested` then writes only there. */
  | { readonly do: 'declare'; readonly outstanding: ReadonlyPageSet }
  /**
   * Reads and clears what the guest accessed (or only wrote) since the last read: accessed bits, and the `latest`
   * accesses in order. The first read begins the log and finds nothing.
   */
  | { readonly do: 'readAccesses'; readonly latest: number; readonly writesOnly?: true }
  /** Share of guest CPU time withheld from now on, 0..1. */
  | { readonly do: 'throttle'; readonly withhold: number }
  | { readonly do: 'wait'; readonly forNs: number }
  /** Downtime starts. Implies a last syncDirty. */
  | { readonly do: 'suspend' }
  /** Device state, then the destination resumes the guest: downtime ends. Pages left unsent are to be pushed. */
  | { readonly do: 'handover'; readonly via: LaneName }
  /**
   * After a handover that left pages unsent: pushes them in this order, and serves each page that the guest at the
   * destination waits for at once, on a lane of its own. Ends when nothing is left to push, or at `atMostNs`.
   */
  | {
      readonly do: 'push'
      readonly order: PushOrder
      readonly via: LaneName
      readonly faultsVia: LaneName
      readonly atMostNs?: number
    }
  /**
   * Takes a copy-on-write snapshot of the guest, which every copy sends from now on, and logs what reaches the guest
   * from outside. The destination executes again what it did, `replaySpeed` times as fast; 0: as fast as it can.
   */
  | { readonly do: 'checkpoint'; readonly replaySpeed: number }
  /**
   * Once the snapshot is at the destination: sends what was logged since the last time. Ends when it has arrived, or,
   * with the guest suspended, when the destination has executed all of it; its memory is then the guest's.
   */
  | { readonly do: 'shipLog'; readonly via: LaneName }
  /** The guest returns its free pages, but so many, to the hypervisor: they are no longer unsent, and never will be. */
  | { readonly do: 'balloon'; readonly reservePages: number }
  /** Says something about the migration that its result then tells. */
  | { readonly do: 'note'; readonly text: string }
  /**
   * Begins to copy blocks of the guest's disk on a lane of its own, and goes on at once: memory is copied beside. One
   * such copy at a time.
   */
  | { readonly do: 'copyDisk'; readonly blocks: ReadonlyPageSet; readonly via: LaneName }
  /** Waits until at most so many blocks of the copy are not at the destination. With 0 the disk's dirty log is read too. */
  | { readonly do: 'awaitDisk'; readonly left: number }
  /**
   * From now on each write to the disk is forwarded as it happens, in order, on this lane; nothing of it is then in the
   * disk's dirty log. After each `throttleEvery` writes (0: never) the delay of a write doubles.
   */
  | {
      readonly do: 'forwardWrites'
      readonly via: LaneName
      readonly throttleEvery: number
      readonly firstDelayNs: number
    }
  /** Sends the hashes of all blocks; those that the destination has already are not unsent any more. */
  | { readonly do: 'compareDisk'; readonly via: LaneName }
  /** Gives up: the guest runs on at the source. A result, not an error. */
  | { readonly do: 'abort'; readonly reason: string }

/** What a strategy may know: a snapshot taken when the previous intent ended. */
export interface View {
  /** Since the migration began; the only clock a strategy has. */
  readonly nowNs: number
  readonly phase: 'running' | 'suspended' | 'postcopy'
  /** syncDirty calls so far (the one that `suspend` implies included). */
  readonly round: number
  readonly totalPages: number
  readonly pageBytes: number
  /** Newest known version not yet at the destination. */
  readonly unsent: ReadonlyPageSet
  /** Written since the last syncDirty: a peek that clears nothing. */
  readonly redirtied: ReadonlyPageSet
  /** What the last syncDirty found; empty before the first. */
  readonly lastSync: ReadonlyPageSet
  /** What the last readAccesses found; empty before the second. */
  readonly accesses: Accesses
  /** What the last copy did; all zero before the first. */
  readonly lastCopy: CopyOutcome
  /** Pages in the migration so far, repeats counted each time. */
  readonly sentPages: number
  /** How far the log and the destination have come; absent before a checkpoint. */
  readonly log?: LogState
  /** Absent where the guest has no disk that moves with it. */
  readonly disk?: DiskView
}

/** The log of a guest that is executed again at the destination. */
export interface LogState {
  /** Logged and not sent. */
  readonly pendingBytes: number
  readonly sentBytes: number
  /** Guest time that the destination has not executed yet, as far as the source has heard. */
  readonly lagNs: number
}

export interface DiskView {
  readonly totalBlocks: number
  readonly blockBytes: number
  /** Blocks whose newest known version is not at the destination; those of a copy in progress are among them. */
  readonly unsent: ReadonlyPageSet
}

export interface CopyOutcome {
  readonly sentPages: number
  readonly skippedPages: number
  /** The pages that were skipped: written again before their turn. */
  readonly skipped: ReadonlyPageSet
  readonly durationNs: number
  /** Page payload that the destination confirmed, in bits per second; 0 when nothing was sent. */
  readonly goodputBps: number
}

/** How a user sees one option. `unit` is what a scenario writes: `pages`, `ns` as a duration, `share`, `name`... */
export interface OptionHelp {
  readonly name: string
  readonly unit: string
  readonly default: string
  readonly meaning: string
}

/** A scheme without its rule: what `schemes` prints and reports cite. */
export interface SchemeInfo {
  readonly name: string
  /** Number in the literature table (ARCHITECTURE.md). */
  readonly number: number
  readonly title: string
  /** The scheme in one sentence. */
  readonly idea: string
  readonly source: string
  /** `reconstruction`: the public record is too thin to transcribe; rules are ours and every report says so. */
  readonly origin: 'published' | 'reconstruction'
  /** Which of its rules are ours, and why: absent where the source gives them all. */
  readonly ours?: string
  /** It predicts migrations and moves nothing: the command that asks it. */
  readonly predictor?: string
  readonly options: readonly OptionHelp[]
}

/** A scheme with its options bound: decides, never does. A generator satisfies the iterator. */
export interface Strategy {
  readonly info: SchemeInfo
  /** Lanes that it uses besides `bulk` and `final`. */
  readonly lanes?: readonly LaneName[]
  /** Threads that are to compress pages for it, at most; they are there when the migration begins. */
  readonly threads?: number
  decide(first: View): Iterator<Intent, void, View>
}

/** Binds the options that a scenario gives. Throws a usage error for an unknown option or value. */
export interface StrategyFactory {
  readonly info: SchemeInfo
  create(options: Readonly<Record<string, unknown>>): Strategy
}
