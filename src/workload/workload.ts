/** What every guest behaviour looks like: a seeded sequence of page writes, a function of guest time and nothing else. */

import type { GuestMemory } from '../memory/guest-memory.js'
import type { Random } from '../support/random.js'

export interface WorkloadSpec {
  readonly kind: WorkloadKind
  /** Page writes per second of guest time. */
  readonly writesPerSecond: number
  /** Pages that the workload keeps writing (`cycle`, `hot`): 1..totalPages. */
  readonly workingSetPages: number
  /** `hot`: share of the writes that go to the working set, 0..1. */
  readonly hotShare: number
}

export type WorkloadKind = 'idle' | 'cycle' | 'iid' | 'hot' | 'scan'

export interface Workload {
  /** Carries out the next `writes` writes of the sequence. */
  run(memory: GuestMemory, writes: number): void
}

export type WorkloadFactory = (spec: WorkloadSpec, totalPages: number, numbers: Random) => Workload
