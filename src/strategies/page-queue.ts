/** Pages that wait in the order in which they came, each at most once; a page that comes again keeps its place or goes to the end. */

import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'

export class PageQueue {
  readonly #waiting: PageSet
  /** A ring of page numbers. Places that a page has left for a later one are holes, recognised by their turn. */
  readonly #ring: Uint32Array
  readonly #ringTurns: Float64Array
  readonly #turnOf: Float64Array
  readonly #sinceNs: Float64Array
  #head = 0
  #tail = 0

  constructor(capacity: number) {
    this.#waiting = new PageSet(capacity)
    // Twice the pages: holes are squeezed out before the ring is full.
    const slots = Math.max(2, 2 * capacity)
    this.#ring = new Uint32Array(slots)
    this.#ringTurns = new Float64Array(slots)
    this.#turnOf = new Float64Array(capacity)
    this.#sinceNs = new Float64Array(capacity)
  }

  get count(): number {
    return this.#waiting.count
  }

  /** Adds the pages in ascending order; those that already wait keep their place. */
  add(pages: ReadonlyPageSet, nowNs: number): void {
    for (let page = pages.next(0); page !== -1; page = pages.next(page + 1)) {
      if (this.#waiting.has(page)) continue
      this.#sinceNs[page] = nowNs
      this.#append(page)
    }
  }

  /** Those of the pages that wait go to the end of the queue. */
  moveToEnd(pages: ReadonlyPageSet): void {
    for (let page = pages.next(0); page !== -1; page = pages.next(page + 1)) {
      if (this.#waiting.has(page)) this.#append(page)
    }
  }

  /** Takes up to `most` pages from the front, oldest first. */
  take(most: number): Uint32Array {
    const taken = new Uint32Array(Math.min(most, this.#waiting.count))
    for (let filled = 0; filled < taken.length; ) {
      const slot = this.#head++ % this.#ring.length
      if (this.#isHole(slot)) continue
      const page = this.#ring[slot]!
      this.#waiting.delete(page)
      taken[filled++] = page
    }
    return taken
  }

  /** How long the first page has waited; 0 for an empty queue. */
  oldestNs(nowNs: number): number {
    if (this.#waiting.count === 0) return 0
    while (this.#isHole(this.#head % this.#ring.length)) this.#head++
    return nowNs - this.#sinceNs[this.#ring[this.#head % this.#ring.length]!]!
  }

  #append(page: number): void {
    if (this.#tail - this.#head === this.#ring.length) this.#squeeze()
    const slot = this.#tail % this.#ring.length
    this.#ring[slot] = page
    this.#ringTurns[slot] = this.#tail
    this.#turnOf[page] = this.#tail
    this.#waiting.add(page)
    this.#tail++
  }

  #isHole(slot: number): boolean {
    const page = this.#ring[slot]!
    return !this.#waiting.has(page) || this.#turnOf[page] !== this.#ringTurns[slot]
  }

  /** Moves the entries together; at least half of a full ring are holes. */
  #squeeze(): void {
    const kept = new Uint32Array(this.#waiting.count)
    let count = 0
    for (let at = this.#head; at < this.#tail; at++) {
      const slot = at % this.#ring.length
      if (!this.#isHole(slot)) kept[count++] = this.#ring[slot]!
    }
    this.#head = this.#tail
    for (const page of kept) {
      const slot = this.#tail % this.#ring.length
      this.#ring[slot] = page
      this.#ringTurns[slot] = this.#tail
      this.#turnOf[page] = this.#tail
      this.#tail++
    }
  }
}
