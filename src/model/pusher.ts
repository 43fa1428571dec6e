/**
 * Post-copy in virtual time: the guest runs at the destination, waits at its first access to a missing page and asks
 * for it over the network; pages that nobody waits for are pushed meanwhile.
 */

import type { PageVersions } from '../memory/page-versions.js'
import type { PushRequest, PushResult } from '../migration/testbed.js'
import type { Guest } from '../workload/guest.js'
import type { VirtualClock } from './clock.js'
import type { Destination } from './destination.js'
import { type LinkSpec, standingQueueNs, wireBits } from './link.js'
import type { Wire } from './wire.js'

/** Pages that are pushed between two looks for faults. */
const pagesPerTurn = 4
/** Time between two looks for faults when nothing is pushed. */
const idleLookNs = 100_000

interface Totals {
  pages: number
  requests: number
}

/** A page that the guest waits for, and when the source knows. */
interface Fault {
  readonly page: number
  readonly knownNs: number
}

export class Pusher {
  readonly #clock: VirtualClock
  readonly #link: LinkSpec
  readonly #wire: Wire
  readonly #guest: Guest
  readonly #destination: Destination
  /** Versions at the suspend: what is sent, whatever the guest has written since. */
  readonly #versions: PageVersions
  readonly #pageBits: number
  readonly #one = new Uint32Array(1)
  /** When the page that the guest waits for is there. */
  #releaseNs: number | undefined
  #fault: Fault | undefined

  constructor(
    clock: VirtualClock,
    link: LinkSpec,
    wire: Wire,
    guest: Guest,
    destination: Destination,
    versions: PageVersions,
  ) {
    this.#clock = clock
    this.#link = link
    this.#wire = wire
    this.#guest = guest
    this.#destination = destination
    this.#versions = versions
    this.#pageBits = wireBits(link, guest.memory.pageBytes + link.messageHeaderBytes)
  }

  push(request: PushRequest, pcp: number, faultsPcp: number): PushResult {
    const { queue } = request
    const batch = new Uint32Array(pagesPerTurn)
    const totals: Totals = { pages: 0, requests: 0 }
    // A fault that the last push could not serve any more: its page leaves once all the same.
    if (this.#fault !== undefined) queue.fault(this.#fault.page)
    const byNs = request.giveUpAtNs - 2 * this.#link.delayNs
    while (this.#clock.nowNs < request.feedUntilNs && queue.left.count + (this.#fault ? 1 : 0) > 0) {
      this.#follow(request, totals)
      if (this.#fault !== undefined && this.#fault.knownNs <= this.#clock.nowNs) {
        if (!this.#serve(request, this.#fault, pcp, faultsPcp, byNs, totals)) break
        continue
      }
      const count = queue.take(batch)
      if (count === 0) {
        this.#idle(request.feedUntilNs)
        continue
      }
      const bits = this.#pageBits * count
      if (this.#wire.send(pcp, 1, bits, byNs) < bits) break
      this.#arrive(batch, count, request, totals)
    }
    this.#clock.pass(2 * this.#link.delayNs)
    if (this.#releaseNs !== undefined) this.#clock.passTo(Math.min(this.#releaseNs, request.giveUpAtNs))
    this.#follow(request, totals)
    const payloadBytes = totals.pages * this.#guest.memory.pageBytes
    const messageBytes = payloadBytes + totals.pages * this.#link.messageHeaderBytes
    return { payloadBytes, messageBytes, zeroPages: 0, requests: totals.requests }
  }

  /** Lets the guest run up to now, or to its next access to a page that is not there. */
  #follow(request: PushRequest, totals: Totals): void {
    const nowNs = this.#clock.nowNs
    for (;;) {
      if (this.#releaseNs !== undefined) {
        if (this.#releaseNs > nowNs) return
        this.#guest.release(this.#releaseNs)
        this.#releaseNs = undefined
      }
      this.#guest.advance(nowNs)
      const { blocked } = this.#guest
      if (blocked === undefined || this.#fault !== undefined) return
      if (this.#destination.has(blocked.page)) {
        this.#releaseNs = nowNs
        continue
      }
      totals.requests++
      const knownNs = blocked.sinceNs + this.#link.delayNs
      if (request.queue.fault(blocked.page)) this.#fault = { page: blocked.page, knownNs }
      return
    }
  }

  /** False when the page would not arrive in time. */
  #serve(
    request: PushRequest,
    { page }: Fault,
    pcp: number,
    faultsPcp: number,
    byNs: number,
    totals: Totals,
  ): boolean {
    if (this.#wire.send(faultsPcp, 1, this.#pageBits, byNs) < this.#pageBits) return false
    this.#one[0] = page
    this.#fault = undefined
    // A queue that the push keeps full delays a page of the same class.
    const shared = this.#link.discipline === 'fifo' || pcp === faultsPcp
    const queuedNs = shared && request.queue.left.count > 0 ? standingQueueNs(this.#link) : 0
    this.#arrive(this.#one, 1, request, totals, queuedNs)
    return true
  }

  #arrive(batch: Uint32Array, count: number, request: PushRequest, totals: Totals, queuedNs = 0): void {
    this.#destination.receive(batch, 0, count, this.#versions, request.sent)
    totals.pages += count
    const awaited = this.#guest.blocked
    if (awaited !== undefined && this.#releaseNs === undefined && this.#destination.has(awaited.page)) {
      this.#releaseNs = Math.max(awaited.sinceNs, this.#clock.nowNs + queuedNs + this.#link.delayNs)
    }
  }

  /** Nothing to push: time passes until a request arrives, or for a moment. */
  #idle(untilNs: number): void {
    const nextNs = this.#fault?.knownNs ?? this.#clock.nowNs + idleLookNs
    this.#clock.passTo(Math.min(nextNs, untilNs))
  }
}
