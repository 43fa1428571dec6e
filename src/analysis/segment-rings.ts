/**
 * Segments in flight of many directions in one array: for each its end and when it passed, in rings that grow by
 * doubling. Together, so that ten thousand flows stay within few cache lines each.
 */

import type { WasmArena } from '../support/wasm.js'

/** Rings begin with this many segments. */
const firstSize = 32
const none = -1

/** A ring is its place in `store`, its size, its first segment and how many there are; the caller keeps these four. */
export class SegmentRings {
  /** Rings given back, by size: lists that go through the first number of each. */
  private readonly free = new Map<number, number>()

  constructor(private readonly arena: WasmArena) {}

  /** End (raw sequence number) and time of each segment. */
  get store(): Float64Array {
    return this.arena.doubles
  }

  /** A new ring of `size` segments (a power of two): its place. */
  allocate(size: number): number {
    const free = this.free.get(size) ?? none
    if (free === none) return this.arena.allocate(16 * size) / 8
    this.free.set(size, this.store[free]!)
    return free
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
