/** Independent uniform writes: distinct pages in time t are N (1 - exp(-w t / N)). */
import type { WorkloadFactory } from './workload.js'

export const iid: WorkloadFactory = (_spec, totalPages, numbers) => ({
  run: (memory, writes) => {
    for (let i = 0; i < writes; i++) memory.write(numbers.below(totalPages))
  },
})
