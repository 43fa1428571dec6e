/**
 * The destination's way to shared storage: fetches the blocks that the source named, a few at a time and in that order,
 * and gives up on those whose page came another way meanwhile.
 */

import type { Socket } from 'node:net'
import { failure, messageOf } from '../support/errors.js'
import { FrameType, frame } from '../wire/frame.js'
import { FrameReader, protocolError } from '../wire/frame-reader.js'
import { Inbound } from './inbound.js'
import { claimLane } from './proof.js'
import type { LaneEndpoint } from './session.js'
import { connectMarked } from './socket-options.js'

export interface StorageAddress {
  readonly host: string
  readonly lane: LaneEndpoint
}

export interface StorageClientOptions extends StorageAddress {
  readonly secret: Buffer
  readonly congestionControl: string
  readonly pageBytes: number
  /** A block is here: these bytes at `at` are said to be the page in this version. */
  readonly arrived: (page: number, version: number, bytes: Buffer, at: number) => void
  readonly failed: (error: unknown) => void
}

/** What was fetched, for the result. */
export interface StorageResult {
  readonly blocksFetched: number
  readonly fetchesCancelled: number
  readonly bytesFetched: number
  readonly bytesRead: number
  readonly bytesWritten: number
}

interface Wanted {
  readonly page: number
  readonly version: number
}

const connectTimeoutMs = 5000
/** Bytes of blocks that are asked for ahead: some 20 ms of a 200 Mbit/s link. */
const askedAheadBytes = 2 ** 19

export class StorageClient {
  readonly #options: StorageClientOptions
  readonly #asksAtMost: number
  /** By block, in the order of the map entries. */
  readonly #waiting = new Map<number, Wanted>()
  /** Asked for and not here; `undefined` where the page has come meanwhile. */
  readonly #asked = new Map<number, Wanted | undefined>()
  readonly #blockOf = new Map<number, number>()
  #socket: Socket | undefined
  #closing = false
  #fetched = 0
  #cancelled = 0
  #whenComplete: (() => void) | undefined
  #whenQuiet: (() => void) | undefined

  private constructor(options: StorageClientOptions) {
    this.#options = options
    this.#asksAtMost = Math.max(1, Math.floor(askedAheadBytes / options.pageBytes))
  }

  /** Connects and proves that it knows the secret. */
  static async connect(options: StorageClientOptions): Promise<StorageClient> {
    const client = new StorageClient(options)
    try {
      await client.#connect()
      return client
    } catch (cause) {
      client.close()
      throw failure(`shared storage at ${options.host}:${options.lane.port}: ${messageOf(cause)}`, {
        code: 'storage',
        cause,
        next: 'Start `pagewire agent storage` with the same scenario and secret.',
      })
    }
  }

  /** The source named the block that holds this page. */
  want(block: number, page: number, version: number): void {
    if (this.#waiting.has(block) || this.#asked.has(block)) return
    this.#waiting.set(block, { page, version })
    this.#blockOf.set(page, block)
    this.#ask()
  }

  /** The page is here in a newer version. */
  cancel(page: number): void {
    const block = this.#blockOf.get(page)
    if (block === undefined) return
    this.#blockOf.delete(page)
    this.#cancelled++
    if (!this.#waiting.delete(block)) this.#asked.set(block, undefined)
    this.#look()
  }

  /** Calls back when every block that is still wanted is here: at once, or later. */
  whenComplete(done: () => void): void {
    this.#whenComplete = done
    this.#look()
  }

  /** The same for all that was asked for, wanted or not. */
  whenQuiet(done: () => void): void {
    this.#whenQuiet = done
    this.#look()
  }

  get result(): StorageResult {
    return {
      blocksFetched: this.#fetched,
      fetchesCancelled: this.#cancelled,
      bytesFetched: this.#fetched * this.#options.pageBytes,
      bytesRead: this.#socket?.bytesRead ?? 0,
      bytesWritten: this.#socket?.bytesWritten ?? 0,
    }
  }

  close(): void {
    this.#closing = true
    this.#socket?.destroySoon()
  }

  async #connect(): Promise<void> {
    const { host, lane, secret, congestionControl, pageBytes } = this.#options
    let opened = (): void => {}
    let refused = (_error: unknown): void => {}
    const open = new Promise<void>((resolve, reject) => {
      opened = resolve
      refused = reject
    })
    const fail = (error: unknown): void => {
      refused(error)
      if (!this.#closing) this.#options.failed(error)
    }
    const reader = new FrameReader(
      {
        page: () => {
          throw protocolError('storage sent a page that the source is to send')
        },
        message: (type, block, version, payload) => this.#message(type, block, version, payload),
      },
      pageBytes,
    )
    const inbound = new Inbound(
      claimLane(
        secret,
        0,
        (bytes) => this.#socket?.write(bytes),
        () => {
          opened()
          return { frames: reader }
        },
      ),
      fail,
    )
    const socket = await connectMarked({
      host,
      port: lane.port,
      dscp: lane.dscp,
      priority: lane.pcp,
      congestionControl,
      connectTimeoutMs,
      onread: inbound.onread,
    })
    this.#socket = socket
    socket.on('error', fail)
    socket.on('close', () => {
      fail(failure('the connection to shared storage was closed', { code: 'storage-lost' }))
    })
    const timer = setTimeout(
      () => fail(failure('shared storage did not answer', { code: 'storage' })),
      connectTimeoutMs,
    )
    await open.finally(() => clearTimeout(timer))
  }

  #message(type: number, block: number, version: number, payload: Buffer): void {
    if (type !== FrameType.fetched) throw protocolError(`frame type ${type} is not storage's to send`)
    if (!this.#asked.has(block)) throw protocolError(`block ${block} was not asked for`)
    const wanted = this.#asked.get(block)
    this.#asked.delete(block)
    if (wanted !== undefined) {
      if (version !== wanted.version || payload.length !== this.#options.pageBytes) {
        throw protocolError(`block ${block} came in version ${version} with ${payload.length} bytes`)
      }
      this.#blockOf.delete(wanted.page)
      this.#fetched++
      this.#options.arrived(wanted.page, version, payload, 0)
    }
    this.#ask()
    this.#look()
  }

  #ask(): void {
    for (const [block, wanted] of this.#waiting) {
      if (this.#asked.size >= this.#asksAtMost) return
      this.#waiting.delete(block)
      this.#asked.set(block, wanted)
      this.#socket?.write(frame(FrameType.fetch, block, wanted.version))
    }
  }

  #look(): void {
    if (this.#blockOf.size === 0) {
      const done = this.#whenComplete
      this.#whenComplete = undefined
      done?.()
    }
    if (this.#asked.size === 0 && this.#waiting.size === 0) {
      const done = this.#whenQuiet
      this.#whenQuiet = undefined
      done?.()
    }
  }
}
