/** What a guest accessed since somebody last looked: the set of pages (accessed bits), and the latest accesses in order. */

import { PageSet, type ReadonlyPageSet } from './page-set.js'

export interface Accesses {
  readonly pages: ReadonlyPageSet
  /** The latest accesses, oldest first; repeats are kept. */
  readonly sequence: Uint32Array
}

export class AccessLog {
  /** Only writes are logged. */
  readonly writesOnly: boolean
  readonly #totalPages: number
  readonly #ring: Uint32Array
  #pages: PageSet
  #count = 0

  /** `latest`: how many accesses of the sequence are kept. */
  constructor(totalPages: number, latest: number, writesOnly: boolean) {
    this.writesOnly = writesOnly
    this.#totalPages = totalPages
    this.#ring = new Uint32Array(Math.max(1, latest))
    this.#pages = new PageSet(totalPages)
  }

  /** Pages accessed since the last take: a live view. */
  get pages(): ReadonlyPageSet {
    return this.#pages
  }

  note(page: number): void {
    this.#pages.add(page)
    this.#ring[this.#count % this.#ring.length] = page
    this.#count++
  }

  /** Hands out what was noted and begins anew. */
  take(): Accesses {
    const taken = { pages: this.#pages, sequence: this.#sequence() }
    this.#pages = new PageSet(this.#totalPages)
    this.#count = 0
    return taken
  }

  #sequence(): Uint32Array {
    const ring = this.#ring
    if (this.#count <= ring.length) return ring.slice(0, this.#count)
    const oldest = this.#count % ring.length
    const sequence = new Uint32Array(ring.length)
    sequence.set(ring.subarray(oldest))
    sequence.set(ring.subarray(0, oldest), ring.length - oldest)
    return sequence
  }
}
