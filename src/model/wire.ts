/** Puts bits on a modelled link: lets the time pass that they take at the rate that their class gets meanwhile. */

import { assert } from '../support/assert.js'
import type { VirtualClock } from './clock.js'
import { type LinkSpec, nextChangeNs, shareBps } from './link.js'

export class Wire {
  readonly #link: LinkSpec
  readonly #clock: VirtualClock
  #validUntilNs = -1
  readonly #shares = new Map<number, number>()

  constructor(link: LinkSpec, clock: VirtualClock) {
    this.#link = link
    this.#clock = clock
  }

  /** Bits per second that so many connections of a class get now. */
  rateBps(pcp: number, flows: number): number {
    if (this.#clock.nowNs >= this.#validUntilNs) this.#forget()
    const key = pcp * 64 + flows
    let share = this.#shares.get(key)
    if (share === undefined) {
      share = shareBps(this.#link, pcp, flows, this.#clock.nowNs)
      this.#shares.set(key, share)
    }
    return share
  }

  /** Sends bits until all are through or it is `byNs`; returns how many are through. */
  send(pcp: number, flows: number, bits: number, byNs: number): number {
    let left = bits
    for (;;) {
      const rateBps = this.rateBps(pcp, flows)
      const untilNs = Math.min(this.#validUntilNs, byNs)
      const hereNs = Math.max(0, untilNs - this.#clock.nowNs)
      const neededNs = (left * 1e9) / rateBps
      if (neededNs <= hereNs) {
        this.#clock.pass(neededNs)
        return bits
      }
      assert(Number.isFinite(untilNs), 'a wait for a starved class has an end')
      left -= (rateBps * hereNs) / 1e9
      this.#clock.passTo(untilNs)
      if (untilNs === byNs) return bits - left
    }
  }

  #forget(): void {
    this.#shares.clear()
    this.#validUntilNs = nextChangeNs(this.#link, this.#clock.nowNs)
  }
}
