/** Sends the pages of a copy in virtual time: whose turn it is, what each message weighs, when it is through. */

import {
  type Encoders,
  Encoding,
  type EncodingSpec,
  encodingNs,
  type PageEncoder,
} from '../memory/encoding.js'
import type { PageSet } from '../memory/page-set.js'
import type { PageVersions } from '../memory/page-versions.js'
import type { CopyRequest, CopyResult } from '../migration/testbed.js'
import type { Guest } from '../workload/guest.js'
import type { VirtualClock } from './clock.js'
import type { Destination } from './destination.js'
import { type Feed, nextTurn } from './feed.js'
import type { Fetches } from './fetches.js'
import { type LinkSpec, wireBits } from './link.js'
import type { Wire } from './wire.js'

/** Pages that are read together: their versions are those of one moment, that of the look at the dirty log. */
const pagesPerTurn = 1024
/** The same where lanes take turns on the wire. */
const pagesPerSharedTurn = 64
/** The same on a lane with a rate limit or an encoding, so that bursts stay short. */
const pagesPerShortTurn = 8

interface Totals {
  pages: number
  payloadBytes: number
  zeroPages: number
  mappedPages: number
}

export class Sender {
  readonly #clock: VirtualClock
  readonly #link: LinkSpec
  readonly #wire: Wire
  readonly #guest: Guest
  readonly #destination: Destination
  readonly #fetches: Fetches
  readonly #makeEncoders: () => Encoders
  #encoders: Encoders | undefined
  readonly #scratch: Uint8Array
  readonly #lengths = new Float64Array(pagesPerTurn)
  readonly #codes = new Uint8Array(pagesPerTurn)
  #versions: PageVersions
  /** When the copy began: nothing is read before. */
  #beganNs = 0

  constructor(
    clock: VirtualClock,
    link: LinkSpec,
    wire: Wire,
    guest: Guest,
    destination: Destination,
    fetches: Fetches,
    encoders: () => Encoders,
  ) {
    this.#clock = clock
    this.#link = link
    this.#wire = wire
    this.#guest = guest
    this.#destination = destination
    this.#fetches = fetches
    this.#makeEncoders = encoders
    this.#scratch = new Uint8Array(guest.memory.pageBytes)
    this.#versions = guest.memory.versions
  }

