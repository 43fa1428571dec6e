/**
 * The guest's disk in virtual time: a copy of its blocks and the forwarded writes each have a connection of their own
 * beside what else is sent, and the image at the destination is a version number for each block.
 */

import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import type { LaneName } from '../migration/strategy.js'
import type { DiskCounts, DiskWorld, WriteThrottle } from '../migration/testbed.js'
import { assert } from '../support/assert.js'
import { type GuestDisk, replicaBlocks } from '../workload/disk.js'
import type { Guest } from '../workload/guest.js'
import type { WriteLog } from '../workload/write-log.js'
import type { VirtualClock } from './clock.js'
import { type LinkSpec, wireBits } from './link.js'
import type { Beside, Wire } from './wire.js'

/** Blocks that may pass between two looks at what is left. */
const blocksPerLook = 16
/** Left over by rounding: a message of which less is missing is there. */
const roundingBits = 1e-3
/** In front of the bytes of a forwarded write: block and version. */
const deltaHeadBytes = 8
/** In a list of hashes: version and hash of a block. */
const hashEntryBytes = 20

/** Messages of one size that wait for their turn on a connection. */
class Stream implements Beside {
  readonly pcp: number
  readonly apart = false
  readonly limitBps = Number.POSITIVE_INFINITY
  readonly messageBits: number
  readonly #waiting: () => number
  readonly #through: () => void
  #bits = 0

  constructor(pcp: number, messageBits: number, waiting: () => number, through: () => void) {
    this.pcp = pcp
    this.messageBits = messageBits
    this.#waiting = waiting
    this.#through = through
  }

  get waitingBits(): number {
    const messages = this.#waiting()
    return messages === 0 ? 0 : messages * this.messageBits - this.#bits
  }

  pass(bits: number): void {
    this.#bits += bits
    while (this.#waiting() > 0 && this.#bits >= this.messageBits - roundingBits) {
      this.#bits = Math.max(0, this.#bits - this.messageBits)
      this.#through()
    }
    if (this.#waiting() === 0) this.#bits = 0
  }
}

export class ModelDisk implements DiskWorld {
  readonly totalBlocks: number
  readonly blockBytes: number
  readonly #clock: VirtualClock
  readonly #wire: Wire
  readonly #link: LinkSpec
  readonly #guest: Guest
  readonly #disk: GuestDisk
  readonly #seed: number
  readonly #pcp: (lane: LaneName) => number
  /** Version of each block at the destination plus 1; 0 where none arrived. */
  readonly #image: Uint32Array
  #blocksThere = 0
  #queue: Uint32Array = new Uint32Array(0)
  #queueAt = 0
  #sent: PageSet | undefined
  #copy: Stream | undefined
  #deltas: Stream | undefined
  #log: WriteLog | undefined
  /** Forwarded writes that arrived, and those that were applied. */
  #arrived = 0
  #applied = 0
  #blocksSent = 0

  constructor(
    clock: VirtualClock,
    wire: Wire,
    link: LinkSpec,
    guest: Guest,
    disk: GuestDisk,
    seed: number,
    pcp: (lane: LaneName) => number,
  ) {
    this.totalBlocks = disk.spec.totalBlocks
    this.blockBytes = disk.spec.blockBytes
    this.#clock = clock
    this.#wire = wire
    this.#link = link
    this.#guest = guest
    this.#disk = disk
    this.#seed = seed
    this.#pcp = pcp
    this.#image = new Uint32Array(this.totalBlocks)
  }

