/** A set of page numbers as a bitmap, with its count kept up to date. Iteration is in ascending page order and in batches. */

import { assert } from '../support/assert.js'

export interface ReadonlyPageSet {
  /** Pages that could be in the set: members are 0..capacity-1. */
  readonly capacity: number
  readonly count: number
  has(page: number): boolean
  /** The first member >= from, or -1. */
  next(from: number): number
  /** The last member <= from, or -1. */
  previous(from: number): number
  /** Writes members >= from into `out` in ascending order, as many as fit, and returns how many. */
  fill(from: number, out: Uint32Array): number
  clone(): PageSet
  /** So many bytes of the bitmap from page `first`, a multiple of 8: page p is in bit p & 7 of its byte. */
  toBits(first: number, bytes: number): Uint8Array
  /** The bitmap, 32 pages a word, page p in bit p & 31 of word p >>> 5. Read only. */
  readonly words: Uint32Array
}

export class PageSet implements ReadonlyPageSet {
  readonly capacity: number
  readonly words: Uint32Array
  #count = 0

  constructor(capacity: number) {
    assert(
      Number.isInteger(capacity) && capacity >= 0 && capacity <= 2 ** 32,
      'a page set holds up to 2^32 pages',
    )
    this.capacity = capacity
    this.words = new Uint32Array(Math.ceil(capacity / 32))
  }

  /** All pages 0..capacity-1. */
  static full(capacity: number): PageSet {
    const set = new PageSet(capacity)
    set.words.fill(0xffffffff)
    const spare = set.words.length * 32 - capacity
    if (spare > 0) set.words[set.words.length - 1] = 0xffffffff >>> spare
    set.#count = capacity
    return set
  }

  static of(capacity: number, pages: Iterable<number>): PageSet {
    const set = new PageSet(capacity)
    for (const page of pages) set.add(page)
    return set
  }

  get count(): number {
    return this.#count
  }

  has(page: number): boolean {
    return ((this.words[page >>> 5]! >>> (page & 31)) & 1) === 1
  }

  add(page: number): void {
    const word = this.words[page >>> 5]!
    const bit = 1 << (page & 31)
    if ((word & bit) === 0) {
      this.words[page >>> 5] = word | bit
      this.#count++
    }
  }

  /** Adds pages[from..end): the loop that guests spend their time in. */
  addList(pages: Uint32Array, from: number, end: number): void {
    const words = this.words
    let added = 0
    // Neighbours share a word, which is not written for each of them.
    let index = 0
    let word = words[0]! | 0
    for (let i = from; i < end; i++) {
      const page = pages[i]!
      if (page >>> 5 !== index) {
        words[index] = word
        index = page >>> 5
        word = words[index]! | 0
      }
      // Without a branch, as in takeFrom.
      added += ~(word >>> (page & 31)) & 1
      word |= 1 << (page & 31)
    }
    words[index] = word
    this.#count += added
  }

  /**
   * Takes the members of `among` out of list[0..count) and adds them to this set; the others move up, and their
   * number is returned. Without branches: which pages a guest writes to is not for a processor to predict.
   */
  takeFrom(list: Uint32Array, count: number, among: ReadonlyPageSet): number {
    const theirs = this.#wordsOf(among)
    const words = this.words
    let kept = 0
    let added = 0
    for (let i = 0; i < count; i++) {
      const page = list[i]!
      const index = page >>> 5
      const word = words[index]! | 0
      const taken = (theirs[index]! >>> (page & 31)) & 1
      const bit = taken << (page & 31)
      words[index] = word | bit
      added += taken & ~(word >>> (page & 31))
      list[kept] = page
      kept += 1 - taken
    }
    this.#count += added
    return kept
  }

  delete(page: number): void {
    const word = this.words[page >>> 5]!
    const bit = 1 << (page & 31)
    if ((word & bit) !== 0) {
      this.words[page >>> 5] = word & ~bit
      this.#count--
    }
  }

  clear(): void {
    this.words.fill(0)
    this.#count = 0
  }

  addAll(other: ReadonlyPageSet): void {
    const theirs = this.#wordsOf(other)
    const mine = this.words
    let added = 0
    for (let i = 0; i < theirs.length; i++) {
      const fresh = theirs[i]! & ~mine[i]!
      if (fresh === 0) continue
      mine[i] = mine[i]! | fresh
      added += popCount(fresh)
    }
    this.#count += added
  }

