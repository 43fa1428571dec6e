/** The engine's book of the guest's disk: which blocks are unsent, and the promises of a copy that runs beside. */

import { PageSet } from '../memory/page-set.js'
import { assert } from '../support/assert.js'
import type { DiskRecord } from './metrics.js'
import type { DiskView, Intent } from './strategy.js'
import type { DiskWorld } from './testbed.js'

type Of<Name extends Intent['do']> = Extract<Intent, { do: Name }>

export class DiskLedger {
  readonly #world: DiskWorld
  readonly #unsent: PageSet
  readonly #sent: PageSet
  #copying = false
  #forwarding = false
  #known = 0
  #sentAtSuspend: number | undefined

  constructor(world: DiskWorld) {
    this.#world = world
    this.#unsent = PageSet.full(world.totalBlocks)
    this.#sent = new PageSet(world.totalBlocks)
  }

  get view(): DiskView {
    const { totalBlocks, blockBytes } = this.#world
    return { totalBlocks, blockBytes, unsent: this.#unsent.clone() }
  }

  begin({ blocks, via }: Of<'copyDisk'>, deadlineNs: number): void {
    assert(!this.#copying, 'one copy of the disk at a time')
    this.#sent.clear()
    this.#copying = true
    this.#world.begin(blocks.clone(), via, this.#sent, deadlineNs)
  }

  /** False when time is up. */
  async await({ left }: Of<'awaitDisk'>, deadlineNs: number): Promise<boolean> {
    if (!this.#copying) return true
    if (!(await this.#world.wait(left, deadlineNs))) return false
    if (left > 0) return true
    this.#copying = false
    // In this order: a block that was written after it was read is unsent again.
    this.#unsent.deleteAll(this.#sent)
    this.sync()
    return true
  }

  forward({ via, throttleEvery, firstDelayNs }: Of<'forwardWrites'>, deadlineNs: number): void {
    assert(
      !this.#copying && this.#unsent.count === this.#world.totalBlocks,
      'writes are forwarded from the start',
    )
    this.#forwarding = true
    this.#world.forward(via, { everyWrites: throttleEvery, firstDelayNs }, deadlineNs)
  }

  /** False when time is up. */
  async compare({ via }: Of<'compareDisk'>, deadlineNs: number): Promise<boolean> {
    assert(!this.#copying && !this.#forwarding, 'blocks are compared before they are copied')
    const known = new PageSet(this.#world.totalBlocks)
    // Whatever is written from here on is in the dirty log.
    this.sync()
    if (!(await this.#world.compare(via, deadlineNs, known))) return false
    this.#known = known.count
    this.#unsent.deleteAll(known)
    this.sync()
    return true
  }

  /** Reads the disk's dirty log, unless a copy runs or writes are forwarded. */
  sync(): void {
    if (!this.#copying && !this.#forwarding) this.#world.syncDirty(this.#unsent)
  }

  suspend(): void {
    assert(!this.#copying, 'a copy of the disk is over before the guest is suspended')
    this.sync()
    this.#sentAtSuspend = this.#world.counts.blocksSent
  }

  /** Before the handover: every block and every write is there. False when time is up. */
  async settle(name: string, deadlineNs: number): Promise<boolean> {
    assert(!this.#copying && this.#unsent.count === 0, `${name} leaves no block unsent`)
    return !this.#forwarding || this.#world.drain(deadlineNs)
  }

  get record(): DiskRecord {
    const { totalBlocks, blockBytes, counts } = this.#world
    const { blocksSent, deltas, writes, writeStallNs } = counts
    return {
      blocksTotal: totalBlocks,
      blockBytes,
      blocksSent,
      blocksKnown: this.#known,
      blocksSuspended: blocksSent - (this.#sentAtSuspend ?? blocksSent),
      deltas,
      writes,
      writeStallNs,
    }
  }
}
