/**
 * The source's connections to the destination agent: opens one per lane, shakes hands, hands the device state over,
 * audits the memory at the end, and passes what the destination says to whoever waits for it.
 */

import type { Socket } from 'node:net'
import type { PageContent } from '../memory/content.js'
import { Encoders } from '../memory/encoding.js'
import type { GuestMemory } from '../memory/guest-memory.js'
import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import { diskLane } from '../migration/lanes.js'
import type { LaneName } from '../migration/strategy.js'
import type { HandoverResult } from '../migration/testbed.js'
import { assert } from '../support/assert.js'
import { failure, messageOf, type PagewireError } from '../support/errors.js'
import {
  auditPagesPerFrame,
  deviceBytesPerFrame,
  FrameType,
  type FrameTypeCode,
  frame,
  hashEntryBytes,
  hashesPerFrame,
  missingPagesPerFrame,
  noContent,
} from '../wire/frame.js'
import { FrameReader, protocolError } from '../wire/frame-reader.js'
import type { GuestDisk } from '../workload/disk.js'
import type { GuestPosition } from '../workload/guest.js'
import type { Trace } from '../workload/trace.js'
import { monotonicNs } from './clock.js'
import type { CompressPool } from './compress-pool.js'
import { blockHash } from './disk-image.js'
import { type DiskState, deltaContent } from './disk-state.js'
import { Inbound } from './inbound.js'
import { claimLane } from './proof.js'
import type { GuestReport } from './resumed-guest.js'
import { encodeSession, type LaneEndpoint, mayRunOn, pageHash, type Session } from './session.js'
import { congestionControl, connectMarked, resetConnection, type TcpInfo, tcpInfo } from './socket-options.js'
import { type Coding, type LaneHooks, SourceLane } from './source-lane.js'
import { traceFrames } from './trace-frames.js'

export interface LinkOptions {
  readonly host: string
  readonly localAddress?: string
  readonly lanes: readonly LaneEndpoint[]
  readonly secret: Buffer
  readonly congestionControl: string
  /** Unsent bytes that the kernel may hold of each lane: how long before their departure pages are read. */
  readonly unsentBytes: number
  /** SO_SNDBUF of each lane; the kernel tunes it when absent. */
  readonly sendBufferBytes?: number
  /** Both agents run on one kernel and share its clock, so that the destination's time stamps can be used. */
  readonly sharedClock: boolean
  /** A link that is not up by this time of the monotonic clock fails. */
  readonly setUpByNs: number
  readonly hooks: LaneHooks
}

/** What is to be moved. */
export interface GuestState {
  readonly content: PageContent
  readonly memory: GuestMemory
  /** Device and CPU state. */
  readonly device: Buffer
  /** What it replays, if anything. */
  readonly trace?: Trace
  /** Absent where the disk does not move. */
  readonly disk?: DiskState
  /** The link ends it. */
  readonly pool: CompressPool
}

const abortTimeoutNs = 1e9
/** The audit is no part of the migration; it may meet the congestion that the migration met. */
const auditTimeoutNs = 60e9

interface Reply {
  readonly a: number
  readonly b: number
  readonly payload: Buffer
}

export class Link {
  readonly #options: LinkOptions
  readonly #session: Session
  readonly #content: PageContent
  readonly #memory: GuestMemory
  readonly #device: Buffer
  readonly #coding: Coding
  readonly #diskState: DiskState | undefined
  readonly #lanes = new Map<string, SourceLane>()
  readonly #sockets = new Map<string, Socket>()
  readonly #replies = new Map<
    number,
    { resolve: (reply: Reply | 'gave up') => void; reject: (error: Error) => void }
  >()
  #error: PagewireError | undefined
  #closing = false
  /** Faults that came before somebody listened: each page is asked for once, so that there is an end to them. */
  readonly #earlyFaults = new Set<number>()
  #faulted: ((page: number) => void) | undefined
  #replayHeard: ((position: Buffer) => void) | undefined

