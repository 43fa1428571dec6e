/** A guest that writes nothing. */
import { assert } from '../support/assert.js'
import type { WorkloadFactory } from './workload.js'

export const idle: WorkloadFactory = () => ({
  next: (_out, count) => assert(count === 0, 'an idle guest writes nothing'),
})
