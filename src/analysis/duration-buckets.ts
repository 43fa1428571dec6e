/**
 * Small histograms of durations for many flows in one memory: 8 buckets per octave, so percentiles are within 5 %. The
 * round trips of most flows differ by an octave or two, so a histogram begins with the buckets around its first duration,
 * in a cache line that the caller provides, and gets all of them when there is one outside.
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

// A histogram in integers: its first bucket, how many it has, the address of their counts, 0 for those that follow.
const first = 0
const size = 1
const elsewhere = 2
const counts = 3
const fewBuckets = 16 - counts
/** Buckets below that of the first duration. */
const margin = 6

export class DurationBuckets {
  constructor(private readonly arena: WasmArena) {}

  /** Adds `count` durations of a bucket to the histogram at address `place`. */
  add(place: number, bucket: number, count: number): void {
    const at = place >>> 2
    const { ints } = this.arena
    if (ints[at + size] === 0) {
      ints[at + first] = Math.min(Math.max(bucket - margin, 0), allBuckets - fewBuckets)
      ints[at + size] = fewBuckets
    }
    const from = bucket - ints[at + first]!
    if (from < 0 || from >= ints[at + size]!) this.grow(at)
    const to = this.countsAt(at) + bucket - this.arena.ints[at + first]!
    this.arena.ints[to] = this.arena.ints[to]! + count
  }

  /** How many durations there are. */
  total(place: number): number {
    return this.countsOf(place).reduce((sum, count) => sum + count, 0)
  }

  /** The duration in ns at or below which `share` (0..1) of them lie; there must be one. */
  percentileNs(place: number, share: number): number {
    const own = this.countsOf(place)
    const rank = Math.max(1, Math.ceil(share * this.total(place)))
    let seen = 0
    let at = 0
    while (at < own.length - 1 && seen + own[at]! < rank) seen += own[at++]!
    const bucket = this.arena.ints[(place >>> 2) + first]! + at
    const octave = bucket >> bits
    const low = (perOctave + (bucket & (perOctave - 1))) * 2 ** (octave + lowestShift - bits)
    return low * (1 + 1 / (4 * perOctave))
  }

  private countsOf(place: number): Int32Array {
    const from = this.countsAt(place >>> 2)
    return this.arena.ints.subarray(from, from + this.arena.ints[(place >>> 2) + size]!)
  }

  /** Where the counts are, as an index of the memory's integers. */
  private countsAt(at: number): number {
    const address = this.arena.ints[at + elsewhere]!
    return address === 0 ? at + counts : address >>> 2
  }

  private grow(at: number): void {
    const place = this.arena.allocate(4 * allBuckets)
    const { ints } = this.arena
    ints.copyWithin((place >>> 2) + ints[at + first]!, at + counts, at + counts + ints[at + size]!)
    ints[at + first] = 0
    ints[at + size] = allBuckets
    ints[at + elsewhere] = place
  }
}

/** The bucket of a duration: less than 256. */
export function durationBucket(ns: number): number {
  const scaled = Math.floor(ns * scale)
  if (scaled < perOctave) return 0
  if (scaled >= limit) return allBuckets - 1
  const octave = 31 - Math.clz32(scaled) - bits
  return (octave << bits) + (scaled >>> octave) - perOctave
}

/** The same as code: puts the bucket of `ns`, which must not be negative, into `bucket`. `word` is free for its use. */
export function durationBucketCode(ns: Local, bucket: Local, word: Local): readonly Code[] {
  const n = i32.constant
  const scaled = f64.multiply(ns.get, f64.constant(scale))
  return [
    bucket.set(n(allBuckets - 1)),
    when(f64.less(scaled, f64.constant(limit)), [
      bucket.set(n(0)),
      word.set(f64.toSigned(scaled)),
      when(i32.atLeast(word.get, n(perOctave)), [
        // The octave, and then the bits below the highest one.
        bucket.set(i32.subtract(n(31 - bits), i32.leadingZeros(word.get))),
        bucket.set(
          i32.add(
            i32.shiftLeft(bucket.get, n(bits)),
            i32.subtract(i32.shiftRight(word.get, bucket.get), n(perOctave)),
          ),
        ),
      ]),
    ]),
  ]
}

/** `add` as code, and `then`; or `otherwise` if the histogram has begun and has no such bucket. `at` is free for its use. */
export function addDurations(
  place: Code,
  bucket: Code,
  count: Code,
  at: Local,
  then: Code,
  otherwise: readonly Code[],
): Code {
  const n = i32.constant
  const from = i32.subtract(bucket, i32.load(place, 4 * first))
  const begin = [
    at.set(i32.subtract(bucket, n(margin))),
    when(i32.less(at.get, n(0)), [at.set(n(0))]),
    when(i32.less(n(allBuckets - fewBuckets), at.get), [at.set(n(allBuckets - fewBuckets))]),
    i32.store(place, 4 * first, at.get),
    i32.store(place, 4 * size, n(fewBuckets)),
  ]
  return [
    when(i32.equal(i32.load(place, 4 * size), n(0)), begin),
    when(
      i32.below(from, i32.load(place, 4 * size)),
      [
        at.set(i32.load(place, 4 * elsewhere)),
        when(i32.equal(at.get, n(0)), [at.set(i32.add(place, n(4 * counts)))]),
        at.set(i32.add(at.get, i32.shiftLeft(from, n(2)))),
        i32.store(at.get, 0, i32.add(i32.load(at.get), count)),
        then,
      ],
      otherwise,
    ),
  ]
}
