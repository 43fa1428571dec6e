/** What every guest behaviour looks like: a seeded sequence of page numbers, a function of guest time and nothing else. */

import type { ReadonlyPageSet } from '../memory/page-set.js'
import type { Random } from '../support/random.js'
import type { Trace } from './trace.js'

export interface WorkloadSpec {
  readonly kind: WorkloadKind
  /** Page writes per second of guest time. */
  readonly writesPerSecond: number
  /** Pages that the workload prefers or is confined to: 1..totalPages. */
  readonly workingSetPages: number
  /** `hot`, `phase`: share of the writes that go to the working set, 0..1. */
  readonly hotShare: number
  /** Share of the accesses that take a free page into use, 0..1; 0 when absent. */
  readonly growthShare?: number
  /** `phase`: how long a working set stays, in guest time. */
  readonly periodNs?: number
  /** `trace`: the recorded writes; `writesPerSecond` is then their mean rate. */
  readonly trace?: Trace
}

export const workloadKinds = ['idle', 'cycle', 'iid', 'hot', 'nested', 'phase', 'scan', 'trace'] as const
export type WorkloadKind = (typeof workloadKinds)[number]

export interface Workload {
  /** Writes the next `count` pages of the sequence into out[0..count). */
  next(out: Uint32Array, count: number): void
  /** Accesses that are due by this guest time, where they do not come at an even rate; with it `timeOf`. */
  dueBy?(guestNs: number): number
  /** Guest time of the access with this number, from 0. */
  timeOf?(access: number): number
  /** `nested` only: the memory that the scheme regards as outstanding from now on. */
  confine?(pages: ReadonlyPageSet): void
}

export type WorkloadFactory = (spec: WorkloadSpec, totalPages: number, numbers: Random) => Workload
