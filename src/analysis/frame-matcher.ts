/**
 * Matches frames of an entry point with frames of an exit point, one to one, by identity. Copies of one frame (a
 * retransmission that is byte-identical, a duplicate) are matched in order: within a class, whose queue is a FIFO,
 * a frame that came out after another also went in after it. What is never matched was lost.
 */

import type { Identity } from './identity.js'

const none = -1
/** Copies in front of the chosen one that stay candidates, in case the network reordered them. */
const maxPassed = 64

/** Told of an entry that was never matched. */
export type LoseEntry = (owner: number, timeNs: number, mark: number) => void

export class FrameMatcher {
  /** Time, owner and mark of the entry frame that `leave` found last. */
  matchedTimeNs = 0
  matchedOwner = 0
  matchedMark = 0
  /** Its number in the order of entering, from 0: falling numbers in one class are reordering. */
  matchedNumber = 0
  /** Whether a frame of the same class that entered later has already left. */
  overtaken = false

  /** First waiting entry of each bucket; entries of one bucket with different identity are linked by `nextInBucket`. */
  private buckets = new Int32Array(1 << 12).fill(none)
  private lows = new Int32Array(1 << 11)
  private highs = new Int32Array(1 << 11)
  private times = new Float64Array(1 << 11)
  private numbers = new Float64Array(1 << 11)
  private owners = new Int32Array(1 << 11)
  private marks = new Int32Array(1 << 11)
  private nextInBucket = new Int32Array(1 << 11)
  /** Copies of one identity: the first one is in the bucket and knows the last one. */
  private nextCopy = new Int32Array(1 << 11)
  private lastCopy = new Int32Array(1 << 11)
  private used = 0
  private free = none
  private entered = 0
  /** Entries in the order of entering, as far as they may expire: numbers `expired` to `entered`, in a ring. */
  private order = new Int32Array(1 << 11)
  private expired = 0
  private lastNumber: Float64Array
  private readonly lose: LoseEntry

  /**
   * `lose` is told of every entry that is never matched: by `expire`, by `end`, or earlier if more than 64 later copies
   * of the same frame have overtaken it. `classes` is how many there are at first; more may come.
   */
  constructor(classes: number, lose: LoseEntry) {
    this.lastNumber = new Float64Array(classes).fill(none)
    this.lose = lose
  }

  /** A frame came in. `owner` and `mark` are the caller's, given back on match or loss. */
  enter(identity: Identity, timeNs: number, owner: number, mark = 0): void {
    const entry = this.allocate()
    if (this.entered - this.expired === this.order.length) this.growOrder()
    this.order[this.entered & (this.order.length - 1)] = entry
    this.marks[entry] = mark
    this.lows[entry] = identity.low
    this.highs[entry] = identity.high
    this.times[entry] = timeNs
    this.owners[entry] = owner
    this.numbers[entry] = this.entered++
    this.nextCopy[entry] = none
    this.lastCopy[entry] = entry
    const first = this.find(identity)
    if (first !== none) {
      this.nextCopy[this.lastCopy[first]!] = entry
      this.lastCopy[first] = entry
    } else {
      const bucket = identity.low & (this.buckets.length - 1)
      this.nextInBucket[entry] = this.buckets[bucket]!
      this.buckets[bucket] = entry
    }
  }

  /** A frame came out in `queueClass`; true if it went in before. Each entry is matched once. */
  leave(identity: Identity, queueClass: number): boolean {
    if (queueClass >= this.lastNumber.length) this.growClasses(queueClass)
    const first = this.find(identity)
    if (first === none) return false
    const last = this.lastNumber[queueClass]!
    let entry = first
    let before = none
    let passed = 0
    while (entry !== none && this.numbers[entry]! < last) {
      before = entry
      entry = this.nextCopy[entry]!
      passed++
    }
    if (entry === none) {
      entry = first
      before = none
      passed = 0
    }
    this.matchedTimeNs = this.times[entry]!
    this.matchedOwner = this.owners[entry]!
    this.matchedMark = this.marks[entry]!
    this.overtaken = this.numbers[entry]! < last
    this.matchedNumber = this.numbers[entry]!
    if (this.matchedNumber > last) this.lastNumber[queueClass] = this.matchedNumber
    this.unlink(identity, first, before, entry)
    if (passed > maxPassed) this.giveUp(identity, first)
    return true
  }

  /** Reports every frame that still waits as lost. */
  end(): void {
    for (const head of this.buckets) {
      for (let first = head; first !== none; first = this.nextInBucket[first]!) {
        for (let entry = first; entry !== none; entry = this.nextCopy[entry]!) {
          this.loseEntry(entry)
        }
      }
    }
    this.buckets.fill(none)
  }

