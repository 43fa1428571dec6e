/** Counts of positive durations in logarithmic buckets: percentiles in bounded memory, the same for the same input. */

import { type Code, f64, i32, type Local, when } from '../support/wasm.js'

/** 2^8 buckets per octave: a percentile is off by at most 0.2 %. */
const bits = 8
const subBuckets = 2 ** bits
/** Of two. A table, because the engine calls a function for each power. */
const powers = Float64Array.from({ length: 64 }, (_, exponent) => 2 ** exponent)

export class Histogram {
  count = 0
  private max = 0
  private min = Number.POSITIVE_INFINITY
  private counts: Uint32Array

  /** `allocate` gives memory of that many zeros for the counts. */
  constructor(private readonly allocate = (size: number): Uint32Array => new Uint32Array(size)) {
    this.counts = allocate(0)
  }

  /** Adds a duration in nanoseconds; a negative one counts as 0. */
  add(ns: number): void {
    const value = Math.max(ns, 0)
    const at = bucketOf(value)
    if (at >= this.counts.length) this.grow(at)
    this.counts[at] = this.counts[at]! + 1
    this.added(1, value, value)
  }

  /** Where the counts are in their memory, for code that adds to them (see `histogramBucket`) and then calls `added`. */
  get place(): number {
    return this.counts.byteOffset
  }
  /** Buckets that there are so far. */
  get size(): number {
    return this.counts.length
  }

  /** Accounts for durations whose buckets have been raised. */
  added(count: number, leastNs: number, mostNs: number): void {
    this.count += count
    if (mostNs > this.max) this.max = mostNs
    if (leastNs < this.min) this.min = leastNs
  }

  /** The value below or at which `share` (0..1) of the durations lie, in ns; undefined without any. */
  percentileNs(share: number): number | undefined {
    if (this.count === 0) return undefined
    const rank = Math.max(1, Math.ceil(share * this.count))
    let seen = 0
    for (let i = 0; i < this.counts.length; i++) {
      seen += this.counts[i]!
      if (seen >= rank) return Math.min(this.max, Math.max(this.min, middleOf(i)))
    }
    return this.max
  }

  private grow(bucket: number): void {
    const larger = this.allocate(bucket + 2 * subBuckets)
    larger.set(this.counts)
    this.counts = larger
  }
}

/** Below `subBuckets` ns each value has a bucket of its own; above, each octave has `subBuckets`. */
function bucketOf(value: number): number {
  if (value < 2 ** 32) {
    const octave = Math.max(0, 31 - bits - Math.clz32(value))
    return (octave << bits) + (value >>> octave)
  }
  const octave = 63 - bits - Math.clz32(value / 2 ** 32)
  return octave * subBuckets + Math.floor(value / powers[octave]!)
}

function middleOf(bucket: number): number {
  if (bucket < 2 * subBuckets) return bucket
  const octave = Math.floor(bucket / subBuckets) - 1
  const low = (bucket - octave * subBuckets) * powers[octave]!
  return low + (powers[octave]! - 1) / 2
}

/** Durations from here on (a year) are left to `add`. */
export const histogramLimitNs = 2 ** 55

/** `bucketOf` as code: puts the bucket of `ns`, from 0 to below `histogramLimitNs`, into `bucket`. */
export function histogramBucket(ns: Local, bucket: Local, octave: Local, word: Local): readonly Code[] {
  const n = i32.constant
  // Of long durations the upper bits; their octave is so large that the lower ones do not count.
  const droppedBits = 24
  const octaveOfWord = i32.subtract(n(31 - bits), i32.leadingZeros(word.get))
  return [
    bucket.set(n(0)),
    when(
      f64.less(ns.get, f64.constant(2 ** 32)),
      [
        word.set(f64.toUnsigned(ns.get)),
        octave.set(n(0)),
        when(i32.shiftRight(word.get, n(bits)), [octave.set(octaveOfWord)]),
      ],
      [
        word.set(f64.toUnsigned(f64.multiply(ns.get, f64.constant(2 ** -droppedBits)))),
        octave.set(octaveOfWord),
        bucket.set(n(droppedBits << bits)),
      ],
    ),
    bucket.set(
      i32.add(bucket.get, i32.add(i32.shiftLeft(octave.get, n(bits)), i32.shiftRight(word.get, octave.get))),
    ),
  ]
}