  deleteAll(other: ReadonlyPageSet): void {
    const theirs = this.#wordsOf(other)
    const mine = this.words
    let deleted = 0
    for (let i = 0; i < theirs.length; i++) {
      const common = theirs[i]! & mine[i]!
      if (common === 0) continue
      mine[i] = mine[i]! & ~common
      deleted += popCount(common)
    }
    this.#count -= deleted
  }

  retainAll(other: ReadonlyPageSet): void {
    const theirs = this.#wordsOf(other)
    const mine = this.words
    let deleted = 0
    for (let i = 0; i < theirs.length; i++) {
      const extra = mine[i]! & ~theirs[i]!
      if (extra === 0) continue
      mine[i] = mine[i]! & ~extra
      deleted += popCount(extra)
    }
    this.#count -= deleted
  }

  /** Moves every member into `target` and leaves this set empty: read and clear in one step. */
  drainInto(target: PageSet): void {
    target.addAll(this)
    this.clear()
  }

  clone(): PageSet {
    const copy = new PageSet(this.capacity)
    copy.words.set(this.words)
    copy.#count = this.#count
    return copy
  }

  next(from: number): number {
    if (from >= this.capacity) return -1
    const words = this.words
    let index = from >>> 5
    let word = words[index]! & (-1 << (from & 31))
    while (word === 0) {
      if (++index >= words.length) return -1
      word = words[index]! | 0
    }
    return index * 32 + lowestBit(word)
  }

  previous(from: number): number {
    if (from < 0) return -1
    const words = this.words
    const start = Math.min(from, this.capacity - 1)
    let index = start >>> 5
    let word = words[index]! & (-1 >>> (31 - (start & 31)))
    while (word === 0) {
      if (--index < 0) return -1
      word = words[index]! | 0
    }
    return index * 32 + 31 - Math.clz32(word)
  }

  fill(from: number, out: Uint32Array): number {
    if (from >= this.capacity) return 0
    const words = this.words
    let written = 0
    let index = from >>> 5
    // Words as signed integers: a number that may be 2^31 or more is a floating-point one to the machine.
    let word = words[index]! & (-1 << (from & 31))
    for (;;) {
      while (word !== 0) {
        if (written === out.length) return written
        out[written++] = index * 32 + lowestBit(word)
        word &= word - 1
      }
      if (++index >= words.length) return written
      word = words[index]! | 0
    }
  }

  toBits(first: number, bytes: number): Uint8Array {
    assert(first % 8 === 0, 'a byte holds eight pages')
    const words = this.words
    return Uint8Array.from({ length: bytes }, (_, i) => {
      const page = first + 8 * i
      return (words[page >>> 5] ?? 0) >>> (page & 31)
    })
  }

  /** Adds the pages whose bits are set, as `toBits` gives them. Bits past the end of the set mean nothing. */
  addBits(first: number, bits: Uint8Array): void {
    assert(first % 8 === 0, 'a byte holds eight pages')
    const words = this.words
    let added = 0
    for (let i = 0; i < bits.length; i++) {
      const page = first + 8 * i
      const left = this.capacity - page
      if (left <= 0) break
      const byte = left < 8 ? bits[i]! & ((1 << left) - 1) : bits[i]!
      const fresh = (byte << (page & 31)) & ~words[page >>> 5]!
      words[page >>> 5] = words[page >>> 5]! | fresh
      added += popCount(fresh)
    }
    this.#count += added
  }

  #wordsOf(other: ReadonlyPageSet): Uint32Array {
    assert(other.capacity === this.capacity, 'page sets of one guest have one capacity')
    return other.words
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word)
}

/** Adds to each entry of `counts` the members among its `regionPages` pages, a multiple of 32, from page 0 on. */
export function addRegionCounts(set: ReadonlyPageSet, regionPages: number, counts: number[]): void {
  assert(regionPages % 32 === 0, 'a region is whole words')
  const wordsPerRegion = regionPages / 32
  const { words } = set
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === 0) continue
    const region = Math.floor(i / wordsPerRegion)
    counts[region] = (counts[region] ?? 0) + popCount(word)
  }
}

/** Set bits of a 32-bit word (the parallel sum of Hacker's Delight, section 5-1). */
function popCount(word: number): number {
  let n = word - ((word >>> 1) & 0x55555555)
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333)
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