  private constructor(options: LinkOptions, session: Session, guest: GuestState) {
    const { content, memory, device } = guest
    this.#options = options
    this.#session = session
    this.#content = content
    this.#memory = memory
    this.#device = device
    this.#diskState = guest.disk
    this.#coding = {
      encoders: new Encoders(content, memory.totalPages, session.seed),
      pool: guest.pool,
    }
  }

  /** Opens every lane, agrees on the session. Fails when the destination cannot be reached or refuses. */
  static async open(options: LinkOptions, session: Session, guest: GuestState): Promise<Link> {
    const link = new Link(options, session, guest)
    try {
      // One after the other: the destination numbers its lanes, and a refusal names one.
      for (const [index, endpoint] of options.lanes.entries()) await link.#openLane(index, endpoint)
      const [agreed] = await Promise.all([
        link.#reply(FrameType.configOk, options.setUpByNs),
        link.#describe(session, guest.trace),
      ])
      if (agreed === 'gave up') throw silent('the session description')
      return link
    } catch (error) {
      link.close()
      throw error
    }
  }

  /** The session; before it the trace that a guest replays, where the destination may have to run it on. */
  async #describe(session: Session, trace: Trace | undefined): Promise<void> {
    const first = this.#first()
    if (trace !== undefined && mayRunOn(session)) {
      for (const piece of traceFrames(trace)) await first.send(piece)
    }
    await first.send(frame(FrameType.config, 0, 0, encodeSession(session)))
  }

  lane(name: LaneName): SourceLane {
    const lane = this.#lanes.get(name)
    assert(lane !== undefined, `the scenario opened lane ${name}`)
    return lane
  }

  /** The disk that moves with the guest. */
  get disk(): GuestDisk | undefined {
    return this.#diskState?.disk
  }

  /** Pages confirmed on all lanes, repeats counted. */
  get pagesConfirmed(): number {
    let pages = 0
    for (const [name, lane] of this.#lanes) if (!ofDisk(name)) pages += lane.pagesConfirmed
    return pages
  }

  /** Bytes that the application has written to and read from each lane, handshake included. */
  byteCounts(): readonly LaneBytes[] {
    return this.#options.lanes.map(({ name }) => {
      const socket = this.#socket(name)
      const gathered = this.#lanes.get(name)?.bytesGathered ?? 0
      return { name, bytesWritten: socket.bytesWritten + gathered, bytesRead: socket.bytesRead }
    })
  }

  /** What went over each lane, and how its connection fared. */
  statistics(): readonly LaneStatistics[] {
    return this.byteCounts().map((counts) => {
      const socket = this.#socket(counts.name)
      const open = !socket.destroyed
      return {
        ...counts,
        pagesWritten: this.#lanes.get(counts.name)?.pagesWritten ?? 0,
        congestionControl: open ? congestionControl(socket) : this.#options.congestionControl,
        ...(open ? { tcp: tcpInfo(socket) } : {}),
      }
    })
  }

  /** Hands the guest over. `early`: what is missing, and how far the guest has come, when it is to run before its memory is there. */
  async handOver(
    via: LaneName,
    giveUpAtNs: number,
    early?: { readonly missing: ReadonlyPageSet; readonly position: GuestPosition },
  ): Promise<HandoverResult | 'gave up'> {
    const lane = this.lane(via)
    const bytesBefore = lane.bytesWritten
    const send = async (): Promise<void> => {
      if (early !== undefined) await this.#sendMissing(lane, early.missing, early.position)
      await this.#sendState(lane, this.#device)
    }
    const [reply] = await Promise.all([this.#replyOrGiveUp(FrameType.resumed, giveUpAtNs), send()])
    if (reply === 'gave up') return 'gave up'
    const arrivedNs = monotonicNs()
    const shared = this.#options.sharedClock
    return {
      deviceDoneNs: shared ? Number(reply.payload.readBigUInt64BE(0)) : arrivedNs,
      resumedNs: shared ? Number(reply.payload.readBigUInt64BE(8)) : arrivedNs,
      messageBytes: lane.bytesWritten - bytesBefore,
    }
  }

  /** From now on `heard` is told how far the destination has executed the guest. */
  listenForReplay(heard: (position: Buffer) => void): void {
    this.#replayHeard = heard
  }

  /** Waits until the destination has executed all that the suspended guest did. */
  async untilReplayed(giveUpAtNs: number): Promise<'replayed' | 'gave up'> {
    const reply = await this.#replyOrGiveUp(FrameType.replayed, giveUpAtNs)
    return reply === 'gave up' ? reply : 'replayed'
  }

  /** From now on `faulted` hears of each page that the guest at the destination waits for. */
  listenForFaults(faulted: ((page: number) => void) | undefined): void {
    this.#faulted = faulted
    if (faulted === undefined) return
    const early = [...this.#earlyFaults]
    this.#earlyFaults.clear()
    for (const page of early) faulted(page)
  }

  /** How the guest at the destination fared while pages were missing. */
  async guestReport(giveUpAtNs: number): Promise<GuestReport | 'gave up'> {
    const [reply] = await Promise.all([
      this.#replyOrGiveUp(FrameType.reported, giveUpAtNs),
      this.#first().send(frame(FrameType.report)),
    ])
    if (reply === 'gave up') return reply
    return { requests: reply.a, stallNs: reply.payload.readDoubleBE(0) }
  }

  /** Sends version and hash of every page. Fails when the destination's memory differs from the source's. */
  async audit(): Promise<void> {
    const [reply] = await Promise.all([
      this.#replyOrGiveUp(FrameType.auditResult, monotonicNs() + auditTimeoutNs),
      this.#sendAudit(),
    ])
    if (reply === 'gave up') throw silent('the audit')
    if (reply.a > 0) {
      throw failure(
        `${reply.a} pages at the destination differ from the source's; the first is page ${reply.b}`,
        {
          code: 'memory-differs',
          next: 'The migration is not valid; please report this with the run directory.',
        },
      )
    }
    if (this.#diskState !== undefined) await this.#auditDisk(this.#diskState)
  }

  /** Sends version and hash of every block. Fails when the destination's image differs from the source's disk. */
  async #auditDisk({ content, disk }: DiskState): Promise<void> {
    const [reply] = await Promise.all([
      this.#replyOrGiveUp(FrameType.diskAudited, monotonicNs() + auditTimeoutNs),
      this.#sendDiskAudit(content, disk),
    ])
    if (reply === 'gave up') throw silent('the audit of the disk')
    if (reply.a > 0) {
      throw failure(
        `${reply.a} blocks at the destination differ from the source's; the first is block ${reply.b}`,
        {
          code: 'disk-differs',
          next: 'The migration is not valid; please report this with the run directory.',
        },
      )
    }
  }

  async #sendDiskAudit(content: PageContent, { blocks }: GuestDisk): Promise<void> {
    const lane = this.#first()
    const scratch = Buffer.alloc(content.pageBytes)
    for (let first = 0; first < blocks.totalPages; first += auditPagesPerFrame) {
      const list = auditList(content, blocks, first, scratch)
      await lane.send(frame(FrameType.diskAudit, first, 0, list))
    }
    await lane.send(frame(FrameType.diskAuditEnd))
  }

  /** Sends the hashes of all blocks and adds to `known` those that the destination has. False: no answer in time. */
  async compareDisk(via: LaneName, giveUpAtNs: number, known: PageSet): Promise<boolean> {
    const state = this.#diskState
    assert(state !== undefined, 'a disk that moves is there')
    const lane = this.lane(via)
    const total = state.disk.blocks.totalPages
    for (let first = 0; first < total; first += hashesPerFrame) {
      const count = Math.min(hashesPerFrame, total - first)
      const [reply] = await Promise.all([
        this.#replyOrGiveUp(FrameType.diskUnknown, giveUpAtNs),
        lane.send(frame(FrameType.diskHashes, first, 0, hashList(state, first, count))),
      ])
      if (reply === 'gave up') return false
      if (reply.a !== first || reply.payload.length !== Math.ceil(count / 8)) {
        throw protocolError(
          `an answer on ${8 * reply.payload.length} blocks from ${reply.a}, asked from ${first}`,
        )
      }
      for (let i = 0; i < count; i++) {
        if (((reply.payload[i >>> 3]! >>> (i & 7)) & 1) === 0) known.add(first + i)
      }
    }
    return true
  }

  /** Tells the destination to forget the guest, waits a moment for its word, and closes the lanes. */
  async abort(reason: string): Promise<void> {
    if (this.#error === undefined) {
      const forgotten = this.#reply(FrameType.aborted, monotonicNs() + abortTimeoutNs)
      const text = Buffer.from(reason).subarray(0, 4096)
      // A starved lane may hold the frame back for ever; the reset that follows says the same.
      for (const socket of this.#sockets.values()) socket.write(frame(FrameType.abort, 0, 0, text))
      await forgotten
    }
    this.close('reset')
  }

  /** Ends the session in good order. */
  async bye(): Promise<void> {
    this.#closing = true
    for (const lane of this.#lanes.values()) await lane.send(frame(FrameType.bye))
    await Promise.all([...this.#sockets.values()].map(closed))
    await this.#coding.pool.end()
  }

  /** Ends every wait: the engine aborts next. */
  giveUp(): void {
    for (const lane of this.#lanes.values()) lane.giveUp()
    for (const reply of [...this.#replies.values()]) reply.resolve('gave up')
  }

  close(how: 'close' | 'reset' = 'close'): void {
    this.#closing = true
    void this.#coding.pool.end()
    for (const socket of this.#sockets.values()) {
      if (how === 'reset') resetConnection(socket)
      else socket.destroy()
    }
  }

  async #openLane(index: number, endpoint: LaneEndpoint): Promise<void> {
    let socket: Socket | undefined
    let opened: { promise: Promise<void>; resolve: () => void } | undefined
    const reader = new FrameReader(
      {
        page: () => {
          throw protocolError('the destination sent a page')
        },
        message: (type, a, b, payload) => this.#message(endpoint.name, type, a, b, payload),
      },
      this.#session.pageBytes,
    )
    const send = (bytes: Buffer): void => {
      assert(socket !== undefined, 'the challenge comes after the connection')
      socket.write(bytes)
    }
    const inbound = new Inbound(
      claimLane(this.#options.secret, index, send, () => {
        opened?.resolve()
        return { frames: reader }
      }),
      (error) => this.#fail(error),
    )
    socket = await connectMarked({
      host: endpoint.host ?? this.#options.host,
      port: endpoint.port,
      ...(this.#options.localAddress === undefined ? {} : { localAddress: this.#options.localAddress }),
      dscp: endpoint.dscp,
      priority: endpoint.pcp,
      congestionControl: this.#options.congestionControl,
      notSentLowatBytes: this.#options.unsentBytes,
      ...(this.#options.sendBufferBytes === undefined
        ? {}
        : { sendBufferBytes: this.#options.sendBufferBytes }),
      connectTimeoutMs: this.#setUpMs(),
      onread: inbound.onread,
    })
    // The challenge cannot have been read yet: reading starts in the event loop's next turn.
    opened = this.#replyless(endpoint)
    const lane = this.#makeLane(endpoint.name, socket)
    this.#sockets.set(endpoint.name, socket)
    this.#lanes.set(endpoint.name, lane)
    socket.on('error', (error) => this.#fail(connectionLost(endpoint.name, error)))
    socket.on('close', () => {
      if (!this.#closing) this.#fail(connectionLost(endpoint.name, new Error('closed by the destination')))
    })
    await opened.promise
  }

  #makeLane(name: string, socket: Socket): SourceLane {
    const broken = (error: Error): void => this.#fail(connectionLost(name, error))
    if (!ofDisk(name)) {
      const { hooks } = this.#options
      return new SourceLane(name, socket, this.#content, this.#memory.versions, this.#coding, hooks, broken)
    }
    const state = this.#diskState
    assert(state !== undefined, 'a disk that moves is there')
    const { content, disk } = state
    return name === diskLane
      ? new SourceLane(name, socket, content, disk.blocks.versions, this.#coding, {}, broken, FrameType.block)
      : new SourceLane(
          name,
          socket,
          deltaContent(content, disk.log),
          disk.log,
          this.#coding,
          {},
          broken,
          FrameType.delta,
        )
  }

  /** A wait for the end of the handshake on one lane, ended by any failure of the link. */
  #replyless(endpoint: LaneEndpoint): { promise: Promise<void>; resolve: () => void } {
    const key = -1 - endpoint.port
    let resolve = (): void => {}
    const promise = new Promise<void>((done, reject) => {
      const timer = setTimeout(
        () => reject(silent(`the handshake on lane ${endpoint.name}`)),
        this.#setUpMs(),
      )
      resolve = () => {
        clearTimeout(timer)
        this.#replies.delete(key)
        done()
      }
      this.#replies.set(key, {
        resolve: () => resolve(),
        reject: (error) => {
          clearTimeout(timer)
          this.#replies.delete(key)
          reject(error)
        },
      })
    })
    return { promise, resolve }
  }

  #socket(name: string): Socket {
    const socket = this.#sockets.get(name)
    assert(socket !== undefined, 'every lane of a link has a socket')
    return socket
  }

  /** What is left for the set-up, in whole milliseconds, for timers. */
  #setUpMs(): number {
    const left = (this.#options.setUpByNs - monotonicNs()) / 1e6
    return Math.max(1, Math.min(Math.ceil(left), 2 ** 31 - 1))
  }

  #first(): SourceLane {
    const first = this.#options.lanes[0]
    const lane = first === undefined ? undefined : this.#lanes.get(first.name)
    assert(lane !== undefined, 'a link has a lane')
    return lane
  }

  async #sendAudit(): Promise<void> {
    const lane = this.#first()
    const scratch = Buffer.alloc(this.#content.pageBytes)
    for (let first = 0; first < this.#memory.totalPages; first += auditPagesPerFrame) {
      const list = auditList(this.#content, this.#memory, first, scratch)
      await lane.send(frame(FrameType.audit, first, 0, list))
    }
    await lane.send(frame(FrameType.auditEnd))
  }

  async #sendMissing(lane: SourceLane, missing: ReadonlyPageSet, position: GuestPosition): Promise<void> {
    for (let first = 0; first < missing.capacity; first += missingPagesPerFrame) {
      const pages = Math.min(missingPagesPerFrame, missing.capacity - first)
      const bits = Buffer.from(missing.toBits(first, Math.ceil(pages / 8)))
      await lane.send(frame(FrameType.missing, first, 0, bits))
    }
    const place = Buffer.alloc(16)
    place.writeDoubleBE(position.guestNs, 0)
    place.writeBigUInt64BE(BigInt(position.accesses), 8)
    await lane.send(frame(FrameType.position, 0, 0, place))
  }

  async #sendState(lane: SourceLane, state: Buffer): Promise<void> {
    for (let at = 0; at < state.length; at += deviceBytesPerFrame) {
      await lane.send(frame(FrameType.device, at, 0, state.subarray(at, at + deviceBytesPerFrame)))
    }
    const tally = Buffer.alloc(4 * this.#options.lanes.length)
    for (const [index, { name }] of this.#options.lanes.entries()) {
      tally.writeUInt32BE((this.#lanes.get(name)?.pagesWritten ?? 0) >>> 0, 4 * index)
    }
    await lane.send(frame(FrameType.handover, state.length, this.#options.lanes.length, tally))
  }

  #message(laneName: string, type: number, a: number, b: number, payload: Buffer): void {
    switch (type) {
      case FrameType.confirm:
        this.#lanes.get(laneName)?.confirmed(a, b)
        return
      case FrameType.error:
        throw peerError(payload)
      case FrameType.fault:
        this.#fault(a)
        return
      case FrameType.replayed:
        if (this.#replayHeard === undefined) throw protocolError('nobody asked for an execution of the guest')
        this.#replayHeard(payload)
        if (b === 1) this.#replies.get(type)?.resolve({ a, b, payload: Buffer.from(payload) })
        return
      case FrameType.configOk:
      case FrameType.reported:
      case FrameType.resumed:
      case FrameType.auditResult:
      case FrameType.diskAudited:
      case FrameType.diskUnknown:
      case FrameType.aborted: {
        if (type === FrameType.resumed && payload.length !== 16)
          throw protocolError('a resumed frame has 16 bytes')
        if (type === FrameType.reported && payload.length !== 8)
          throw protocolError('a reported frame has 8 bytes')
        const waiting = this.#replies.get(type)
        if (waiting === undefined) {
          // Each lane of an aborted session answers; one answer is enough.
          if (type === FrameType.aborted) return
          throw protocolError(`frame type ${type} was not asked for`)
        }
        waiting.resolve({ a, b, payload: Buffer.from(payload) })
        return
      }
      default:
        throw protocolError(`frame type ${type} is not the destination's to send`)
    }
  }

  #fault(page: number): void {
    if (page >= this.#memory.totalPages) throw protocolError(`a fault at page ${page}, which does not exist`)
    if (this.#faulted !== undefined) {
      this.#faulted(page)
      return
    }
    if (this.#earlyFaults.has(page)) throw protocolError(`page ${page} was asked for twice`)
    this.#earlyFaults.add(page)
  }

  #reply(type: FrameTypeCode, giveUpAtNs: number): Promise<Reply | 'gave up'> {
    assert(!this.#replies.has(type), 'one question of a kind at a time')
    return new Promise((resolve, reject) => {
      if (this.#error !== undefined) return reject(this.#error)
      const ms = Math.max(0, Math.min((giveUpAtNs - monotonicNs()) / 1e6, 2 ** 31 - 1))
      const settle = (): void => {
        clearTimeout(timer)
        this.#replies.delete(type)
      }
      const timer = setTimeout(() => {
        settle()
        resolve('gave up')
      }, ms)
      this.#replies.set(type, {
        resolve: (reply) => {
          settle()
          resolve(reply)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      })
    })
  }

  /** A reply that takes the waits of the lanes with it when it does not come. */
  async #replyOrGiveUp(type: FrameTypeCode, giveUpAtNs: number): Promise<Reply | 'gave up'> {
    const reply = await this.#reply(type, giveUpAtNs)
    if (reply === 'gave up') this.giveUp()
    return reply
  }

  #fail(cause: unknown): void {
    if (this.#error !== undefined || this.#closing) return
    const error = cause instanceof Error ? cause : new Error(messageOf(cause))
    this.#error = failure(error.message, { code: 'migration-failed', cause: error })
    for (const lane of this.#lanes.values()) lane.fail(this.#error)
    for (const reply of [...this.#replies.values()]) reply.reject(this.#error)
  }
}

/** Version and hash of each page, or block, as it is here. */
function auditList(content: PageContent, memory: GuestMemory, first: number, scratch: Buffer): Buffer {
  const count = Math.min(auditPagesPerFrame, memory.totalPages - first)
  const bytes = Buffer.allocUnsafe(8 * count)
  for (let i = 0; i < count; i++) {
    if (memory.ballooned.has(first + i)) {
      bytes.writeUInt32BE(noContent, 8 * i)
      bytes.writeUInt32BE(0, 8 * i + 4)
      continue
    }
    const version = memory.versions.of(first + i)
    bytes.writeUInt32BE(version, 8 * i)
    bytes.writeUInt32BE(pageHash(content, first + i, version, scratch), 8 * i + 4)
  }
  return bytes
}

function hashList({ content, disk }: DiskState, first: number, count: number): Buffer {
  const scratch = Buffer.alloc(content.pageBytes)
  const bytes = Buffer.allocUnsafe(hashEntryBytes * count)
  for (let i = 0; i < count; i++) {
    const version = disk.blocks.versions.of(first + i)
    bytes.writeUInt32BE(version, hashEntryBytes * i)
    blockHash(content, first + i, version, scratch).copy(bytes, hashEntryBytes * i + 4)
  }
  return bytes
}

/** Lanes that carry blocks and writes of the disk. */
function ofDisk(lane: string): boolean {
  return lane === diskLane || lane === 'deltas'
}

export interface LaneBytes {
  readonly name: string
  readonly bytesWritten: number
  readonly bytesRead: number
}

export interface LaneStatistics extends LaneBytes {
  readonly pagesWritten: number
  readonly congestionControl: string
  /** Absent when the lane was closed before it could be asked. */
  readonly tcp?: TcpInfo
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve()
    socket.once('close', () => resolve())
    socket.end()
    // The destination closes at once; a peer that does not must not hold the agent up.
    setTimeout(() => socket.destroy(), 2000).unref()
  })
}

function silent(what: string): PagewireError {
  return failure(`the destination did not answer ${what} in time`, {
    code: 'no-answer',
    next: 'See the destination agent’s log in the run directory.',
  })
}

function connectionLost(lane: string, error: Error): PagewireError {
  return failure(`lane ${lane} to the destination broke: ${error.message}`, {
    code: 'lane-lost',
    cause: error,
  })
}

/** The destination gave up and said why. */
function peerError(payload: Buffer): PagewireError {
  const said: unknown = JSON.parse(payload.toString('utf8'))
  const message =
    typeof said === 'object' && said !== null && 'message' in said ? String(said.message) : 'unknown'
  return failure(`the destination gave up: ${message}`, { code: 'destination-failed' })
}
