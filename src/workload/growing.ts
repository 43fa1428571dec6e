/**
 * A workload under which the guest's memory in use grows: every so many accesses take the next free page into use. Part of
 * the sequence of accesses like any other, so that a guest which goes on elsewhere grows there as it would have here.
 */
import type { Workload } from './workload.js'

/** `share` of the accesses, more than 0, take a page from `usedPages` on, until `freePages` of them are in use. */
export function growing(inner: Workload, usedPages: number, freePages: number, share: number): Workload {
  let accesses = 0
  let taken = 0
  return {
    ...inner,
    next: (out, count) => {
      for (let done = 0; done < count; ) {
        const nextTake = taken < freePages ? Math.ceil((taken + 1) / share) - 1 : Number.POSITIVE_INFINITY
        const others = Math.min(count - done, nextTake - accesses)
        inner.next(out.subarray(done), others)
        done += others
        accesses += others
        if (done === count) break
        out[done++] = usedPages + taken++
        accesses++
      }
    },
  }
}
