/**
 * `cycle` over the memory that the scheme declares as outstanding: later writes stay inside the shrinking set. No
 * guest behaves so; the figures of Cha et al. (section III) assume it, and only it reproduces them.
 */
import type { ReadonlyPageSet } from '../memory/page-set.js'
import { Permutation } from '../support/permutation.js'
import { spreadPages } from './spread.js'
import type { WorkloadFactory } from './workload.js'

export const nested: WorkloadFactory = (spec, totalPages, numbers) => {
  let order = spreadPages(totalPages, spec.workingSetPages, 1, numbers)
  let at = 0
  return {
    next: (out, count) => {
      for (let i = 0; i < count; i++) {
        out[i] = order[at]!
        at = at + 1 === order.length ? 0 : at + 1
      }
    },
    confine: (pages) => {
      if (pages.count === 0) return
      const outstanding = members(pages)
      order = new Permutation(outstanding.length, numbers).list().map((place) => outstanding[place]!)
      at = 0
    },
  }
}

function members(pages: ReadonlyPageSet): Uint32Array {
  const list = new Uint32Array(pages.count)
  pages.fill(0, list)
  return list
}