  begin(blocks: ReadonlyPageSet, via: LaneName, sent: PageSet): void {
    this.#wire.catchUp()
    this.#queue = new Uint32Array(blocks.count)
    blocks.fill(0, this.#queue)
    this.#queueAt = 0
    this.#sent = sent
    if (this.#copy !== undefined) return
    const bits = wireBits(this.#link, this.blockBytes + this.#link.messageHeaderBytes)
    this.#copy = new Stream(
      this.#pcp(via),
      bits,
      () => this.#queue.length - this.#queueAt,
      () => this.#blockArrived(),
    )
    this.#wire.join(this.#copy)
  }

  async wait(left: number, giveUpAtNs: number): Promise<boolean> {
    const there = await this.#until(() => this.#queue.length - this.#queueAt <= left, this.#copy, giveUpAtNs)
    if (there && left === 0) this.#clock.pass(2 * this.#link.delayNs)
    return there
  }

  syncDirty(into: PageSet): void {
    this.#guest.advance(this.#clock.nowNs)
    this.#disk.blocks.cleanDirty(into)
  }

  forward(via: LaneName, throttle: WriteThrottle): void {
    this.#guest.advance(this.#clock.nowNs)
    const log = this.#disk.logWrites(throttle)
    this.#log = log
    const bits = wireBits(this.#link, deltaHeadBytes + this.blockBytes + this.#link.messageHeaderBytes)
    this.#deltas = new Stream(
      this.#pcp(via),
      bits,
      () => log.length - this.#arrived,
      () => {
        this.#arrived++
        this.#apply()
      },
    )
    this.#wire.join(this.#deltas)
  }

  async drain(giveUpAtNs: number): Promise<boolean> {
    const log = this.#log
    assert(log !== undefined, 'writes are forwarded')
    const there = await this.#until(() => this.#arrived === log.length, this.#deltas, giveUpAtNs)
    if (there) this.#clock.pass(2 * this.#link.delayNs)
    return there
  }

  async compare(via: LaneName, giveUpAtNs: number, known: PageSet): Promise<boolean> {
    this.#guest.advance(this.#clock.nowNs)
    const replica = replicaBlocks(this.#disk.spec, this.#seed)
    const { versions } = this.#disk.blocks
    for (let block = replica.next(0); block !== -1; block = replica.next(block + 1)) {
      this.#hold(block, 0)
      if (versions.of(block) === 0) known.add(block)
    }
    const bits = wireBits(this.#link, hashEntryBytes * this.totalBlocks)
    if (this.#wire.send(this.#pcp(via), 1, bits, giveUpAtNs - 2 * this.#link.delayNs) < bits) return false
    this.#clock.pass(2 * this.#link.delayNs)
    return true
  }

  get counts(): DiskCounts {
    return {
      blocksSent: this.#blocksSent,
      deltas: this.#arrived,
      writes: this.#disk.blocks.writes,
      writeStallNs: this.#disk.stallNs,
    }
  }

  /** The oracle: blocks of the image that are not what the guest's disk holds. */
  get differingBlocks(): number {
    let differing = 0
    const { versions } = this.#disk.blocks
    for (let block = 0; block < this.totalBlocks; block++) {
      if (this.#image[block] !== versions.of(block) + 1) differing++
    }
    return differing
  }

  /** Lets time pass, and the guest write, until it is so. */
  async #until(isSo: () => boolean, stream: Stream | undefined, giveUpAtNs: number): Promise<boolean> {
    const bits = blocksPerLook * (stream?.messageBits ?? 0)
    for (;;) {
      this.#wire.catchUp()
      if (isSo()) return true
      if (this.#clock.nowNs >= giveUpAtNs) return false
      this.#clock.passTo(
        Math.min(this.#clock.nowNs + Math.ceil((bits * 1e9) / this.#link.rateBps), giveUpAtNs),
      )
      if (this.#guest.running) this.#guest.advance(this.#clock.nowNs)
    }
  }

  #blockArrived(): void {
    const block = this.#queue[this.#queueAt++]!
    this.#hold(block, this.#disk.blocks.versions.of(block))
    this.#blocksSent++
    this.#sent?.add(block)
    this.#apply()
  }

  #hold(block: number, version: number): void {
    if (this.#image[block] === 0) this.#blocksThere++
    this.#image[block] = version + 1
  }

  /** Forwarded writes wait until every block has come once; then they are applied in order. */
  #apply(): void {
    const log = this.#log
    if (log === undefined || this.#blocksThere < this.totalBlocks) return
    for (; this.#applied < this.#arrived; this.#applied++) {
      this.#hold(log.blockOf(this.#applied), log.of(this.#applied))
    }
  }
}