  /**
   * Sends until all is sent or skipped, or it is time to stop; returns when what left is confirmed. `versions`: what is
   * sent of each page.
   */
  send(
    feeds: readonly Feed[],
    request: CopyRequest,
    versions: PageVersions = this.#guest.memory.versions,
  ): CopyResult {
    this.#versions = versions
    this.#beganNs = this.#clock.nowNs
    const totals: Totals = { pages: 0, payloadBytes: 0, zeroPages: 0, mappedPages: 0 }
    for (;;) {
      const feed = nextTurn(feeds, this.#clock.nowNs)
      if (feed === undefined || this.#readNs(feed) >= request.feedUntilNs) break
      if (feed.readyNs > this.#clock.nowNs) {
        this.#clock.passTo(Math.min(feed.readyNs, request.feedUntilNs))
        if (feed.readyNs >= request.feedUntilNs) break
        continue
      }
      if (feed.at === feed.count) feed.refill((batch, count) => this.#keep(feed, batch, count, request))
      if (feed.exhausted) continue
      const flows = feeds.length === 1 ? 1 : feeds.filter((other) => isRival(other, feed)).length
      if (this.#turn(feed, flows, request, totals) === 0) break
    }
    // A rate limit holds to the end of the copy, or the next one would begin with a burst.
    for (const feed of feeds) this.#clock.passTo(Math.min(feed.readyNs, request.giveUpAtNs))
    if (totals.pages > 0) this.#clock.pass(2 * this.#link.delayNs)
    const { payloadBytes, zeroPages, mappedPages } = totals
    return {
      payloadBytes,
      zeroPages,
      mappedPages,
      messageBytes: payloadBytes + totals.pages * this.#link.messageHeaderBytes,
    }
  }

  /** What the next `count` pages of a lane weigh without their headers, and how many of them are zero. */
  payload(feed: Feed, count: number): { readonly bytes: number; readonly zeroPages: number } {
    const { encoding } = feed.lane
    this.#versions = this.#guest.memory.versions
    if (encoding === undefined) return { bytes: count * this.#guest.memory.pageBytes, zeroPages: 0 }
    const bytes = this.#encode(feed, count, this.#encoder(encoding))
    let zeroPages = 0
    for (let i = 0; i < count; i++) if (this.#codes[i] === Encoding.zero) zeroPages++
    return { bytes, zeroPages }
  }

  /** Xen's rule: one look at the log a batch, and what the guest was at again is left out. */
  #keep(feed: Feed, batch: Uint32Array, count: number, request: CopyRequest): number {
    if (!request.skipRedirtied && !request.skipAccessed) return count
    this.#guest.advance(this.#readNs(feed))
    const { memory } = this.#guest
    const kept = request.skipRedirtied ? request.skipped.takeFrom(batch, count, memory.dirty) : count
    return request.skipAccessed ? request.skipped.takeFrom(batch, kept, this.#guest.accessed) : kept
  }

  /** When the page is read that leaves now: the kernel holds so much before it, unless the lane waits for its own limit. */
  #readNs({ lane, pcp }: Feed): number {
    const { nowNs } = this.#clock
    const { unsentBytes = 0 } = this.#link
    const rateBps = this.#wire.rateBps(pcp, 1)
    if (unsentBytes === 0 || (lane.rateLimitBps ?? Number.POSITIVE_INFINITY) < rateBps) return nowNs
    const aheadNs = (wireBits(this.#link, unsentBytes) * 1e9) / rateBps
    return Math.max(this.#beganNs, Math.round(nowNs - aheadNs))
  }

  /** Sends the next few pages of a lane; returns how many arrived before it was time to give up. */
  #turn(feed: Feed, flows: number, request: CopyRequest, totals: Totals): number {
    const { encoding, rateLimitBps } = feed.lane
    const { pageBytes } = this.#guest.memory
    const startNs = this.#clock.nowNs
    const rawBits = wireBits(this.#link, pageBytes + this.#link.messageHeaderBytes)
    const pageNs = (rawBits * 1e9) / this.#wire.rateBps(feed.pcp, flows)
    const readNs = this.#readNs(feed)
    const startable = Math.ceil((request.feedUntilNs - readNs) / pageNs)
    const short = rateLimitBps !== undefined || encoding !== undefined
    const longest = short ? pagesPerShortTurn : flows > 1 ? pagesPerSharedTurn : pagesPerTurn
    const count = Math.max(1, Math.min(feed.count - feed.at, longest, startable))
    this.#guest.advance(readNs)
    const payloadBytes =
      encoding === undefined ? count * pageBytes : this.#encode(feed, count, this.#encoder(encoding))
    const bits = wireBits(this.#link, payloadBytes + count * this.#link.messageHeaderBytes)
    const through = this.#wire.send(feed.pcp, flows, bits, request.giveUpAtNs - 2 * this.#link.delayNs)
    const arrived = through >= bits ? count : Math.floor((count * through) / bits)
    // The encoder works while the wire sends; the slower of the two sets the pace.
    this.#clock.passTo(startNs + arrived * encodingNs(encoding, pageBytes))
    this.#deliver(feed, arrived, request.sent)
    feed.took(arrived)
    const sentBytes = this.#count(encoding !== undefined, arrived, totals)
    if (rateLimitBps !== undefined) {
      feed.readyNs = Math.max(feed.readyNs, startNs) + (sentBytes * 8e9) / rateLimitBps
    }
    return arrived
  }

  /** The next `arrived` pages of a batch are at the destination, or it knows where to get them. */
  #deliver({ lane, batch, at }: Feed, arrived: number, sent: PageSet): void {
    const versions = this.#versions
    if (lane.encoding?.kind !== 'map') {
      this.#destination.receive(batch, at, at + arrived, versions, sent)
      return
    }
    for (let i = 0; i < arrived; i++) {
      const page = batch[at + i]!
      if (this.#codes[i] === Encoding.mapped) {
        if (!this.#destination.has(page)) this.#fetches.want(page, versions.of(page))
        sent.add(page)
      } else {
        this.#fetches.cancel(page)
        this.#destination.receive(batch, at + i, at + i + 1, versions, sent)
      }
    }
  }

  /** Adds up what arrived of a turn; returns its payload. */
  #count(encoded: boolean, arrived: number, totals: Totals): number {
    let payloadBytes = arrived * this.#guest.memory.pageBytes
    if (encoded) {
      payloadBytes = 0
      for (let i = 0; i < arrived; i++) {
        payloadBytes += this.#lengths[i]!
        if (this.#codes[i] === Encoding.zero) totals.zeroPages++
        if (this.#codes[i] === Encoding.mapped) totals.mappedPages++
      }
    }
    totals.pages += arrived
    totals.payloadBytes += payloadBytes
    return payloadBytes
  }

  /** The pool of bytes that contents are cut from is made when it is first needed. */
  #encoder(encoding: EncodingSpec): PageEncoder {
    this.#encoders ??= this.#makeEncoders()
    return this.#encoders.for(encoding)
  }

  #encode(feed: Feed, count: number, encoder: PageEncoder): number {
    const versions = this.#versions
    let bytes = 0
    for (let i = 0; i < count; i++) {
      const page = feed.batch[feed.at + i]!
      const length = encoder.encode(page, versions.of(page), this.#scratch, 0)
      this.#lengths[i] = length
      this.#codes[i] = encoder.code
      bytes += length
    }
    return bytes
  }
}

function isRival(one: Feed, other: Feed): boolean {
  return !one.exhausted && one.rank === other.rank
}
