/**
 * The destination agent: waits for a source that proves the run's secret, takes pages and device state in, checks
 * every byte, and runs the guest from the handover on. One migration, then it ends.
 */

import type { OnReadOpts, Socket } from 'node:net'
import { pageContent } from '../memory/content.js'
import { Encoding, mapEntryBytes } from '../memory/encoding.js'
import { PageSet } from '../memory/page-set.js'
import { assert } from '../support/assert.js'
import { failure, messageOf, PagewireError } from '../support/errors.js'
import { decodePosition } from '../wire/event-log.js'
import { FrameType, frame } from '../wire/frame.js'
import { FrameReader, protocolError } from '../wire/frame-reader.js'
import { Guest, type GuestPosition } from '../workload/guest.js'
import { monotonicNs } from './clock.js'
import { DestinationMemory } from './destination-memory.js'
import { DiskImage } from './disk-image.js'
import { diskContent } from './disk-state.js'
import type { GuestCardProcess } from './guest-card.js'
import { Inbound } from './inbound.js'
import { judgeLane } from './proof.js'
import { ReplayedGuest } from './replayed-guest.js'
import { ResumedGuest } from './resumed-guest.js'
import {
  decodeSession,
  deviceState,
  faultsLane,
  type LaneEndpoint,
  mayRunOn,
  type Session,
  sessionGuest,
} from './session.js'
import { listenMarked, type MarkedListener } from './socket-options.js'
import { type StorageAddress, StorageClient, type StorageResult } from './storage-client.js'
import { TraceReader } from './trace-frames.js'
import { warmUp } from './warm-up.js'

export interface DestinationJob {
  /** IPv4 address to listen on. */
  readonly host: string
  /** A port of 0 takes any free one. */
  readonly lanes: readonly LaneEndpoint[]
  /** Hex. */
  readonly secret: string
  readonly congestionControl: string
  /** Where shared storage is, for schemes that name its blocks. */
  readonly storage?: StorageAddress
}

export interface DestinationResult {
  readonly outcome: 'completed' | 'aborted'
  readonly reason?: string
  /** The memory was compared with the source's, and no page differs. */
  readonly verified: boolean
  readonly pagesReceived: number
  readonly resumedNs?: number
  readonly storage?: StorageResult
  readonly lanes: readonly {
    readonly name: string
    readonly bytesRead: number
    readonly bytesWritten: number
  }[]
}

export interface RunningDestination {
  readonly lanes: readonly LaneEndpoint[]
  /** Ends with the migration. Rejects when it failed. */
  readonly result: Promise<DestinationResult>
  /** Ends everything now. */
  stop(reason: string): void
}

/** Unproved peers are cut off after this long. */
const handshakeTimeoutMs = 5000
/** Unproved peers at one time. */
const strangersAtMost = 64
/**
 * A confirmation is sent unasked after so many pages, so that an aborted copy knows what arrived; on a slow path after
 * fewer, so that the rate of a run that is cut off is not told in steps of a megabyte.
 */
const pagesPerConfirmation = 256
const pagesPerLook = 16
const confirmationNs = 50e6

/** `card` is the guest's network card on this host, silent until the handover. */
export async function startDestination(
  job: DestinationJob,
  card?: GuestCardProcess,
): Promise<RunningDestination> {
  const destination = new Destination(job, card)
  await destination.listen()
  return {
    lanes: destination.endpoints,
    result: destination.result,
    stop: (reason) => destination.stop(reason),
  }
}

interface OpenLane {
  readonly name: string
  readonly socket: Socket
  readonly inbound: Inbound
  pages: number
  /** When the last unasked confirmation went. */
  confirmedNs: number
  /** The source has said that no frame follows on it. */
  saidGoodbye: boolean
}

interface Peer extends OnReadOpts {
  attach(socket: Socket): void
}

class Destination {
  readonly #job: DestinationJob
  readonly #card: GuestCardProcess | undefined
  readonly #secret: Buffer
  readonly #listeners: MarkedListener[] = []
  readonly #lanes: (OpenLane | undefined)[]
  readonly #strangers = new Set<Socket>()
  readonly #readers: FrameReader[] = []
  readonly #trace = new TraceReader()
  #session: Session | undefined
  #memory: DestinationMemory | undefined
  #device: Buffer | undefined
  #deviceBytes = 0
  #deviceDoneNs = 0
  #tally: Buffer | undefined
  #resumedNs: number | undefined
  /** Pages that come after the handover, and the guest that waits for some of them. */
  #missing: PageSet | undefined
  #position: GuestPosition | undefined
  /** A guest that has done nothing yet, where one may be handed over early. */
  #fresh: Guest | undefined
  #guest: ResumedGuest | undefined
  #storage: StorageClient | undefined
  #disk: DiskImage | undefined
  #memoryIsEqual = false
  #replay: ReplayedGuest | undefined
  #verified = false
  #ended = false
  endpoints: readonly LaneEndpoint[] = []
  readonly result: Promise<DestinationResult>
  #resolve: (result: DestinationResult) => void = () => {}
  #reject: (error: Error) => void = () => {}

