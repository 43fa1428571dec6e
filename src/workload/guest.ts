/**
 * A guest: memory, a workload and its own time. It is lazy: nothing happens until somebody advances it, and then
 * exactly the writes that were due by that guest time happen. So both testbeds see the same writes at the same
 * guest time, and a stalled event loop does not change the dirty rate.
 */

import { GuestMemory } from '../memory/guest-memory.js'
import { assert } from '../support/assert.js'
import { type Random, random } from '../support/random.js'
import { cycle } from './cycle.js'
import { hot } from './hot.js'
import { idle } from './idle.js'
import { iid } from './iid.js'
import { scan } from './scan.js'
import type { Workload, WorkloadFactory, WorkloadKind, WorkloadSpec } from './workload.js'

export interface GuestSpec {
  readonly totalPages: number
  readonly pageBytes: number
  readonly workload: WorkloadSpec
  readonly seed: number
}

const nsPerSecond = 1e9

export class Guest {
  readonly memory: GuestMemory
  readonly #workload: Workload
  readonly #writesPerSecond: number
  #writesDone = 0
  /** Guest time (running time less what throttling withheld) up to `#asOfNs` of the testbed's clock. */
  #guestNs = 0
  #asOfNs: number
  #running = true
  #withheld = 0

  constructor(spec: GuestSpec, nowNs: number) {
    this.memory = new GuestMemory(spec.totalPages, spec.pageBytes)
    const numbers = random(spec.seed, 0x67756573)
    this.#workload = makeWorkload(spec.workload, spec.totalPages, numbers)
    this.#writesPerSecond = spec.workload.kind === 'idle' ? 0 : spec.workload.writesPerSecond
    this.#asOfNs = nowNs
  }

  /** Guest time in nanoseconds at the last look. */
  get guestNs(): number {
    return this.#guestNs
  }

  get running(): boolean {
    return this.#running
  }

  /** Share of guest time withheld, 0..0.99. */
  get withheld(): number {
    return this.#withheld
  }

  /** Lets the guest run up to `nowNs` of the testbed's clock. Going back in time is a broken promise. */
  advance(nowNs: number): void {
    assert(nowNs >= this.#asOfNs, 'guest time does not go back')
    if (this.#running) this.#guestNs += (nowNs - this.#asOfNs) * (1 - this.#withheld)
    this.#asOfNs = nowNs
    const due = Math.floor((this.#guestNs / nsPerSecond) * this.#writesPerSecond)
    if (due > this.#writesDone) {
      this.#workload.run(this.memory, due - this.#writesDone)
      this.#writesDone = due
    }
  }

  /** Withholds a share of guest CPU time from now on, 0..0.99. */
  throttle(nowNs: number, withhold: number): void {
    assert(withhold >= 0 && withhold <= 0.99, 'a throttle withholds 0..0.99 of guest time')
    this.advance(nowNs)
    this.#withheld = withhold
  }

  suspend(nowNs: number): void {
    assert(this.#running, 'only a running guest can be suspended')
    this.advance(nowNs)
    this.#running = false
  }

  resume(nowNs: number): void {
    assert(!this.#running, 'only a suspended guest can be resumed')
    this.advance(nowNs)
    this.#running = true
  }
}

const factories: Readonly<Record<WorkloadKind, WorkloadFactory>> = { idle, cycle, iid, hot, scan }

function makeWorkload(spec: WorkloadSpec, totalPages: number, numbers: Random): Workload {
  return factories[spec.kind](spec, totalPages, numbers)
}
