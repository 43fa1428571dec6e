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

/** What wants to send at a moment: so many connections of a class, at most so fast. */
interface Wanting {
  readonly pcp: number
  readonly flows: number
  readonly limitBps: number
}

export class Wire {
  readonly #link: LinkSpec
  readonly #clock: VirtualClock
  readonly #beside: Beside[] = []
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
    this.catchUp()
    this.#beside.push(beside)
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
      const beside = this.#waiting()
      const [mineBps = 0, ...besideBps] = this.#rates(beside, {
        pcp,
        flows,
        limitBps: Number.POSITIVE_INFINITY,
      })
      const nowNs = this.#clock.nowNs
      const untilNs = Math.min(this.#validUntilNs, nowNs + this.#besideEndsIn(beside, besideBps), byNs)
      const hereNs = Math.max(0, untilNs - nowNs)
      const neededNs = (left * 1e9) / mineBps
      if (neededNs <= hereNs) {
        this.#clock.pass(neededNs)
        this.#besideSent(beside, besideBps, neededNs)
        return bits
      }
      assert(Number.isFinite(untilNs), 'a wait for a starved class has an end')
      left -= (mineBps * hereNs) / 1e9
      this.#clock.passTo(untilNs)
      this.#besideSent(beside, besideBps, hereNs)
      if (untilNs === byNs) return bits - left
    }
  }

  /** What is beside has sent on while nobody else did. */
  catchUp(): void {
    if (this.#beside.length === 0) return
    let left = this.#clock.nowNs - this.#besideAsOfNs
    for (let beside = this.#waiting(); left > 0 && beside.length > 0; beside = this.#waiting()) {
      const ratesBps = this.#rates(beside)
      const hereNs = Math.min(left, this.#besideEndsIn(beside, ratesBps))
      this.#besideSent(beside, ratesBps, hereNs)
      left -= hereNs
    }
    this.#besideAsOfNs = this.#clock.nowNs
  }

  /** Lets time pass until nothing waits beside; false when that is not so by `byNs`. */
  drain(byNs: number): boolean {
    this.catchUp()
    for (let beside = this.#waiting(); beside.length > 0; beside = this.#waiting()) {
      if (this.#clock.nowNs >= byNs) return false
      const endsInNs = this.#besideEndsIn(beside, this.#rates(beside))
      this.#clock.passTo(Math.min(this.#validUntilNs, this.#clock.nowNs + endsInNs, byNs))
      this.catchUp()
    }
    return true
  }

  #waiting(): readonly Beside[] {
    if (this.#beside.length === 0) return this.#beside
    return this.#beside.filter(({ waitingBits }) => waitingBits > 0)
  }

  /** Bits per second of what the source sends, where it sends, and of each that waits beside. */
  #rates(beside: readonly Beside[], mine?: Wanting): readonly number[] {
    if (beside.length === 0) return mine === undefined ? [] : [this.rateBps(mine.pcp, mine.flows)]
    const onPort: Wanting[] = mine === undefined ? [] : [mine]
    for (const { apart, pcp, limitBps } of beside) if (!apart) onPort.push({ pcp, flows: 1, limitBps })
    const shares = this.#portShares(onPort)
    const ofBeside = beside.map((one) => (one.apart ? one.limitBps : 0))
    let at = mine === undefined ? 0 : 1
    for (const [i, one] of beside.entries()) if (!one.apart) ofBeside[i] = shares[at++] ?? 0
    return mine === undefined ? ofBeside : [shares[0] ?? 0, ...ofBeside]
  }

  /** The port among connections of the migration: the classes in order of service, within one by connection. */
  #portShares(wanting: readonly Wanting[]): readonly number[] {
    const strict = this.#link.discipline === 'strict'
    const place = ({ pcp }: Wanting): number => (strict ? rank(pcp) : 0)
    const shares = new Array<number>(wanting.length).fill(0)
    let takenBps = 0
    for (const level of [...new Set(wanting.map(place))].sort((a, b) => a - b)) {
      const group = wanting.flatMap((one, i) => (place(one) === level ? [i] : []))
      let flows = group.reduce((sum, i) => sum + wanting[i]!.flows, 0)
      let leftBps = Math.max(0, this.rateBps(wanting[group[0]!]!.pcp, flows) - takenBps)
      // Who may send least is served first: what it leaves goes to the others.
      for (const i of group.sort((a, b) => wanting[a]!.limitBps - wanting[b]!.limitBps)) {
        const { flows: own, limitBps } = wanting[i]!
        const share = Math.min(limitBps, (leftBps * own) / flows)
        shares[i] = share
        flows -= own
        leftBps -= share
        takenBps += share
      }
    }
    return shares
  }

  /** After how many nanoseconds one of them has nothing to send any more at this rate: the shares are then others. */
  #besideEndsIn(beside: readonly Beside[], ratesBps: readonly number[]): number {
    let endsIn = Number.POSITIVE_INFINITY
    for (const [i, { waitingBits }] of beside.entries()) {
      const rateBps = ratesBps[i] ?? 0
      if (rateBps > 0) endsIn = Math.min(endsIn, Math.max(1, Math.ceil((waitingBits * 1e9) / rateBps)))
    }
    return endsIn
  }

  #besideSent(beside: readonly Beside[], ratesBps: readonly number[], durationNs: number): void {
    for (const [i, one] of beside.entries()) one.pass(((ratesBps[i] ?? 0) * durationNs) / 1e9)
    this.#besideAsOfNs = this.#clock.nowNs
  }

  #forget(): void {
    this.#shares.clear()
    this.#validUntilNs = nextChangeNs(this.#link, this.#clock.nowNs)
  }
}
