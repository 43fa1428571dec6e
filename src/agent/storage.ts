/**
 * Shared storage: a process of its own that holds the blocks which the guest has read, and sends each that somebody
 * who knows the run's secret asks for, in the order of asking.
 */

import type { OnReadOpts, Socket } from 'node:net'
import { type ContentSpec, type PageContent, pageContent } from '../memory/content.js'
import { PageCache } from '../memory/page-cache.js'
import { assert } from '../support/assert.js'
import { FrameType, headerBytes, viewOf, writeHeader } from '../wire/frame.js'
import { FrameReader, protocolError } from '../wire/frame-reader.js'
import { Inbound } from './inbound.js'
import { judgeLane } from './proof.js'
import type { LaneEndpoint } from './session.js'
import { listenMarked, type MarkedListener } from './socket-options.js'

export interface StorageJob {
  /** IPv4 address to listen on. */
  readonly host: string
  /** A port of 0 takes any free one. */
  readonly lane: LaneEndpoint
  /** Hex. */
  readonly secret: string
  readonly congestionControl: string
  readonly totalPages: number
  readonly pageBytes: number
  readonly seed: number
  readonly content: ContentSpec
}

export interface RunningStorage {
  readonly lane: LaneEndpoint
  stop(): void
}

/** Whoever connects and does not prove itself is cut off after this long. */
const handshakeTimeoutMs = 5000
const peersAtMost = 16
/** Blocks that one peer may have asked for and not got. */
const asksAtMost = 65_536
/** Bytes that wait in the socket before the next block is made. */
const writtenAhead = 2 ** 18

export async function startStorage(job: StorageJob): Promise<RunningStorage> {
  const content = pageContent(job.content, job.pageBytes, job.seed)
  const cache = new PageCache(job.totalPages, job.seed)
  const peers = new Set<Socket>()
  const listener: MarkedListener = await listenMarked<Peer>({
    host: job.host,
    port: job.lane.port,
    dscp: job.lane.dscp,
    priority: job.lane.pcp,
    congestionControl: job.congestionControl,
    onread: () => new Peer(job, content, cache),
    onConnection: (socket, peer) => {
      assert(peer !== undefined, 'every accepted connection has its reader')
      if (peers.size >= peersAtMost) {
        socket.destroy()
        return
      }
      peers.add(socket)
      socket.on('close', () => peers.delete(socket))
      peer.attach(socket)
    },
    // A connection that could not be set up is its peer's loss, and the peer says so.
    onError: () => {},
  })
  return {
    lane: { ...job.lane, port: listener.port },
    stop: () => {
      void listener.close()
      for (const peer of peers) peer.destroy()
    },
  }
}

class Peer implements OnReadOpts {
  readonly #content: PageContent
  readonly #cache: PageCache
  readonly #totalPages: number
  readonly #begin: () => void
  readonly #inbound: Inbound
  #socket: Socket | undefined
  #proved = false
  /** Blocks and versions that were asked for, in turn. */
  readonly #asked: { readonly block: number; readonly version: number }[] = []
  readonly buffer: OnReadOpts['buffer']
  readonly callback: OnReadOpts['callback']

  constructor(job: StorageJob, content: PageContent, cache: PageCache) {
    this.#content = content
    this.#cache = cache
    this.#totalPages = job.totalPages
    const reader = new FrameReader(
      {
        page: () => {
          throw protocolError('storage takes no pages')
        },
        message: (type, block, version) => this.#message(type, block, version),
      },
      job.pageBytes,
    )
    const judged = judgeLane(
      Buffer.from(job.secret, 'hex'),
      (bytes) => this.#socket?.write(bytes),
      (lane) => {
        if (lane !== 0) return undefined
        this.#proved = true
        return { frames: reader }
      },
    )
    this.#begin = judged.begin
    this.#inbound = new Inbound(judged.expectation, () => this.#socket?.destroySoon())
    this.buffer = this.#inbound.onread.buffer
    this.callback = this.#inbound.onread.callback
  }

  attach(socket: Socket): void {
    this.#socket = socket
    const timer = setTimeout(() => {
      if (!this.#proved) socket.destroy()
    }, handshakeTimeoutMs)
    socket.on('close', () => clearTimeout(timer))
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.on('drain', () => this.#answer())
    this.#begin()
  }

  #message(type: number, block: number, version: number): void {
    if (type !== FrameType.fetch) throw protocolError(`frame type ${type} is not storage's to read`)
    if (block >= this.#totalPages) throw protocolError(`block ${block} does not exist`)
    // The guest does not write back: storage has each block as the guest read it.
    if (version !== 0) throw protocolError(`block ${block} has no version ${version}`)
    if (this.#asked.length >= asksAtMost) throw protocolError('too many blocks were asked for at once')
    this.#asked.push({ block, version })
    this.#answer()
  }

  #answer(): void {
    const socket = this.#socket
    while (socket !== undefined && !socket.destroyed && socket.writableLength < writtenAhead) {
      const next = this.#asked.shift()
      if (next === undefined) return
      const { pageBytes } = this.#content
      const bytes = Buffer.allocUnsafe(headerBytes + pageBytes)
      writeHeader(viewOf(bytes), 0, FrameType.fetched, 0, pageBytes, next.block, next.version)
      this.#content.write(this.#cache.pageOf(next.block), next.version, bytes, headerBytes)
      socket.write(bytes)
    }
  }
}
