/** Counts of positive durations in logarithmic buckets: percentiles in bounded memory, the same for the same input. */

/** 2^8 buckets per octave: a percentile is off by at most 0.2 %. */
const subBits = 8
const subBuckets = 1 << subBits
/** Values up to 2^53 ns (104 days). */
const octaves = 53 - subBits + 1

export class Histogram {
  count = 0
  private max = 0
  private min = Number.POSITIVE_INFINITY
  private readonly counts = new Uint32Array((octaves + 1) * subBuckets)

  /** Adds a duration in nanoseconds; a negative one counts as 0. */
  add(ns: number): void {
    const value = Math.max(ns, 0)
    this.count++
    if (value > this.max) this.max = value
    if (value < this.min) this.min = value
    const at = bucketOf(value)
    this.counts[at] = this.counts[at]! + 1
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
}

/** Below 2^8 ns each value has a bucket of its own; above, each octave has 2^8. */
function bucketOf(value: number): number {
  if (value < subBuckets) return Math.floor(value)
  let octave = 31 - Math.clz32(value / subBuckets)
  if (value >= subBuckets * 0x1_0000_0000) {
    octave = 32 + 31 - Math.clz32(value / subBuckets / 0x1_0000_0000)
  }
  return octave * subBuckets + Math.floor(value / 2 ** octave)
}

function middleOf(bucket: number): number {
  if (bucket < 2 * subBuckets) return bucket
  const octave = Math.floor(bucket / subBuckets) - 1
  const low = (bucket - octave * subBuckets) * 2 ** octave
  return low + (2 ** octave - 1) / 2
}
