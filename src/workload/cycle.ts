/**
 * A fixed random permutation of the working set, visited cyclically: distinct dirty pages grow exactly linearly
 * until the set is exhausted (the linear model of Cha et al. section IV, and AVG of Akoush et al. 2010).
 */
import { assert } from '../support/assert.js'
import { Permutation } from '../support/permutation.js'
import type { WorkloadFactory } from './workload.js'

export const cycle: WorkloadFactory = (spec, totalPages, numbers) => {
  const { workingSetPages } = spec
  assert(
    workingSetPages >= 1 && workingSetPages <= totalPages,
    'a working set has between one page and all of them',
  )
  // The first places of a permutation of all pages are a random set in random order.
  const order = new Permutation(totalPages, numbers)
  let at = 0
  return {
    next: (out, count) => {
      for (let done = 0; done < count; ) {
        const here = Math.min(count - done, workingSetPages - at)
        order.fill(at, out.subarray(done), here)
        done += here
        at = at + here === workingSetPages ? 0 : at + here
      }
    },
  }
}
