/** Shared storage in virtual time: the blocks that the destination still has to fetch, in the order of their map entries. */

import type { Beside } from './wire.js'

export interface StorageSpec {
  /** Storage has a network of its own; otherwise its blocks cross the migration's port. */
  readonly apart: boolean
  /** Bits of whole frames that storage sends per second at most. */
  readonly rateBps: number
}

/** Left over by rounding: a block of which less is missing is there. */
const roundingBits = 1e-3

export class Fetches implements Beside {
  readonly pcp: number
  readonly apart: boolean
  readonly limitBps: number
  readonly #blockBits: number
  readonly #arrived: (page: number, version: number) => void
  readonly #queue: number[] = []
  #head = 0
  /** Version of each page that is waited for, plus 1; 0 for the others. */
  #wanted = new Uint32Array(0)
  readonly #totalPages: number
  #waiting = 0
  /** Bits of the first block of the queue that are through. */
  #through = 0
  fetched = 0
  cancelled = 0

  constructor(
    spec: StorageSpec,
    pcp: number,
    totalPages: number,
    blockBits: number,
    arrived: (page: number, version: number) => void,
  ) {
    this.pcp = pcp
    this.apart = spec.apart
    this.limitBps = spec.rateBps
    this.#blockBits = blockBits
    this.#arrived = arrived
    this.#totalPages = totalPages
  }

  get waitingBits(): number {
    return this.#waiting === 0 ? 0 : this.#waiting * this.#blockBits - this.#through
  }

  /** A map entry arrived. */
  want(page: number, version: number): void {
    // Most schemes never fetch: the list is made when one does.
    if (this.#wanted.length === 0) this.#wanted = new Uint32Array(this.#totalPages)
    if (this.#wanted[page] !== 0) return
    this.#wanted[page] = version + 1
    this.#queue.push(page)
    this.#waiting++
  }

  /** The page came another way. */
  cancel(page: number): void {
    if ((this.#wanted[page] ?? 0) === 0) return
    this.#wanted[page] = 0
    this.#waiting--
    this.cancelled++
    if (this.#queue[this.#head] === page) this.#through = 0
  }

  /** So many bits of blocks went over the wire. */
  pass(bits: number): void {
    this.#through += bits
    while (this.#waiting > 0 && this.#through >= this.#blockBits - roundingBits) this.#take()
    if (this.#waiting === 0) this.#through = 0
  }

  #take(): void {
    const page = this.#queue[this.#head++]!
    const version = this.#wanted[page]! - 1
    if (version < 0) return
    this.#wanted[page] = 0
    this.#waiting--
    this.fetched++
    this.#through = Math.max(0, this.#through - this.#blockBits)
    this.#arrived(page, version)
  }
}
