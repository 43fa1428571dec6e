/** Puts bits on a modelled link: lets the time pass that they take at the rate that their class gets meanwhile. */

import { assert } from '../support/assert.js'
import type { VirtualClock } from './clock.js'
import { type LinkSpec, nextChangeNs, rank, shareBps } from './link.js'

/** A part of the migration that sends by itself, whatever the source does. */
export interface Beside {
  readonly pcp: number
  /** It has a network of its own, and takes nothing from the link. */
  readonly apart: boolean
  readonly limitBps: number
  readonly waitingBits: number
  /** So many bits went over the wire. */
  pass(bits: number): void
}

interface Rates {
  readonly mineBps: number
  readonly besideBps: number
}

export class Wire {
  readonly #link: LinkSpec
  readonly #clock: VirtualClock
  #beside: Beside | undefined
  /** Up to when what is beside was accounted for. */
  #besideAsOfNs = 0
  #validUntilNs = -1
  readonly #shares = new Map<number, number>()

  constructor(link: LinkSpec, clock: VirtualClock) {
    this.#link = link
    this.#clock = clock
  }

  /** From now on this is on its way too whenever it has something to send. */
  join(beside: Beside): void {
    this.#beside = beside
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
    this.catchUp()
    let left = bits
    for (;;) {
      const { mineBps, besideBps } = this.#rates(pcp, flows)
      const untilNs = Math.min(this.#validUntilNs, this.#besideEndsNs(besideBps), byNs)
      const hereNs = Math.max(0, untilNs - this.#clock.nowNs)
      const neededNs = (left * 1e9) / mineBps
      if (neededNs <= hereNs) {
        this.#clock.pass(neededNs)
        this.#besideSent((besideBps * neededNs) / 1e9)
        return bits
      }
      assert(Number.isFinite(untilNs), 'a wait for a starved class has an end')
      left -= (mineBps * hereNs) / 1e9
      this.#clock.passTo(untilNs)
      this.#besideSent((besideBps * hereNs) / 1e9)
      if (untilNs === byNs) return bits - left
    }
  }

  /** What is beside has sent on while nobody else did. */
  catchUp(): void {
    const beside = this.#beside
    if (beside === undefined) return
    const elapsedNs = this.#clock.nowNs - this.#besideAsOfNs
    if (elapsedNs > 0 && beside.waitingBits > 0) beside.pass((this.#aloneBps(beside) * elapsedNs) / 1e9)
    this.#besideAsOfNs = this.#clock.nowNs
  }

  /** Lets time pass until nothing waits beside; false when that is not so by `byNs`. */
  drain(byNs: number): boolean {
    this.catchUp()
    while (this.#beside !== undefined && this.#beside.waitingBits > 0) {
      if (this.#clock.nowNs >= byNs) return false
      const rateBps = this.#aloneBps(this.#beside)
      this.#clock.passTo(Math.min(this.#validUntilNs, this.#besideEndsNs(rateBps), byNs))
      this.catchUp()
    }
    return true
  }

  #aloneBps(beside: Beside): number {
    return beside.apart ? beside.limitBps : Math.min(beside.limitBps, this.rateBps(beside.pcp, 1))
  }

  #rates(pcp: number, flows: number): Rates {
    const beside = this.#beside
    const mineBps = this.rateBps(pcp, flows)
    if (beside === undefined || beside.waitingBits === 0) return { mineBps, besideBps: 0 }
    const aloneBps = this.#aloneBps(beside)
    if (beside.apart) return { mineBps, besideBps: aloneBps }
    if (this.#link.discipline !== 'strict' || beside.pcp === pcp) {
      // One connection more of the same queue, or of one that is served as often.
      const allBps = this.rateBps(pcp, flows + 1)
      const besideBps = Math.min(beside.limitBps, allBps / (flows + 1))
      return { mineBps: allBps - besideBps, besideBps }
    }
    return rank(beside.pcp) < rank(pcp)
      ? { mineBps: Math.max(0, mineBps - aloneBps), besideBps: aloneBps }
      : { mineBps, besideBps: Math.max(0, aloneBps - mineBps) }
  }

  /** When nothing waits beside any more at this rate: the shares are then others. */
  #besideEndsNs(rateBps: number): number {
    const bits = this.#beside?.waitingBits ?? 0
    if (bits === 0 || rateBps === 0) return Number.POSITIVE_INFINITY
    return this.#clock.nowNs + Math.max(1, Math.ceil((bits * 1e9) / rateBps))
  }

  #besideSent(bits: number): void {
    if (bits > 0) this.#beside?.pass(bits)
    this.#besideAsOfNs = this.#clock.nowNs
  }

  #forget(): void {
    this.#shares.clear()
    this.#validUntilNs = nextChangeNs(this.#link, this.#clock.nowNs)
  }
}
