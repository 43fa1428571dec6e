/** `hot` with a working set that moves at the end of every period: programs that work in phases. */
import { assert } from '../support/assert.js'
import { spreadPages } from './spread.js'
import type { WorkloadFactory } from './workload.js'

/** As in `hot`. */
const runPages = 16

export const phase: WorkloadFactory = (spec, totalPages, numbers) => {
  assert(spec.periodNs !== undefined && spec.periodNs > 0, 'phases have a period')
  const periodWrites = Math.max(1, Math.round((spec.periodNs / 1e9) * spec.writesPerSecond))
  const threshold = Math.round(spec.hotShare * 2 ** 32)
  const choose = (): Uint32Array => spreadPages(totalPages, spec.workingSetPages, runPages, numbers)
  let hotPages = choose()
  let left = periodWrites
  return {
    next: (out, count) => {
      for (let i = 0; i < count; i++) {
        if (left === 0) {
          hotPages = choose()
          left = periodWrites
        }
        left--
        const inSet = numbers.uint32() < threshold
        out[i] = inSet ? hotPages[numbers.below(hotPages.length)]! : numbers.below(totalPages)
      }
    },
  }
}
