/**
 * Segments in flight of many directions: for each its end and when it passed, oldest first. A queue is a chain of chunks
 * of one cache line each. A chunk that has been emptied is the next one to be used, by whichever queue needs one, while it
 * is still in the cache: ten thousand flows take as much memory as they have in flight, and no more.
 */

import type { WasmArena } from '../support/wasm.js'

export const chunkBytes = 64
// A chunk: the time of its first segment (a double), the address of the chunk behind it, and, from `chunkHead` on, segments.
export const chunkNext = 8
export const chunkHead = 16
// A segment: its end (raw sequence number), and how many nanoseconds after the chunk's first it passed.
export const entryBytes = 8
export const entrySinceNs = 4
/** Times that are further from the chunk's first, or before it, begin a new chunk. */
export const sinceLimitNs = 2 ** 32

/** Chunks that are made at a time. */
const slabChunks = 256

/**
 * The caller keeps two integers for each queue, beside each other and 0 at first: where its oldest segment is, and where
 * the next one goes (the end of a chunk if that is full). The queue is empty when they are equal.
 */
export class FlightQueues {
  /** Address of the address of the first free chunk; free chunks are chained like those of a queue. */
  readonly free: number

  constructor(private readonly arena: WasmArena) {
    this.free = arena.allocate(4)
  }

  /** Whether a new chunk has to be made before one can be taken. */
  get isDry(): boolean {
    return this.arena.ints[this.free >>> 2] === 0
  }

  /** Makes chunks. */
  refill(): void {
    const { arena } = this
    const first = arena.allocate(chunkBytes * slabChunks)
    for (let i = slabChunks - 1; i >= 0; i--) this.release(first + chunkBytes * i)
  }

  /** Adds a segment that ends before `end` to the queue whose numbers are at `at`. */
  append(queues: Int32Array, at: number, end: number, timeNs: number): void {
    let tail = queues[at + 1]!
    if (!isChunkEnd(tail) && tail !== queues[at] && !this.reaches(tail, timeNs)) tail = this.pad(tail)
    if (isChunkEnd(tail)) tail = this.extend(queues, at, tail)
    const { ints, doubles } = this.arena
    const chunk = tail & -chunkBytes
    // The first, or the first after all others were taken.
    if (tail === chunk + chunkHead || tail === queues[at]) doubles[chunk >>> 3] = timeNs
    ints[tail >>> 2] = end
    ints[(tail + entrySinceNs) >>> 2] = timeNs - doubles[chunk >>> 3]!
    queues[at + 1] = tail + entryBytes
  }

  /** Removes the segments that end before or at `end`; returns when the newest of them passed, or NaN if there is none. */
  take(queues: Int32Array, at: number, end: number): number {
    const { ints, doubles } = this.arena
    let head = queues[at]!
    let newestNs = Number.NaN
    while (head !== queues[at + 1] && ((end - ints[head >>> 2]!) | 0) >= 0) {
      const chunk = head & -chunkBytes
      newestNs = doubles[chunk >>> 3]! + (ints[(head + entrySinceNs) >>> 2]! >>> 0)
      head = (head + entryBytes) | 0
      if (!isChunkEnd(head)) continue
      const isLast = head === queues[at + 1]
      head = isLast ? 0 : ints[(chunk + chunkNext) >>> 2]! + chunkHead
      if (isLast) queues[at + 1] = 0
      this.release(chunk)
    }
    queues[at] = head
    return newestNs
  }

  /** Whether a segment of that time can be the next of its chunk. */
  private reaches(tail: number, timeNs: number): boolean {
    const first = this.arena.doubles[(tail & -chunkBytes) >>> 3]!
    const since = timeNs - first
    return since >= 0 && since < sinceLimitNs && Math.floor(since) === since && first + since === timeNs
  }

  /** Fills a chunk up with its last segment once more, which changes no answer. Returns its end. */
  private pad(from: number): number {
    const { ints } = this.arena
    const step = entryBytes >>> 2
    let at = from >>> 2
    for (; !isChunkEnd(at << 2); at += step) {
      ints[at] = ints[at - step]!
      ints[at + 1] = ints[at + 1 - step]!
    }
    return at << 2
  }

  /** Puts a chunk behind the one that ends at `tail`, if there is one; returns where its first segment goes. */
  private extend(queues: Int32Array, at: number, tail: number): number {
    if (this.isDry) this.refill()
    const { ints } = this.arena
    const chunk = ints[this.free >>> 2]!
    ints[this.free >>> 2] = ints[(chunk + chunkNext) >>> 2]!
    const first = chunk + chunkHead
    if (tail === 0) queues[at] = first
    else ints[(tail - chunkBytes + chunkNext) >>> 2] = chunk
    return first
  }

  private release(chunk: number): void {
    const { ints } = this.arena
    ints[(chunk + chunkNext) >>> 2] = ints[this.free >>> 2]!
    ints[this.free >>> 2] = chunk
  }
}

function isChunkEnd(address: number): boolean {
  return (address & (chunkBytes - 1)) === 0
}
