/** Small histograms of durations for many flows in one array: 8 buckets per octave, so percentiles are within 5 %. */

import type { WasmArena } from '../support/wasm.js'

const bits = 3
const perOctave = 1 << bits
/** Durations below 2^10 ns share the first bucket, those above 2^37 ns (137 s) the last. */
const lowestShift = 10
const octaves = 27
const size = octaves * perOctave
const notYet = 0

export class DurationBuckets {
  constructor(private readonly arena: WasmArena) {}

  /** Place of a new histogram; never 0. */
  allocate(): number {
    return this.arena.allocate(4 * size) / 4
  }

  add(place: number, ns: number): void {
    const counts = this.arena.ints
    const at = place + bucketOf(ns)
    counts[at] = counts[at]! + 1
  }

  /** The duration in ns at or below which `share` (0..1) of them lie; undefined without any. */
  percentileNs(place: number, share: number): number | undefined {
    const counts = this.arena.ints.subarray(place, place + size)
    const total = counts.reduce((sum, count) => sum + count, 0)
    if (total === 0 || place === notYet) return undefined
    const rank = Math.max(1, Math.ceil(share * total))
    let seen = 0
    let at = 0
    while (at < size - 1 && seen + counts[at]! < rank) seen += counts[at++]!
    const octave = at >> bits
    const low = (perOctave + (at & (perOctave - 1))) * 2 ** (octave + lowestShift - bits)
    return low * (1 + 1 / (4 * perOctave))
  }
}

function bucketOf(ns: number): number {
  const shifted = Math.floor(ns / 2 ** (lowestShift - bits))
  if (shifted < perOctave) return 0
  if (shifted >= 2 ** 30) return size - 1
  const octave = 31 - Math.clz32(shifted) - bits
  return (octave << bits) + (shifted >>> octave) - perOctave
}
