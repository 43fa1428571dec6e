/** A guest that writes nothing. */
import type { WorkloadFactory } from './workload.js'

export const idle: WorkloadFactory = () => ({ run: () => {} })
