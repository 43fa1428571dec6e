/**
 * Segments in flight of many directions in one array: for each its end and when it passed, in rings that grow by
 * doubling. Together, so that ten thousand flows stay within few cache lines each.
 */

import type { WasmArena } from '../support/wasm.js'

/** Rings begin with this many segments. */
const firstSize = 8
const none = -1

/** A ring is its place in `store`, its size, its first segment and how many there are; the caller keeps these four. */
export class SegmentRings {
  /** End (raw sequence number) and time of each segment. */
  store: Float64Array
  /** Address of `store`. */
  place: number
  private used = 0
  /** Rings given back, by size: lists that go through the first number of each. */
  private readonly free = new Map<number, number>()

  constructor(private readonly arena: WasmArena) {
    const doubles = 2 * firstSize * 64
    this.place = arena.allocate(8 * doubles)
    this.store = new Float64Array(arena.buffer, this.place, doubles)
  }

  /** A new ring of `size` segments (a power of two): its place. */
  allocate(size: number): number {
    const free = this.free.get(size) ?? none
    if (free !== none) {
      this.free.set(size, this.store[free]!)
      return free
    }
    const place = this.used
    this.used += 2 * size
    while (this.used > this.store.length) {
      const doubles = 2 * this.store.length
      this.place = this.arena.allocate(8 * doubles)
      const larger = new Float64Array(this.arena.buffer, this.place, doubles)
      larger.set(this.store)
      this.store = larger
    }
    return place
  }

  /** Moves a full ring to one of twice the size (or of the first size); returns its place. */
  grow(place: number, size: number, head: number): number {
    if (size === 0) return this.allocate(firstSize)
    const next = this.allocate(2 * size)
    const { store } = this
    for (let i = 0; i < size; i++) {
      const from = place + 2 * ((head + i) & (size - 1))
      store[next + 2 * i] = store[from]!
      store[next + 2 * i + 1] = store[from + 1]!
    }
    store[place] = this.free.get(size) ?? none
    this.free.set(size, place)
    return next
  }

  /** The size that `grow` gives. */
  sizeAfter(size: number): number {
    return size === 0 ? firstSize : 2 * size
  }
}
