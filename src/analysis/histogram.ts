/** Counts of positive durations in logarithmic buckets: percentiles in bounded memory, the same for the same input. */

/** 2^8 buckets per octave: a percentile is off by at most 0.2 %. */
const fineBits = 8
/** Of two. A table, because the engine calls a function for each power. */
const powers = Float64Array.from({ length: 64 }, (_, exponent) => 2 ** exponent)

export class Histogram {
  count = 0
  private max = 0
  private min = Number.POSITIVE_INFINITY
  private counts = new Uint32Array(0)
  private readonly bits: number
  private readonly subBuckets: number

  /** With 2^`bits` buckets per octave a percentile is off by at most 2^-(bits + 1). */
  constructor(bits = fineBits) {
    this.bits = bits
    this.subBuckets = 2 ** bits
  }

  /** Adds a duration in nanoseconds; a negative one counts as 0. */
  add(ns: number): void {
    const value = Math.max(ns, 0)
    this.count++
    if (value > this.max) this.max = value
    if (value < this.min) this.min = value
    const at = this.bucketOf(value)
    if (at >= this.counts.length) this.grow(at)
    this.counts[at] = this.counts[at]! + 1
  }

  /** The value below or at which `share` (0..1) of the durations lie, in ns; undefined without any. */
  percentileNs(share: number): number | undefined {
    if (this.count === 0) return undefined
    const rank = Math.max(1, Math.ceil(share * this.count))
    let seen = 0
    for (let i = 0; i < this.counts.length; i++) {
      seen += this.counts[i]!
      if (seen >= rank) return Math.min(this.max, Math.max(this.min, this.middleOf(i)))
    }
    return this.max
  }

  /** Below `subBuckets` ns each value has a bucket of its own; above, each octave has `subBuckets`. */
  private bucketOf(value: number): number {
    if (value < 0x1_0000_0000) {
      const octave = Math.max(0, 31 - this.bits - Math.clz32(value))
      return (octave << this.bits) + (value >>> octave)
    }
    const octave = 63 - this.bits - Math.clz32(value / 0x1_0000_0000)
    return octave * this.subBuckets + Math.floor(value / powers[octave]!)
  }

  private middleOf(bucket: number): number {
    if (bucket < 2 * this.subBuckets) return bucket
    const octave = Math.floor(bucket / this.subBuckets) - 1
    const low = (bucket - octave * this.subBuckets) * 2 ** octave
    return low + (2 ** octave - 1) / 2
  }

  private grow(bucket: number): void {
    const larger = new Uint32Array(bucket + 2 * this.subBuckets)
    larger.set(this.counts)
    this.counts = larger
  }
}