  constructor(job: DestinationJob, card: GuestCardProcess | undefined) {
    this.#job = job
    this.#card = card
    this.#secret = Buffer.from(job.secret, 'hex')
    this.#lanes = job.lanes.map(() => undefined)
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  async listen(): Promise<void> {
    warmUp()
    try {
      for (const [index, lane] of this.#job.lanes.entries())
        this.#listeners.push(await this.#listen(index, lane))
    } catch (error) {
      this.#close()
      throw error
    }
    this.endpoints = this.#job.lanes.map((lane, index) => ({ ...lane, port: this.#listeners[index]!.port }))
  }

  stop(reason: string): void {
    this.#end({ outcome: 'aborted', reason })
  }

  #listen(index: number, lane: LaneEndpoint): Promise<MarkedListener> {
    return listenMarked<Peer>({
      host: lane.host ?? this.#job.host,
      port: lane.port,
      dscp: lane.dscp,
      priority: lane.pcp,
      congestionControl: this.#job.congestionControl,
      onread: () => this.#peer(index),
      onConnection: (socket, peer) => {
        assert(peer !== undefined, 'every accepted connection has its reader')
        peer.attach(socket)
      },
      onError: (error) => this.#fail(error),
    })
  }

  /** Somebody who connected to a lane's port and has proved nothing yet. */
  #peer(index: number): Peer {
    let socket: Socket | undefined
    const send = (bytes: Buffer): void => {
      socket?.write(bytes)
    }
    const judged = judgeLane(this.#secret, send, (claimed) => {
      if (claimed !== index || this.#lanes[index] !== undefined || socket === undefined) return undefined
      return { frames: this.#open(index, socket, inbound) }
    })
    const inbound = new Inbound(judged.expectation, (error) => {
      // Only a peer that has proved itself can fail the migration; a stranger is just turned away.
      if (this.#lanes[index]?.socket === socket) this.#fail(error)
      else socket?.end(() => socket?.destroy())
    })
    return {
      ...inbound.onread,
      attach: (accepted) => {
        socket = accepted
        this.#admit(index, accepted, inbound)
        judged.begin()
      },
    }
  }

  #admit(index: number, socket: Socket, inbound: Inbound): void {
    // The oldest makes way: a crowd that says nothing must not keep the source out until its time is over.
    const [oldest] = this.#strangers
    if (oldest && this.#strangers.size >= strangersAtMost) oldest.destroy()
    this.#strangers.add(socket)
    const timer = setTimeout(() => {
      if (this.#strangers.has(socket)) socket.destroy()
    }, handshakeTimeoutMs)
    const isLane = (): boolean => this.#lanes[index]?.socket === socket
    socket.on('error', (error) => {
      if (isLane()) this.#lost(index, error.message)
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      clearTimeout(timer)
      this.#strangers.delete(socket)
      if (isLane()) this.#lost(index, inbound.atBoundary ? 'closed by the source' : 'cut within a frame')
    })
  }

  #open(index: number, socket: Socket, inbound: Inbound): FrameReader {
    this.#strangers.delete(socket)
    const lane: OpenLane = {
      name: this.#job.lanes[index]!.name,
      socket,
      inbound,
      pages: 0,
      confirmedNs: 0,
      saidGoodbye: false,
    }
    this.#lanes[index] = lane
    const reader = new FrameReader(
      {
        page: (encoding, page, version, bytes, at, length) => {
          if (encoding === Encoding.mapped) this.#takeName(page, version, bytes, at, length)
          else this.memory.receive(encoding, page, version, bytes, at, length)
          this.#counted(lane)
          this.#arrived(page, encoding)
        },
        message: (type, a, b, payload) => this.#message(lane, index, type, a, b, payload),
      },
      0,
    )
    this.#readers.push(reader)
    return reader
  }

  /** One page, block or write more on this lane; said unasked now and then. */
  #counted(lane: OpenLane): void {
    lane.pages++
    if (lane.pages % pagesPerLook !== 0) return
    const nowNs = monotonicNs()
    if (lane.pages % pagesPerConfirmation !== 0 && nowNs - lane.confirmedNs < confirmationNs) return
    lane.confirmedNs = nowNs
    lane.socket.write(frame(FrameType.confirm, 0, lane.pages >>> 0))
  }

  #arrived(page: number, encoding: number): void {
    if (encoding !== Encoding.mapped) this.#storage?.cancel(page)
    this.#guest?.arrived(page)
  }

