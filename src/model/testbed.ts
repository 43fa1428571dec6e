/**
 * The world in virtual time: a guest, a link and a destination that keeps one version number a page. The same
 * engine and strategies run on it as on real agents; a migration of minutes takes milliseconds.
 */

import type { Accesses } from '../memory/access-log.js'
import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import type { Lane, LaneName } from '../migration/strategy.js'
import type { CopyRequest, CopyResult, HandoverResult, Testbed } from '../migration/testbed.js'
import { assert } from '../support/assert.js'
import { Guest, type GuestSpec } from '../workload/guest.js'
import { VirtualClock } from './clock.js'
import { Feed, nextTurn, pagesPerPeek } from './feed.js'
import { type LinkSpec, rank, wireBits } from './link.js'
import { Wire } from './wire.js'

export interface ModelSpec {
  readonly guest: GuestSpec
  readonly deviceBytes: number
  readonly link: LinkSpec
  /** 802.1Q priority of each lane. */
  readonly lanes: Readonly<Record<LaneName, number>>
  /** Pages between two looks at the dirty log; Xen's 1024 when absent. Scaled guests need it scaled. */
  readonly pagesPerPeek?: number
}

/** Pages that are read together: their versions are those of one moment. */
const pagesPerTurn = 256
/** The same on a lane with a rate limit, so that its bursts stay short. */
const pagesPerLimitedTurn = 8

export class ModelTestbed implements Testbed {
  readonly origin = 'predicted'
  readonly totalPages: number
  readonly pageBytes: number
  readonly guest: Guest
  cancelled = false

  readonly #clock = new VirtualClock()
  readonly #spec: ModelSpec
  readonly #wire: Wire
  readonly #pageBits: number
  /** Version of each page at the destination plus 1; 0 where none arrived. */
  readonly #arrived: Uint32Array
  #atSuspend: Uint32Array | undefined

  constructor(spec: ModelSpec) {
    this.totalPages = spec.guest.totalPages
    this.pageBytes = spec.guest.pageBytes
    this.guest = new Guest(spec.guest, 0)
    this.#spec = spec
    this.#wire = new Wire(spec.link, this.#clock)
    this.#pageBits = wireBits(spec.link, this.pageBytes + spec.link.messageHeaderBytes)
    this.#arrived = new Uint32Array(spec.guest.totalPages)
  }

  nowNs(): number {
    return this.#clock.nowNs
  }

  get guestStallNs(): number {
    return this.guest.stallNs
  }

  async copy(request: CopyRequest): Promise<CopyResult> {
    const held = request.holdWritesOutside
    if (held !== undefined) this.guest.holdWritesOutside(this.nowNs(), held)
    const pages = this.#sendAll(request)
    if (held !== undefined) this.guest.letWritesGo(this.nowNs())
    const payloadBytes = pages * this.pageBytes
    const messageBytes = payloadBytes + pages * this.#spec.link.messageHeaderBytes
    return { payloadBytes, messageBytes, zeroPages: 0 }
  }

  /** Returns how many pages arrived and were confirmed. */
  #sendAll(request: CopyRequest): number {
    const feeds = request.lanes.map((lane) => this.#feed(lane))
    const keep = (batch: Uint32Array, count: number): number => this.#keep(batch, count, request)
    let pages = 0
    while (this.nowNs() < request.feedUntilNs) {
      const feed = nextTurn(feeds, this.nowNs())
      if (feed === undefined) break
      if (feed.readyNs > this.nowNs()) {
        this.#clock.passTo(Math.min(feed.readyNs, request.feedUntilNs))
        continue
      }
      if (feed.at === feed.count) feed.refill(keep)
      if (feed.exhausted) continue
      const flows = feeds.length === 1 ? 1 : feeds.filter((other) => isRival(other, feed)).length
      const arrived = this.#turn(feed, flows, request)
      pages += arrived
      if (arrived === 0) break
    }
    if (pages > 0) this.#clock.pass(2 * this.#spec.link.delayNs)
    return pages
  }

  async syncDirty(into: PageSet): Promise<number> {
    this.guest.advance(this.nowNs())
    return this.guest.memory.cleanDirty(into)
  }

  peekDirty(): ReadonlyPageSet {
    this.guest.advance(this.nowNs())
    return this.guest.memory.dirty
  }

  declareOutstanding(pages: ReadonlyPageSet): void {
    this.guest.declareOutstanding(this.nowNs(), pages)
  }

  readAccesses(latest: number, writesOnly: boolean): Accesses {
    return this.guest.readAccesses(this.nowNs(), latest, writesOnly)
  }

