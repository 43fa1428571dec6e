/** Records which pages a guest dirties in each short interval of its time: the dirty log of an earlier run. */

import { PageSet } from '../memory/page-set.js'
import { Guest, type GuestSpec } from '../workload/guest.js'
import type { DirtyHistory } from './forecast.js'

/** Runs a guest of its own for so many intervals. */
export function recordHistory(spec: GuestSpec, intervalNs: number, intervals: number): DirtyHistory {
  const guest = new Guest(spec, 0)
  const found = new PageSet(spec.totalPages)
  const starts = new Uint32Array(intervals + 1)
  let pages = new Uint32Array(1024)
  for (let i = 0; i < intervals; i++) {
    guest.advance((i + 1) * intervalNs)
    const count = guest.memory.cleanDirty(found)
    const at = starts[i]!
    if (at + count > pages.length) pages = grown(pages, at + count)
    found.fill(0, pages.subarray(at, at + count))
    found.clear()
    starts[i + 1] = at + count
  }
  return { intervalNs, pages: pages.subarray(0, starts[intervals]), starts }
}

function grown(pages: Uint32Array, atLeast: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(2 * pages.length, atLeast))
  larger.set(pages)
  return larger
}
