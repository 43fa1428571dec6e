/**
 * A copy over parallel paths in virtual time: each channel keeps to one path, and the path that is free first gets the
 * next batch. Batches are under way on all paths at once.
 */

import type { CopyRequest, CopyResult } from '../migration/testbed.js'
import type { Guest } from '../workload/guest.js'
import type { VirtualClock } from './clock.js'
import type { Destination } from './destination.js'
import type { Feed } from './feed.js'
import { type LinkSpec, shareBps, wireBits } from './link.js'

interface Path {
  /** As its competitors see it. */
  readonly link: LinkSpec
  /** Those that keep to this path; they take turns. */
  readonly channels: readonly Feed[]
  freeNs: number
  batches: number
}

export class PathSender {
  readonly #clock: VirtualClock
  readonly #link: LinkSpec
  readonly #guest: Guest
  readonly #destination: Destination

  constructor(clock: VirtualClock, link: LinkSpec, guest: Guest, destination: Destination) {
    this.#clock = clock
    this.#link = link
    this.#guest = guest
    this.#destination = destination
  }

  /** Sends raw pages until all are sent or it is time to stop; returns when what left is confirmed. */
  send(feeds: readonly Feed[], request: CopyRequest): CopyResult {
    const paths = this.#paths(feeds)
    let pages = 0
    for (;;) {
      const path = firstFree(paths)
      if (path === undefined || path.freeNs >= request.feedUntilNs) break
      this.#clock.passTo(path.freeNs)
      const sent = this.#batch(path, request)
      if (sent === 0) break
      pages += sent
    }
    for (const { freeNs } of paths) this.#clock.passTo(Math.min(freeNs, request.giveUpAtNs))
    if (pages > 0) this.#clock.pass(2 * this.#link.delayNs)
    const payloadBytes = pages * this.#guest.memory.pageBytes
    return { payloadBytes, messageBytes: payloadBytes + pages * this.#link.messageHeaderBytes, zeroPages: 0 }
  }

  #paths(feeds: readonly Feed[]): readonly Path[] {
    const count = Math.min(this.#link.paths ?? 1, feeds.length)
    return Array.from({ length: count }, (_, i) => ({
      link: i === 0 ? this.#link : { ...this.#link, competitors: [] },
      channels: feeds.filter((_feed, index) => index % count === i),
      freeNs: this.#clock.nowNs,
      batches: 0,
    }))
  }

  /** The next batch on a path that is free; returns how many pages arrive in time. */
  #batch(path: Path, request: CopyRequest): number {
    const startNs = this.#clock.nowNs
    const channel = path.channels[path.batches++ % path.channels.length]!
    channel.refill((_batch, count) => count)
    if (channel.exhausted) return 0
    const { pageBytes, versions } = this.#guest.memory
    const rateBps = shareBps(path.link, channel.pcp, path.channels.length, startNs)
    const pageNs = (wireBits(path.link, pageBytes + path.link.messageHeaderBytes) * 1e9) / rateBps
    const inTime = Math.floor((request.giveUpAtNs - 2 * this.#link.delayNs - startNs) / pageNs)
    const count = Math.max(0, Math.min(channel.count, inTime))
    this.#guest.advance(startNs)
    this.#destination.receive(channel.batch, 0, count, versions, request.sent)
    channel.took(count)
    path.freeNs = startNs + channel.count * pageNs
    return count
  }
}

function firstFree(paths: readonly Path[]): Path | undefined {
  return paths.reduce<Path | undefined>(
    (best, path) => (best === undefined || path.freeNs < best.freeNs ? path : best),
    undefined,
  )
}