  async throttle(withhold: number): Promise<void> {
    this.guest.throttle(this.nowNs(), withhold)
  }

  async wait(forNs: number): Promise<void> {
    this.#clock.pass(forNs)
  }

  async suspend(into: PageSet): Promise<number> {
    this.guest.suspend(this.nowNs())
    this.#atSuspend = this.guest.memory.versions.slice()
    return this.guest.memory.cleanDirty(into)
  }

  async handover(via: LaneName, giveUpAtNs: number): Promise<HandoverResult | 'gave up'> {
    const { link, deviceBytes, lanes } = this.#spec
    const messageBytes = deviceBytes + link.messageHeaderBytes
    const bits = wireBits(link, messageBytes)
    if (this.#wire.send(lanes[via], 1, bits, giveUpAtNs - 2 * link.delayNs) < bits) return 'gave up'
    this.#clock.pass(link.delayNs)
    const resumedNs = this.nowNs()
    this.#clock.pass(link.delayNs)
    return { deviceDoneNs: resumedNs, resumedNs, messageBytes }
  }

  async abort(_reason: string): Promise<void> {
    if (!this.guest.running) this.guest.resume(this.nowNs())
    this.guest.throttle(this.nowNs(), 0)
  }

  /** The oracle: pages whose version at the destination is not the one that the source had at its suspend. */
  differingPages(): number {
    const wanted = this.#atSuspend
    assert(wanted !== undefined, 'the guest was suspended')
    let differing = 0
    for (let page = 0; page < wanted.length; page++) {
      if (this.#arrived[page] !== wanted[page]! + 1) differing++
    }
    return differing
  }

  #feed(lane: Lane): Feed {
    return new Feed(
      lane,
      this.#spec.lanes[lane.via],
      this.#rank(lane.via),
      this.#spec.pagesPerPeek ?? pagesPerPeek,
    )
  }

  /** With one queue for all, nobody is served first. */
  #rank(via: LaneName): number {
    return this.#spec.link.discipline === 'strict' ? rank(this.#spec.lanes[via]) : 0
  }

  /** Xen's rule: one look at the dirty log a batch, and what was written again is left out. */
  #keep(batch: Uint32Array, count: number, request: CopyRequest): number {
    if (!request.skipRedirtied && !request.skipAccessed) return count
    this.guest.advance(this.nowNs())
    const { memory } = this.guest
    const kept = request.skipRedirtied ? request.skipped.takeFrom(batch, count, memory.dirty) : count
    return request.skipAccessed ? request.skipped.takeFrom(batch, kept, this.guest.accessed) : kept
  }

  /** Sends the next few pages of a lane; returns how many arrived before it was time to give up. */
  #turn(feed: Feed, flows: number, request: CopyRequest): number {
    const startNs = this.nowNs()
    const pageNs = (this.#pageBits * 1e9) / this.#wire.rateBps(feed.pcp, flows)
    const startable = Math.ceil((request.feedUntilNs - startNs) / pageNs)
    const longest = feed.lane.rateLimitBps === undefined ? pagesPerTurn : pagesPerLimitedTurn
    const count = Math.max(1, Math.min(feed.count - feed.at, longest, startable))
    this.guest.advance(startNs)
    const byNs = request.giveUpAtNs - 2 * this.#spec.link.delayNs
    const bits = this.#wire.send(feed.pcp, flows, this.#pageBits * count, byNs)
    const arrived = bits === this.#pageBits * count ? count : Math.floor(bits / this.#pageBits)
    this.#apply(feed, arrived, request.sent)
    if (feed.lane.rateLimitBps !== undefined) {
      feed.readyNs =
        Math.max(feed.readyNs, startNs) + (arrived * this.pageBytes * 8e9) / feed.lane.rateLimitBps
    }
    return arrived
  }

  /** The guest was not advanced since the pages were read, so their versions are still what was sent. */
  #apply(feed: Feed, arrived: number, sent: PageSet): void {
    const versions = this.guest.memory.versions
    const end = feed.at + arrived
    for (let i = feed.at; i < end; i++) {
      const page = feed.batch[i]!
      const version = versions[page]! + 1
      assert(version >= this.#arrived[page]!, 'no page arrives with an older version than the one applied')
      this.#arrived[page] = version
    }
    sent.addList(feed.batch, feed.at, end)
    feed.at = end
    feed.sentPages += arrived
  }
}

function isRival(one: Feed, other: Feed): boolean {
  return !one.exhausted && one.rank === other.rank
}
