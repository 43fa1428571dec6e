/**
 * A copy over parallel paths in virtual time: each channel keeps to one path, and the path that is free first gets the
 * next batch. Batches are under way on all paths at once.
 */

import { pathOf } from '../migration/lanes.js'
import type { CopyRequest, CopyResult } from '../migration/testbed.js'
import type { Guest } from '../workload/guest.js'
import type { VirtualClock } from './clock.js'
import type { Destination } from './destination.js'
import type { Feed } from './feed.js'
import { type LinkSpec, shareBps, wireBits } from './link.js'
import type { Sender } from './sender.js'

interface Path {
  /** As its competitors see it. */
  readonly link: LinkSpec
  /** Those that keep to this path; they take turns. */
  readonly channels: readonly Feed[]
  freeNs: number
  batches: number
  /** Nothing is left for it, or no time. */
  done: boolean
}

interface Sent {
  pages: number
  payloadBytes: number
  zeroPages: number
}

/** Whether a copy goes over parallel paths: whole pages, raw or zero, on several channels. */
export function overPaths({ lanes, skipRedirtied, skipAccessed }: CopyRequest): boolean {
  const isPlain = lanes.every(({ encoding }) => encoding === undefined || encoding.kind === 'zero')
  return isPlain && !skipRedirtied && !skipAccessed && lanes.some(({ via }) => via.startsWith('channel-'))
}

export class PathSender {
  readonly #clock: VirtualClock
  readonly #link: LinkSpec
  readonly #guest: Guest
  readonly #destination: Destination
  readonly #sender: Sender

  /** `sender` knows what pages weigh. */
  constructor(clock: VirtualClock, link: LinkSpec, guest: Guest, destination: Destination, sender: Sender) {
    this.#sender = sender
    this.#clock = clock
    this.#link = link
    this.#guest = guest
    this.#destination = destination
  }

  /** Sends raw pages until all are sent or it is time to stop; returns when what left is confirmed. */
  send(feeds: readonly Feed[], request: CopyRequest): CopyResult {
    const paths = this.#paths(feeds)
    const sent: Sent = { pages: 0, payloadBytes: 0, zeroPages: 0 }
    for (;;) {
      const path = firstFree(paths)
      if (path === undefined || path.freeNs >= request.feedUntilNs) break
      this.#clock.passTo(path.freeNs)
      path.done = !this.#batch(path, request, sent)
    }
    for (const { freeNs } of paths) this.#clock.passTo(Math.min(freeNs, request.giveUpAtNs))
    const { pages, payloadBytes, zeroPages } = sent
    if (pages > 0) this.#clock.pass(2 * this.#link.delayNs)
    return { payloadBytes, messageBytes: payloadBytes + pages * this.#link.messageHeaderBytes, zeroPages }
  }

  #paths(feeds: readonly Feed[]): readonly Path[] {
    const count = this.#link.paths ?? 1
    return Array.from({ length: count }, (_, i) => {
      const channels = feeds.filter(({ lane }) => pathOf(lane.via, count) === i)
      return {
        link: i === 0 ? this.#link : { ...this.#link, competitors: [] },
        channels,
        freeNs: this.#clock.nowNs,
        batches: 0,
        done: channels.length === 0,
      }
    })
  }

  /** The channel of a path that has something to send, filled: they take turns. */
  #nextChannel(path: Path): Feed | undefined {
    for (let tried = 0; tried < path.channels.length; tried++) {
      const channel = path.channels[path.batches++ % path.channels.length]!
      channel.refill((_batch, count) => count)
      if (!channel.exhausted) return channel
    }
    return undefined
  }

  /** The next batch on a path that is free; false when nothing of it arrives in time. */
  #batch(path: Path, request: CopyRequest, sent: Sent): boolean {
    const startNs = this.#clock.nowNs
    const channel = this.#nextChannel(path)
    if (channel === undefined) return false
    const { pageBytes, versions } = this.#guest.memory
    const rateBps = shareBps(path.link, channel.pcp, path.channels.length, startNs)
    const headerBytes = path.link.messageHeaderBytes
    const wireNs = (wireBits(path.link, pageBytes + headerBytes) * 1e9) / rateBps
    // A limit is that of each channel, and those of a path send by turns.
    const limitNs =
      (pageBytes * 8e9) / ((channel.lane.rateLimitBps ?? Number.POSITIVE_INFINITY) * path.channels.length)
    const pageNs = Math.max(wireNs, limitNs)
    const inTime = Math.floor((request.giveUpAtNs - 2 * this.#link.delayNs - startNs) / pageNs)
    const startable = Math.ceil((request.feedUntilNs - startNs) / pageNs)
    const count = Math.max(0, Math.min(channel.count, inTime, startable))
    this.#guest.advance(startNs)
    const { bytes, zeroPages } = this.#sender.payload(channel, count)
    this.#destination.receive(channel.batch, 0, count, versions, request.sent)
    channel.took(count)
    // Pages that do not arrive in time are on their way until then.
    const late = Math.min(channel.count, startable) - count
    const weight = (bytes + count * headerBytes) / (pageBytes + headerBytes)
    path.freeNs = startNs + (weight + late) * pageNs
    sent.pages += count
    sent.payloadBytes += bytes
    sent.zeroPages += zeroPages
    return count > 0
  }
}

function firstFree(paths: readonly Path[]): Path | undefined {
  return paths.reduce<Path | undefined>(
    (best, path) => (path.done || (best !== undefined && best.freeNs <= path.freeNs) ? best : path),
    undefined,
  )
}