  /** The source names the block that holds a page. */
  #takeName(page: number, version: number, bytes: Buffer, at: number, length: number): void {
    if (this.#storage === undefined) throw protocolError('a block was named, and there is no shared storage')
    if (length !== mapEntryBytes || this.#resumedNs !== undefined)
      throw protocolError('a malformed map entry')
    const block = bytes.readUInt32BE(at)
    if (this.memory.named(page, version)) this.#storage.want(block, page, version)
  }

  #message(lane: OpenLane, index: number, type: number, a: number, b: number, payload: Buffer): void {
    switch (type) {
      case FrameType.trace:
        if (index !== 0 || this.#session !== undefined)
          throw protocolError('a trace comes before the session, on lane 0')
        this.#trace.take(a, payload)
        break
      case FrameType.config:
        this.#configure(lane, index, payload)
        break
      case FrameType.flush:
        lane.socket.write(frame(FrameType.confirm, a, lane.pages >>> 0))
        break
      case FrameType.device:
        this.#takeDevice(this.session, a, payload)
        break
      case FrameType.handover:
        this.#handover(lane, this.session, a, b, payload)
        break
      case FrameType.missing:
        this.#takeMissing(this.session, a, payload)
        break
      case FrameType.position:
        this.#takePosition(payload)
        break
      case FrameType.checkpoint:
      case FrameType.log:
      case FrameType.logMark:
        this.#takeLog(lane, type, a, b, payload)
        break
      case FrameType.report:
        this.#report(lane)
        break
      case FrameType.audit:
        this.memory.audit(a, payload)
        break
      case FrameType.block:
        this.disk.block(a, b, payload)
        this.#counted(lane)
        break
      case FrameType.delta:
        this.disk.delta(a, payload)
        this.#counted(lane)
        break
      case FrameType.diskHashes:
        lane.socket.write(frame(FrameType.diskUnknown, a, 0, this.disk.unknown(a, payload)))
        break
      case FrameType.diskAudit:
        this.disk.audit(a, payload)
        break
      case FrameType.diskAuditEnd:
        this.#answerDiskAudit(lane)
        break
      case FrameType.auditEnd:
        this.#answerAudit(lane)
        break
      case FrameType.abort:
        this.#forget(payload.toString('utf8'))
        break
      case FrameType.bye:
        this.#goodbye(lane)
        break
      default:
        throw protocolError(`frame type ${type} is not the source's to send`)
    }
  }

  private get session(): Session {
    if (this.#session === undefined) throw protocolError('the first frame must describe the session')
    return this.#session
  }

  private get disk(): DiskImage {
    if (this.#disk === undefined) throw protocolError('the session has no disk that moves')
    return this.#disk
  }

  private get memory(): DestinationMemory {
    if (this.#memory === undefined) throw protocolError('the first frame must describe the session')
    return this.#memory
  }

  #configure(lane: OpenLane, index: number, payload: Buffer): void {
    if (index !== 0 || this.#session !== undefined)
      throw protocolError('the session is described once, on lane 0')
    const session = decodeSession(payload)
    const names = this.#job.lanes.map(({ name }) => name)
    if (session.lanes.join() !== names.join() || this.#lanes.includes(undefined)) {
      throw protocolError(`the source has lanes ${session.lanes.join()}, this agent ${names.join()}`)
    }
    this.#session = session
    this.#memory = new DestinationMemory(
      session,
      pageContent(session.content, session.pageBytes, session.seed),
    )
    this.#device = deviceState(session.seed, session.deviceBytes)
    this.#disk = diskOf(session)
    if (mayRunOn(session)) this.#fresh = new Guest(sessionGuest(session, this.#trace), 0)
    for (const open of this.#readers) open.setPageBytes(session.pageBytes)
    void this.#openStorage(session).then(
      () => lane.socket.write(frame(FrameType.configOk)),
      (error) => this.#fail(error),
    )
  }

  async #openStorage(session: Session): Promise<void> {
    if (this.#job.storage === undefined) return
    const storage = await StorageClient.connect({
      ...this.#job.storage,
      secret: this.#secret,
      congestionControl: this.#job.congestionControl,
      pageBytes: session.pageBytes,
      arrived: (page, version, bytes, at) => this.memory.fetched(page, version, bytes, at),
      failed: (error) => this.#fail(error),
    })
    if (this.#ended) storage.close()
    else this.#storage = storage
  }

  #takeDevice(session: Session, offset: number, payload: Buffer): void {
    assert(this.#device !== undefined, 'a session has a device state')
    if (offset !== this.#deviceBytes || offset + payload.length > session.deviceBytes) {
      throw protocolError(`device state at ${offset}, expected ${this.#deviceBytes}`)
    }
    if (!payload.equals(this.#device.subarray(offset, offset + payload.length))) {
      throw failure(`the device state arrived with wrong bytes near offset ${offset}`, {
        code: 'device-corrupt',
      })
    }
    this.#deviceBytes += payload.length
  }

  #handover(lane: OpenLane, session: Session, bytes: number, lanes: number, tally: Buffer): void {
    if (bytes !== session.deviceBytes || this.#deviceBytes !== bytes || lanes !== this.#lanes.length) {
      throw protocolError(
        `the handover came after ${this.#deviceBytes} of ${session.deviceBytes} device bytes`,
      )
    }
    if (tally.length !== 4 * lanes || this.#tally !== undefined) throw protocolError('a malformed handover')
    this.#tally = Buffer.from(tally)
    this.#deviceDoneNs = monotonicNs()
    // Every copy was confirmed before the handover, so that all lanes are complete by now.
    for (const [index, open] of this.#lanes.entries()) {
      const expected = this.#tally.readUInt32BE(4 * index)
      if (open === undefined || open.pages >>> 0 !== expected) {
        throw protocolError(`lane ${open?.name ?? index} delivered ${open?.pages ?? 0} pages of ${expected}`)
      }
    }
    // Every write was confirmed before the handover; one that still waits has a block that never came.
    if (this.#disk?.settled === false) throw protocolError('forwarded writes wait for blocks that never came')
    // The guest waits for the blocks that are still being fetched.
    if (this.#storage === undefined) this.#resume(lane)
    else this.#storage.whenComplete(() => this.#resume(lane))
  }

  #resume(lane: OpenLane): void {
    if (this.#ended) return
    const times = Buffer.alloc(16)
    times.writeBigUInt64BE(BigInt(this.#deviceDoneNs), 0)
    this.#runEarly()
    this.#resumedNs = monotonicNs()
    this.#card?.run()
    times.writeBigUInt64BE(BigInt(this.#resumedNs), 8)
    lane.socket.write(frame(FrameType.resumed, 0, 0, times))
  }

  /** What the guest is resumed from cannot change under it. */
  #beforeHandover(what: string): void {
    if (this.#resumedNs !== undefined) throw protocolError(`${what} came after the handover`)
  }

  #takeMissing(session: Session, first: number, payload: Buffer): void {
    this.#beforeHandover('missing pages')
    if (first % 8 !== 0 || first + 8 * payload.length > 8 * Math.ceil(session.totalPages / 8)) {
      throw protocolError(`missing pages from ${first} are out of range`)
    }
    this.#missing ??= new PageSet(session.totalPages)
    this.#missing.addBits(first, payload)
  }

  #takePosition(payload: Buffer): void {
    this.#beforeHandover('the position of the guest')
    this.#position = decodePosition(payload)
  }

  /** A guest that is executed again: where it starts, what reached it, how far it came. */
  #takeLog(lane: OpenLane, type: number, a: number, b: number, payload: Buffer): void {
    this.#beforeHandover('a log')
    if (type === FrameType.checkpoint) {
      if (this.#fresh === undefined || this.#replay !== undefined)
        throw protocolError('a checkpoint comes once')
      const say = (done: boolean, position: Buffer): void => {
        if (done && this.#replay !== undefined) this.memory.execute(this.#replay.versions)
        lane.socket.write(frame(FrameType.replayed, 0, done ? 1 : 0, position))
      }
      this.#replay = new ReplayedGuest(this.#fresh, payload, this.memory.versions, say)
      return
    }
    if (this.#replay === undefined) throw protocolError('a log follows its checkpoint')
    if (type === FrameType.log) this.#replay.log(a, payload)
    else this.#replay.mark(a, b === 1, payload)
  }

  /** A handover with pages missing: the guest runs on here, and asks for pages on the lane of the faults. */
  #runEarly(): void {
    if (this.#missing === undefined) return
    const lane = this.#lanes.find((one) => one?.name === faultsLane)
    if (lane === undefined || this.#position === undefined) {
      throw protocolError('pages are missing, and no lane or position of the guest was given')
    }
    this.memory.forget(this.#missing)
    assert(this.#fresh !== undefined, 'an agent with a lane for faults has a guest to run')
    this.#guest = new ResumedGuest(this.#fresh, this.#position, this.#missing, (page) =>
      lane.socket.write(frame(FrameType.fault, page)),
    )
    this.#guest.run()
  }

  #report(lane: OpenLane): void {
    if (this.#guest === undefined) throw protocolError('a report of a guest that was handed over complete')
    const { requests, stallNs } = this.#guest.report()
    const payload = Buffer.alloc(8)
    payload.writeDoubleBE(stallNs, 0)
    lane.socket.write(frame(FrameType.reported, requests >>> 0, this.#guest.missingPages, payload))
  }

  #answerAudit(lane: OpenLane): void {
    const outcome = this.memory.auditOutcome()
    this.#memoryIsEqual = outcome.differing === 0
    this.#verified = this.#memoryIsEqual && this.#disk === undefined
    lane.socket.write(frame(FrameType.auditResult, outcome.differing, outcome.first))
  }

  /** The image is compared after the memory. */
  #answerDiskAudit(lane: OpenLane): void {
    const outcome = this.disk.auditOutcome()
    this.#verified = this.#memoryIsEqual && outcome.differing === 0
    lane.socket.write(frame(FrameType.diskAudited, outcome.differing, outcome.first))
  }

  #forget(reason: string): void {
    for (const lane of this.#lanes) lane?.socket.write(frame(FrameType.aborted))
    this.#end({ outcome: 'aborted', reason })
  }

  /** The session is over when every lane has said so: only then has everything that was sent been counted. */
  #goodbye(lane: OpenLane): void {
    if (this.#resumedNs === undefined) throw protocolError('a goodbye before the handover')
    lane.saidGoodbye = true
    if (!this.#lanes.every((one) => one?.saidGoodbye === true)) return
    const end = (): void => this.#end({ outcome: 'completed' })
    // What was asked for and is not wanted any more is on its way, and is counted on the wire.
    if (this.#storage === undefined) end()
    else this.#storage.whenQuiet(end)
  }

  #lost(index: number, why: string): void {
    if (this.#ended || this.#lanes[index]?.saidGoodbye === true) return
    const name = this.#job.lanes[index]!.name
    this.#end({ outcome: 'aborted', reason: `lane ${name}: ${why}` })
  }

  #end(how: { outcome: DestinationResult['outcome']; reason?: string }): void {
    if (this.#ended) return
    this.#ended = true
    const lanes = this.#lanes.filter((lane) => lane !== undefined)
    // A guest that was taken in whole runs on here; one that was not is the source's again, or lost.
    if (how.outcome === 'aborted') void this.#card?.suspend()
    const storage = this.#storage?.result
    this.#close()
    this.#resolve({
      ...how,
      verified: this.#verified,
      pagesReceived: this.#memory?.pagesReceived ?? 0,
      ...(this.#resumedNs === undefined ? {} : { resumedNs: this.#resumedNs }),
      ...(storage === undefined ? {} : { storage }),
      lanes: lanes.map(({ name, socket }) => ({
        name,
        bytesRead: socket.bytesRead,
        bytesWritten: socket.bytesWritten,
      })),
    })
  }

  /** This side gives up: the source is told why, then everything closes. */
  #fail(cause: unknown): void {
    if (this.#ended) return
    this.#ended = true
    void this.#card?.suspend()
    const error = cause instanceof Error ? cause : new Error(messageOf(cause))
    const code = error instanceof PagewireError ? error.code : 'internal'
    const said = frame(FrameType.error, 0, 0, Buffer.from(JSON.stringify({ code, message: error.message })))
    for (const lane of this.#lanes) lane?.socket.write(said)
    this.#close()
    this.#reject(error)
  }

  #close(): void {
    this.#guest?.stop()
    this.#storage?.close()
    this.#replay?.stop()
    for (const listener of this.#listeners) void listener.close()
    for (const stranger of this.#strangers) stranger.destroy()
    for (const lane of this.#lanes) {
      // Closing a socket with unread bytes resets it, and the peer would lose what was said last.
      lane?.inbound.discard()
      if (lane !== undefined) endSoon(lane.socket)
    }
  }
}

function diskOf({ disk, content, seed }: Session): DiskImage | undefined {
  return disk === undefined
    ? undefined
    : new DiskImage(disk, diskContent(content, disk.blockBytes, seed), seed)
}

const lastWordsTimeoutMs = 2000

/** Lets what was written go out and the peer close first, but does not wait for ever. */
function endSoon(socket: Socket): void {
  socket.end()
  const timer = setTimeout(() => socket.destroy(), lastWordsTimeoutMs)
  socket.once('close', () => clearTimeout(timer))
}
