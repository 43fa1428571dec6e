/** Sequential writes through the first pages of memory, over and over: the worst case for predictors that trust recency. */
import type { WorkloadFactory } from './workload.js'

export const scan: WorkloadFactory = (spec) => {
  let page = 0
  return {
    next: (out, count) => {
      for (let i = 0; i < count; i++) {
        out[i] = page
        page = page + 1 === spec.workingSetPages ? 0 : page + 1
      }
    },
  }
}
