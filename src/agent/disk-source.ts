/** The source's disk on the wire: blocks copied beside what else is sent, writes forwarded as they happen. */

import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
import { PageOrder } from '../migration/page-order.js'
import type { LaneName } from '../migration/strategy.js'
import type { DiskCounts, DiskWorld, WriteThrottle } from '../migration/testbed.js'
import { assert } from '../support/assert.js'
import type { GuestDisk } from '../workload/disk.js'
import type { WriteLog } from '../workload/write-log.js'
import type { Link } from './link.js'
import type { PageSource, SourceLane } from './source-lane.js'

/** Between two looks at what the guest has written, and at what is left of a copy. */
const lookMs = 5

/** What the disk needs of the testbed. */
export interface DiskHost {
  nowNs(): number
  advanceGuest(): void
  readonly cancelled: boolean
}

/** A stretch of work on a lane that goes on by itself. */
interface Work {
  readonly lane: SourceLane
  readonly confirmedBefore: number
  readonly blocks: number
  /** Ends with the work; rejects when the lane broke. */
  readonly ended: Promise<unknown>
}

export class DiskSource implements DiskWorld {
  readonly totalBlocks: number
  readonly blockBytes: number
  readonly #disk: GuestDisk
  readonly #link: Link
  readonly #host: DiskHost
  #copy: Work | undefined
  #blocksBefore = 0
  #forwarding: Work | undefined
  #log: WriteLog | undefined
  #draining = false

  constructor(disk: GuestDisk, link: Link, host: DiskHost) {
    this.#disk = disk
    this.#link = link
    this.#host = host
    this.totalBlocks = disk.spec.totalBlocks
    this.blockBytes = disk.spec.blockBytes
  }

  begin(blocks: ReadonlyPageSet, via: LaneName, sent: PageSet, giveUpAtNs: number): void {
    const lane = this.#link.lane(via)
    this.#copy = {
      lane,
      confirmedBefore: lane.pagesConfirmed,
      blocks: blocks.count,
      ended: this.#feed(lane, new PageOrder({ pages: blocks, via }), sent, giveUpAtNs),
    }
  }

  async wait(left: number, giveUpAtNs: number): Promise<boolean> {
    const copy = this.#copy
    assert(copy !== undefined, 'a copy of the disk was begun')
    const isThere = (): boolean => copy.blocks - (copy.lane.pagesConfirmed - copy.confirmedBefore) <= left
    if (left === 0) await copy.ended
    else while (!isThere() && !this.#isOver(giveUpAtNs)) await Promise.race([sleep(lookMs), copy.ended])
    if (!isThere()) return false
    if (left === 0) {
      this.#blocksBefore += copy.blocks
      this.#copy = undefined
    }
    return true
  }

  syncDirty(into: PageSet): void {
    this.#host.advanceGuest()
    this.#disk.blocks.cleanDirty(into)
  }

  forward(via: LaneName, throttle: WriteThrottle, giveUpAtNs: number): void {
    this.#host.advanceGuest()
    const log = this.#disk.logWrites(throttle)
    this.#log = log
    const lane = this.#link.lane(via)
    this.#forwarding = {
      lane,
      confirmedBefore: lane.pagesConfirmed,
      blocks: 0,
      ended: this.#feed(lane, this.#writes(log, giveUpAtNs), nobody, giveUpAtNs),
    }
  }

  async drain(giveUpAtNs: number): Promise<boolean> {
    const { lane, ended } = this.#forwarding ?? {}
    assert(lane !== undefined && this.#log !== undefined, 'writes are forwarded')
    this.#draining = true
    await ended
    return lane.pagesConfirmed === this.#log.length && !this.#isOver(giveUpAtNs)
  }

  async compare(via: LaneName, giveUpAtNs: number, known: PageSet): Promise<boolean> {
    this.#host.advanceGuest()
    return this.#link.compareDisk(via, giveUpAtNs, known)
  }

  get counts(): DiskCounts {
    const copy = this.#copy
    return {
      blocksSent:
        this.#blocksBefore + (copy === undefined ? 0 : copy.lane.pagesConfirmed - copy.confirmedBefore),
      deltas: this.#forwarding?.lane.pagesConfirmed ?? 0,
      writes: this.#disk.blocks.writes,
      writeStallNs: this.#disk.stallNs,
    }
  }

  #feed(
    lane: SourceLane,
    order: PageSource,
    sent: { add(page: number): void },
    giveUpAtNs: number,
  ): Promise<unknown> {
    const ended = lane.feed({
      order,
      rateLimitBps: undefined,
      feedUntilNs: giveUpAtNs,
      giveUpAtNs,
      skipping: [],
      sent,
      skipped: new PageSet(0),
      advanceGuest: () => this.#host.advanceGuest(),
      stopped: () => this.#host.cancelled,
    })
    // A lane that breaks while nobody waits for it fails the whole link, which tells whoever comes next.
    ended.catch(() => {})
    return ended
  }

  /** The writes in order, as they happen; the end of them when the log is drained. */
  #writes(log: WriteLog, giveUpAtNs: number): PageSource {
    let at = 0
    return {
      take: (out) => {
        const count = Math.min(out.length, log.length - at)
        for (let i = 0; i < count; i++) out[i] = at + i
        at += count
        return count
      },
      more: async () => {
        if (this.#draining && at === log.length) return false
        if (this.#isOver(giveUpAtNs)) return false
        if (!this.#draining) await sleep(lookMs)
        this.#host.advanceGuest()
        return true
      },
    }
  }

  #isOver(giveUpAtNs: number): boolean {
    return this.#host.cancelled || this.#host.nowNs() >= giveUpAtNs
  }
}

const nobody = { add: (): void => {} }

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
