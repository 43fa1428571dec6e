/**
 * Small histograms of durations for many flows in one memory: 8 buckets per octave, so percentiles are within 5 %. The
 * round trips of most flows differ by an octave or two, so a histogram begins with the buckets around its first duration
 * (one cache line), and gets all of them when there is one outside.
 */

import { type Code, f64, i32, type Local, type WasmArena, when } from '../support/wasm.js'

const bits = 3
const perOctave = 1 << bits
/** Durations below 2^10 ns share the first bucket, those above 2^37 ns (137 s) the last. */
const lowestShift = 10
const octaves = 27
const allBuckets = octaves * perOctave
/** What a duration is multiplied with, so that the bucket can be read from the bits of its integer part. */
const scale = 2 ** (bits - lowestShift)
const limit = 2 ** 30

// A histogram in integers: its first bucket, how many it has, and their counts.
const counts = 2
const fewBuckets = 16 - counts
/** Buckets below that of the first duration. */
const margin = 6

export class DurationBuckets {
  constructor(private readonly arena: WasmArena) {}

  /** Adds to the histogram at address `place`, 0 for a new one; returns its address, which is a new one if it had to grow. */
  add(place: number, ns: number): number {
    const bucket = bucketOf(ns)
    if (place === 0) return this.addTo(this.begin(bucket), bucket)
    const { ints } = this.arena
    const at = bucket - ints[place >>> 2]!
    const fits = at >= 0 && at < ints[(place >>> 2) + 1]!
    return this.addTo(fits ? place : this.grow(place), bucket)
  }

  /** The duration in ns at or below which `share` (0..1) of them lie; undefined without any. */
  percentileNs(place: number, share: number): number | undefined {
    if (place === 0) return undefined
    const [first = 0, size = 0] = this.arena.ints.subarray(place >>> 2)
    const own = this.arena.ints.subarray((place >>> 2) + counts, (place >>> 2) + counts + size)
    const rank = Math.max(1, Math.ceil(share * own.reduce((sum, count) => sum + count, 0)))
    let seen = 0
    let at = 0
    while (at < size - 1 && seen + own[at]! < rank) seen += own[at++]!
    const octave = (first + at) >> bits
    const low = (perOctave + ((first + at) & (perOctave - 1))) * 2 ** (octave + lowestShift - bits)
    return low * (1 + 1 / (4 * perOctave))
  }

  private begin(bucket: number): number {
    const first = Math.min(Math.max(bucket - margin, 0), allBuckets - fewBuckets)
    return this.allocate(first, fewBuckets)
  }

  private addTo(place: number, bucket: number): number {
    const { ints } = this.arena
    const at = (place >>> 2) + counts + bucket - ints[place >>> 2]!
    ints[at] = ints[at]! + 1
    return place
  }

  private grow(place: number): number {
    const all = this.allocate(0, allBuckets)
    const { ints } = this.arena
    const from = (place >>> 2) + counts
    ints.copyWithin((all >>> 2) + counts + ints[place >>> 2]!, from, from + ints[(place >>> 2) + 1]!)
    return all
  }

  private allocate(first: number, size: number): number {
    const place = this.arena.allocate(4 * (counts + size))
    this.arena.ints[place >>> 2] = first
    this.arena.ints[(place >>> 2) + 1] = size
    return place
  }
}

function bucketOf(ns: number): number {
  const scaled = Math.floor(ns * scale)
  if (scaled < perOctave) return 0
  if (scaled >= limit) return allBuckets - 1
  const octave = 31 - Math.clz32(scaled) - bits
  return (octave << bits) + (scaled >>> octave) - perOctave
}

/**
 * `add` as code: adds the duration in `ns`, which must not be negative, to the histogram at address `place`; runs
 * `otherwise` if it has no bucket for it. `bucket` and `scratch` are free for its use.
 */
export function addDuration(
  place: Local,
  ns: Local,
  bucket: Local,
  scratch: Local,
  otherwise: readonly Code[],
): Code {
  const n = i32.constant
  const scaled = f64.multiply(ns.get, f64.constant(scale))
  return [
    bucket.set(n(allBuckets - 1)),
    when(f64.less(scaled, f64.constant(limit)), [
      bucket.set(n(0)),
      scratch.set(f64.toSigned(scaled)),
      when(i32.atLeast(scratch.get, n(perOctave)), [
        // The octave, and then the bits below the highest one.
        bucket.set(i32.subtract(n(31 - bits), i32.leadingZeros(scratch.get))),
        bucket.set(
          i32.add(
            i32.shiftLeft(bucket.get, n(bits)),
            i32.subtract(i32.shiftRight(scratch.get, bucket.get), n(perOctave)),
          ),
        ),
      ]),
    ]),
    when(
      place.get,
      [
        bucket.set(i32.subtract(bucket.get, i32.load(place.get))),
        when(
          i32.below(bucket.get, i32.load(place.get, 4)),
          [
            scratch.set(i32.add(place.get, i32.shiftLeft(bucket.get, n(2)))),
            i32.store(scratch.get, 4 * counts, i32.add(i32.load(scratch.get, 4 * counts), n(1))),
          ],
          otherwise,
        ),
      ],
      otherwise,
    ),
  ]
}
