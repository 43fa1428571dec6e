/** Independent uniform writes to the working set: distinct pages in time t are W (1 - exp(-w t / W)). */
import { spreadPages } from './spread.js'
import type { WorkloadFactory } from './workload.js'

export const iid: WorkloadFactory = (spec, totalPages, numbers) => {
  if (spec.workingSetPages >= totalPages) {
    return {
      next: (out, count) => {
        for (let i = 0; i < count; i++) out[i] = numbers.below(totalPages)
      },
    }
  }
  const pages = spreadPages(totalPages, spec.workingSetPages, 1, numbers)
  return {
    next: (out, count) => {
      for (let i = 0; i < count; i++) out[i] = pages[numbers.below(pages.length)]!
    },
  }
}
