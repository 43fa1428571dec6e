/** What a trace of writes says of its guest: dirty rate and working set over time, and how soon pages are written again. */

import { ReuseDistances } from '../strategies/reuse-distances.js'
import type { Trace } from '../workload/trace.js'

export const traceSchema = 'pagewire.trace/1'

export interface TraceInterval {
  readonly from_s: number
  readonly to_s: number
  readonly writes: number
  /** Different pages written in it: what a dirty log read once an interval would hold. */
  readonly dirty_pages: number
  /** Pages written for the first time. */
  readonly new_pages: number
}

export interface TraceSummary {
  readonly schema: typeof traceSchema
  readonly writes: number
  readonly duration_s: number
  readonly writes_per_s: number
  /** Different pages in all. */
  readonly working_set_pages: number
  readonly highest_page: number
  readonly over_time: readonly TraceInterval[]
  /** Distance of a write: different pages written since the last write of its page. */
  readonly reuse: {
    /** Writes of a page that was not written before. */
    readonly first_writes: number
    /** Of the others; null where there are none. */
    readonly distance_median: number | null
    readonly distance_p90: number | null
    /** Writes whose distance is below each power of two and not below the one before. */
    readonly histogram: readonly { readonly below: number; readonly writes: number }[]
  }
}

const intervals = 20

export function traceSummary(trace: Trace): TraceSummary {
  const { timesNs, pages } = trace
  const durationNs = timesNs.at(-1)!
  const highest = pages.reduce((max, page) => Math.max(max, page), 0)
  const distances = reuseDistances(pages, highest + 1)
  return {
    schema: traceSchema,
    writes: pages.length,
    duration_s: durationNs / 1e9,
    writes_per_s: Math.round((1e11 * pages.length) / durationNs) / 100,
    working_set_pages: new Set(pages).size,
    highest_page: highest,
    over_time: overTime(trace, durationNs),
    reuse: {
      first_writes: pages.length - distances.length,
      distance_median: distances[Math.floor(distances.length / 2)] ?? null,
      distance_p90: distances[Math.floor(0.9 * distances.length)] ?? null,
      histogram: histogram(distances),
    },
  }
}

function overTime({ timesNs, pages }: Trace, durationNs: number): readonly TraceInterval[] {
  const seen = new Set<number>()
  let at = 0
  return Array.from({ length: intervals }, (_, i) => {
    const toNs = ((i + 1) * durationNs) / intervals
    const dirty = new Set<number>()
    const before = seen.size
    const first = at
    // The last write is at the very end, and belongs to the last interval.
    while (at < pages.length && (timesNs[at]! < toNs || i === intervals - 1)) {
      dirty.add(pages[at]!)
      seen.add(pages[at]!)
      at++
    }
    return {
      from_s: seconds((i * durationNs) / intervals),
      to_s: seconds(toNs),
      writes: at - first,
      dirty_pages: dirty.size,
      new_pages: seen.size - before,
    }
  })
}

/** Ascending; first writes have none. */
function reuseDistances(pages: readonly number[], totalPages: number): Float64Array {
  const reuse = new ReuseDistances(totalPages)
  const distances = new Float64Array(pages.length)
  let count = 0
  for (const page of pages) {
    const distance = reuse.write(page)
    if (distance !== undefined) distances[count++] = distance
  }
  return distances.slice(0, count).sort()
}

function histogram(distances: Float64Array): { below: number; writes: number }[] {
  const rows: { below: number; writes: number }[] = []
  let at = 0
  for (let below = 1; at < distances.length; below *= 2) {
    const first = at
    while (at < distances.length && distances[at]! < below) at++
    rows.push({ below, writes: at - first })
  }
  return rows
}

function seconds(ns: number): number {
  return Math.round(ns / 1e3) / 1e6
}
