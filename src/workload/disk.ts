/**
 * The guest's disk: blocks in versions, written by a writer of its own in guest time. Like the rest of the guest it is
 * lazy and deterministic: exactly the writes that were due happen when somebody looks.
 */

import { GuestMemory } from '../memory/guest-memory.js'
import { PageSet } from '../memory/page-set.js'
import { type Random, random } from '../support/random.js'
import { spreadPages } from './spread.js'
import { WriteLog } from './write-log.js'

export interface DiskSpec {
  readonly totalBlocks: number
  /** A multiple of 8, 512..32768. */
  readonly blockBytes: number
  /** Whole blocks per second of guest time. */
  readonly writesPerSecond: number
  /** Blocks that are ever written, 1..totalBlocks. */
  readonly workingSetBlocks: number
  /** Share of the blocks that the destination holds from before, for schemes that ask it. */
  readonly replicaShare: number
}

/** After each `everyWrites` writes the delay of each write doubles, from `firstDelayNs` on (Bradford et al. 2007). */
export interface WriteThrottle {
  readonly everyWrites: number
  readonly firstDelayNs: number
}

/** The delay of a write is not doubled more often than this; a write then takes weeks. */
const doublingsAtMost = 30
/** Writes that one look carries out at most; the rest waits for the next look. */
const writesPerLook = 100_000

export class GuestDisk {
  readonly spec: DiskSpec
  /** Versions and dirty log of the blocks. */
  readonly blocks: GuestMemory
  readonly #numbers: Random
  readonly #workingSet: Uint32Array
  readonly #gapNs: number
  #dueNs: number
  /** Writes since they are logged. */
  readonly log = new WriteLog()
  #throttle: WriteThrottle | undefined
  #stallNs = 0

  constructor(spec: DiskSpec, seed: number) {
    this.spec = spec
    this.blocks = new GuestMemory(spec.totalBlocks, spec.blockBytes)
    this.#numbers = random(seed, 0x6469736b)
    this.#workingSet = spreadPages(spec.totalBlocks, spec.workingSetBlocks, 1, this.#numbers)
    this.#gapNs = 1e9 / spec.writesPerSecond
    this.#dueNs = this.#gapNs
  }

  /** Carries out the writes that are due at this guest time. */
  advance(guestNs: number): void {
    for (let writes = 0; this.#dueNs <= guestNs && writes < writesPerLook; writes++) {
      const block = this.#workingSet[this.#numbers.below(this.#workingSet.length)]!
      this.blocks.write(block)
      if (this.#throttle !== undefined) this.log.add(block, this.blocks.versions.of(block))
      const delayNs = this.#delayNs()
      this.#stallNs += delayNs
      this.#dueNs += this.#gapNs + delayNs
    }
  }

  /** From now on every write is in the log, in order. */
  logWrites(throttle: WriteThrottle): WriteLog {
    this.#throttle = throttle
    return this.log
  }

  /** Guest time that writes were delayed by. */
  get stallNs(): number {
    return this.#stallNs
  }

  #delayNs(): number {
    if (this.#throttle === undefined) return 0
    const { everyWrites, firstDelayNs } = this.#throttle
    const doublings = everyWrites === 0 ? 0 : Math.floor(this.log.length / everyWrites)
    return doublings === 0 ? 0 : firstDelayNs * 2 ** Math.min(doublings - 1, doublingsAtMost)
  }
}

/** The blocks that the destination holds from before, in their first version. */
export function replicaBlocks({ totalBlocks, replicaShare }: DiskSpec, seed: number): PageSet {
  const count = Math.round(totalBlocks * replicaShare)
  if (count === 0) return new PageSet(totalBlocks)
  return PageSet.of(totalBlocks, spreadPages(totalBlocks, count, 1, random(seed, 0x7265706c)))
}
