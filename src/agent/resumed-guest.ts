/**
 * The guest at the destination after an early handover: runs on from where the source suspended it, waits at its first
 * access to a page that is not here, and asks for it.
 */

import type { PageSet } from '../memory/page-set.js'
import type { Blocked, Guest, GuestPosition } from '../workload/guest.js'
import { monotonicNs } from './clock.js'

/** Between two looks at what the guest is at, when no page arrives meanwhile. */
const lookMs = 1

export interface GuestReport {
  /** Pages that were asked for over the network. */
  readonly requests: number
  /** Time that the guest waited for pages. */
  readonly stallNs: number
}

export class ResumedGuest {
  readonly #guest: Guest
  readonly #missing: PageSet
  readonly #fault: (page: number) => void
  #asked: Blocked | undefined
  #requests = 0
  #lastNs = 0
  #timer: NodeJS.Timeout | undefined

  /**
   * `fresh` is a guest of the session that has done nothing yet: making one takes time, and belongs into the set-up.
   * `missing` are the pages that are not here; `fault` asks for one.
   */
  constructor(fresh: Guest, position: GuestPosition, missing: PageSet, fault: (page: number) => void) {
    this.#guest = fresh
    fresh.catchUp(position)
    this.#missing = missing
    this.#fault = fault
  }

  run(): void {
    const nowNs = this.#now()
    this.#guest.setGate(nowNs, (page) => this.#missing.has(page))
    this.#guest.resume(nowNs)
    this.#timer = setInterval(() => this.#look(), lookMs)
    this.#look()
  }

  /** A page is here in its newest version. */
  arrived(page: number): void {
    this.#missing.delete(page)
    if (this.#guest.blocked?.page === page) this.#guest.release(this.#now())
    this.#look()
    if (this.#missing.count === 0) clearInterval(this.#timer)
  }

  get missingPages(): number {
    return this.#missing.count
  }

  report(): GuestReport {
    this.#guest.advance(this.#now())
    return { requests: this.#requests, stallNs: this.#guest.stallNs }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    this.#guest.advance(this.#now())
    const { blocked } = this.#guest
    if (blocked === undefined || blocked === this.#asked) return
    this.#asked = blocked
    this.#requests++
    this.#fault(blocked.page)
  }

  /** CLOCK_MONOTONIC in a double, kept monotonic whatever the rounding. */
  #now(): number {
    this.#lastNs = Math.max(this.#lastNs, monotonicNs())
    return this.#lastNs
  }
}
