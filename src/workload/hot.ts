/** A writable working set: `hotShare` of the writes go to it, the rest anywhere (Clark et al., NSDI 2005, section 4). */
import { spreadPages } from './spread.js'
import type { WorkloadFactory } from './workload.js'

/** Hot pages lie in runs, as heaps and page tables do; schemes that use spatial locality need some. */
const runPages = 16

export const hot: WorkloadFactory = (spec, totalPages, numbers) => {
  const hotPages = spreadPages(totalPages, spec.workingSetPages, runPages, numbers)
  const threshold = Math.round(spec.hotShare * 2 ** 32)
  return {
    next: (out, count) => {
      for (let i = 0; i < count; i++) {
        const inSet = numbers.uint32() < threshold
        out[i] = inSet ? hotPages[numbers.below(hotPages.length)]! : numbers.below(totalPages)
      }
    },
  }
}
