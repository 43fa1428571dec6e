/**
 * A fixed random permutation of the working set, visited cyclically: distinct dirty pages grow exactly linearly
 * until the set is exhausted (the linear model of Cha et al. section IV, and AVG of Akoush et al. 2010).
 */
import { spreadPages } from './spread.js'
import type { WorkloadFactory } from './workload.js'

export const cycle: WorkloadFactory = (spec, totalPages, numbers) => {
  const order = spreadPages(totalPages, spec.workingSetPages, 1, numbers)
  let at = 0
  return {
    next: (out, count) => {
      for (let i = 0; i < count; i++) {
        out[i] = order[at]!
        at = at + 1 === order.length ? 0 : at + 1
      }
    },
  }
}