  /** Gives up what entered before `beforeNs` and still waits. Entries must have come in order of time, roughly. */
  expire(beforeNs: number): void {
    while (this.expired < this.entered) {
      const entry = this.order[this.expired & (this.order.length - 1)]!
      // Another number: this entry was matched, and its place may have been used again.
      if (this.numbers[entry] === this.expired) {
        if (this.times[entry]! >= beforeNs) return
        this.giveUpEntry(entry)
      }
      this.expired++
    }
  }

  /** Frees an entry that is not matched; it need not be the first of its copies. */
  private giveUpEntry(entry: number): void {
    const identity = { low: this.lows[entry]!, high: this.highs[entry]! }
    const first = this.find(identity)
    let before = none
    for (let at = first; at !== entry && at !== none; at = this.nextCopy[at]!) before = at
    this.loseEntry(entry)
    this.unlink(identity, first, before, entry)
  }

  private loseEntry(entry: number): void {
    this.lose(this.owners[entry]!, this.times[entry]!, this.marks[entry]!)
  }

  private find(identity: Identity): number {
    let entry = this.buckets[identity.low & (this.buckets.length - 1)]!
    while (entry !== none && (this.lows[entry] !== identity.low || this.highs[entry] !== identity.high)) {
      entry = this.nextInBucket[entry]!
    }
    return entry
  }

  /** Takes `entry` out of the copies that begin with `first`; `before` precedes it there. */
  private unlink(identity: Identity, first: number, before: number, entry: number): void {
    const following = this.nextCopy[entry]!
    if (entry !== first) {
      this.nextCopy[before] = following
      if (following === none) this.lastCopy[first] = before
    } else {
      if (following !== none) {
        this.lastCopy[following] = this.lastCopy[first]!
        this.nextInBucket[following] = this.nextInBucket[first]!
      }
      this.replaceInBucket(identity, first, following === none ? this.nextInBucket[first]! : following)
    }
    this.numbers[entry] = none
    this.nextCopy[entry] = this.free
    this.free = entry
  }

  private replaceInBucket(identity: Identity, entry: number, by: number): void {
    const bucket = identity.low & (this.buckets.length - 1)
    let at = this.buckets[bucket]!
    if (at === entry) {
      this.buckets[bucket] = by
      return
    }
    while (this.nextInBucket[at] !== entry) at = this.nextInBucket[at]!
    this.nextInBucket[at] = by
  }

  private giveUp(identity: Identity, first: number): void {
    this.loseEntry(first)
    this.unlink(identity, first, none, first)
  }

  private allocate(): number {
    if (this.free !== none) {
      const entry = this.free
      this.free = this.nextCopy[entry]!
      return entry
    }
    if (this.used === this.lows.length) this.grow()
    return this.used++
  }

  private growOrder(): void {
    // Entries at the front that were matched already need no place.
    while (this.expired < this.entered) {
      const entry = this.order[this.expired & (this.order.length - 1)]!
      if (this.numbers[entry] === this.expired) break
      this.expired++
    }
    if (this.entered - this.expired < this.order.length / 2) return
    const larger = new Int32Array(this.order.length * 2)
    for (let i = this.expired; i < this.entered; i++) {
      larger[i & (larger.length - 1)] = this.order[i & (this.order.length - 1)]!
    }
    this.order = larger
  }

  private growClasses(wanted: number): void {
    const more = new Float64Array(Math.max(2 * this.lastNumber.length, wanted + 1)).fill(none)
    more.set(this.lastNumber)
    this.lastNumber = more
  }

  private grow(): void {
    const size = this.used * 2
    this.lows = larger(this.lows, new Int32Array(size))
    this.highs = larger(this.highs, new Int32Array(size))
    this.times = larger(this.times, new Float64Array(size))
    this.numbers = larger(this.numbers, new Float64Array(size))
    this.owners = larger(this.owners, new Int32Array(size))
    this.marks = larger(this.marks, new Int32Array(size))
    this.nextInBucket = larger(this.nextInBucket, new Int32Array(size))
    this.nextCopy = larger(this.nextCopy, new Int32Array(size))
    this.lastCopy = larger(this.lastCopy, new Int32Array(size))
    const old = this.buckets
    this.buckets = new Int32Array(size * 2).fill(none)
    for (const head of old) {
      for (let entry = head; entry !== none; ) {
        const following = this.nextInBucket[entry]!
        const bucket = this.lows[entry]! & (this.buckets.length - 1)
        this.nextInBucket[entry] = this.buckets[bucket]!
        this.buckets[bucket] = entry
        entry = following
      }
    }
  }
}

function larger<T extends Int32Array | Float64Array>(old: T, fresh: T): T {
  fresh.set(old)
  return fresh
}
