/** Sequential writes through all of memory, over and over: the worst case for predictors that trust recency. */
import type { WorkloadFactory } from './workload.js'

export const scan: WorkloadFactory = (_spec, totalPages) => {
  let page = 0
  return {
    run: (memory, writes) => {
      for (let i = 0; i < writes; i++) {
        memory.write(page)
        page = page + 1 === totalPages ? 0 : page + 1
      }
    },
  }
}
