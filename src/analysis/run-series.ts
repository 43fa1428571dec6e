/**
 * What each row of a run's classes did over time, in bins of equal width from the start of the migration to its end:
 * the curves of a report. Throughput counts frames when they leave the congested port; loss counts them when they
 * came to it; the queueing delay is that of the frames that leave in the bin.
 */

import type { ExpectedFlow } from './run-flows.js'

export interface SeriesRow {
  readonly role: string
  readonly direction: 'client-to-server' | 'server-to-client' | 'any'
  readonly pcp: number | null
  readonly dscp: number | null
  readonly throughput_mbps: readonly number[]
  readonly packets_lost: readonly number[]
  /** Null: no frame left in that bin. */
  readonly queue_delay_ms_mean: readonly (number | null)[]
  readonly queue_delay_ms_max: readonly (number | null)[]
  /** TCP segments whose sequence space was seen before, where they entered the network. */
  readonly retransmits: readonly number[]
  /** The most that one connection had sent and nobody had acknowledged; null: no segment in that bin, or not TCP. */
  readonly in_flight_kib_max: readonly (number | null)[]
}

export interface RunSeries {
  readonly bin_ms: number
  readonly bins: number
  readonly rows: readonly SeriesRow[]
}

/** About this many bins, whatever the migration took. */
const binsWanted = 150
const binNsMin = 10e6

interface Bins {
  readonly bytes: Float64Array
  readonly entered: Float64Array
  readonly matched: Float64Array
  readonly left: Float64Array
  readonly delayNs: Float64Array
  readonly delayNsMax: Float64Array
  readonly resent: Float64Array
  readonly inFlightMax: Float64Array
}

/** The rows are those of the classes, by their numbers. */
export class SeriesTable {
  readonly #fromNs: number
  readonly #binNs: number
  readonly #count: number
  readonly #rows: Bins[] = []

  /** A window without ends has no bins. */
  constructor(window: { readonly fromNs: number; readonly toNs: number }) {
    const length = window.toNs - window.fromNs
    this.#fromNs = window.fromNs
    this.#binNs = Number.isFinite(length) ? roundedBin(length / binsWanted) : 1
    this.#count = Number.isFinite(length) ? Math.ceil(length / this.#binNs) : 0
  }

  entered(row: number, timeNs: number): void {
    const bin = this.#bin(timeNs)
    if (bin !== undefined) add(this.#of(row).entered, bin, 1)
  }

  /** A frame that came out, matched to its coming in. */
  matched(row: number, enteredNs: number, leftNs: number): void {
    const bin = this.#bin(enteredNs)
    if (bin !== undefined) add(this.#of(row).matched, bin, 1)
    const out = this.#bin(leftNs)
    if (out === undefined) return
    const bins = this.#of(row)
    const delay = Math.max(0, leftNs - enteredNs)
    add(bins.left, out, 1)
    add(bins.delayNs, out, delay)
    bins.delayNsMax[out] = Math.max(bins.delayNsMax[out]!, delay)
  }

  left(row: number, timeNs: number, bytes: number): void {
    const bin = this.#bin(timeNs)
    if (bin !== undefined) add(this.#of(row).bytes, bin, bytes)
  }

  /** A segment was sent; `again`: a part of it was sent before. */
  segment(row: number, timeNs: number, inFlightBytes: number, again: boolean): void {
    const bin = this.#bin(timeNs)
    if (bin === undefined) return
    const bins = this.#of(row)
    if (again) add(bins.resent, bin, 1)
    bins.inFlightMax[bin] = Math.max(bins.inFlightMax[bin]!, inFlightBytes)
  }

  result(
    rows: readonly {
      readonly number: number
      readonly flow: number
      readonly toServer: boolean
      readonly pcp: number
      readonly dscp: number
    }[],
    flows: readonly ExpectedFlow[],
  ): RunSeries {
    return {
      bin_ms: this.#binNs / 1e6,
      bins: this.#count,
      rows: rows.flatMap((row) => {
        const bins = this.#rows[row.number]
        return bins === undefined ? [] : [this.#row(row, flows[row.flow]?.role, bins)]
      }),
    }
  }

  #row(
    { toServer, pcp, dscp }: { readonly toServer: boolean; readonly pcp: number; readonly dscp: number },
    role: string | undefined,
    bins: Bins,
  ): SeriesRow {
    const perBin = 8000 / this.#binNs
    return {
      role: role ?? 'other',
      direction: role === undefined ? 'any' : toServer ? 'client-to-server' : 'server-to-client',
      pcp: pcp < 0 ? null : pcp,
      dscp: dscp < 0 ? null : dscp,
      throughput_mbps: [...bins.bytes].map((bytes) => shown(bytes * perBin)),
      packets_lost: [...bins.entered].map((entered, i) => Math.max(0, entered - bins.matched[i]!)),
      queue_delay_ms_mean: [...bins.delayNs].map((total, i) =>
        bins.left[i] === 0 ? null : shown(total / bins.left[i]! / 1e6),
      ),
      queue_delay_ms_max: [...bins.delayNsMax].map((max, i) =>
        bins.left[i] === 0 ? null : shown(max / 1e6),
      ),
      retransmits: [...bins.resent],
      in_flight_kib_max: [...bins.inFlightMax].map((bytes) => (bytes === 0 ? null : shown(bytes / 1024))),
    }
  }

  #bin(timeNs: number): number | undefined {
    const bin = Math.floor((timeNs - this.#fromNs) / this.#binNs)
    return bin >= 0 && bin < this.#count ? bin : undefined
  }

  #of(row: number): Bins {
    this.#rows[row] ??= {
      bytes: new Float64Array(this.#count),
      entered: new Float64Array(this.#count),
      matched: new Float64Array(this.#count),
      left: new Float64Array(this.#count),
      delayNs: new Float64Array(this.#count),
      delayNsMax: new Float64Array(this.#count),
      resent: new Float64Array(this.#count),
      inFlightMax: new Float64Array(this.#count),
    }
    return this.#rows[row]
  }
}

function add(bins: Float64Array, at: number, value: number): void {
  bins[at] = bins[at]! + value
}

/** 1, 2 or 5 times a power of ten, at least 10 ms. */
function roundedBin(ns: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(ns, binNsMin)))
  const step = [1, 2, 5, 10].find((factor) => factor * power >= ns) ?? 10
  return Math.max(binNsMin, step * power)
}

function shown(value: number): number {
  return Math.round(value * 1e3) / 1e3
}
