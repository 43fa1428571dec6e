/**
 * Recognises migrations in the TCP streams of a capture, whichever port they use, and collects what they show: the
 * protocol of Pagewire and QEMU's RAM migration. A stream seen from its start is told by its first bytes; one that is
 * joined in its middle by a chain of records that make sense.
 */

import { flagSyn } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import type { FlowTable } from './flow-table.js'
import { type PageDots, type PagesDocument, PageTrack, type RoundDocument } from './page-track.js'
import { findPagewireFrames, PagewireParser, PagewireSession, pagewireMagic } from './pagewire-stream.js'
import {
  findQemuRecords,
  QemuParser,
  QemuReturnParser,
  QemuSession,
  qemuMagic,
  searchBytes,
} from './qemu-stream.js'
import { StreamAssembler, type StreamParser } from './stream-assembler.js'
import type { TcpTable } from './tcp-table.js'

/** The part `migration` of the analysis document. */
export interface MigrationDocument {
  readonly protocol: 'pagewire' | 'qemu'
  /** Addresses of the hosts. */
  readonly source: string
  readonly destination: string
  readonly streams: readonly StreamDocument[]
  /** Bytes of the source's streams that the capture does not have, or that could not be understood. */
  readonly unseen_bytes: number
  /** Guest pages, if the stream's start was captured. */
  readonly pages_total: number | null
  readonly pages: PagesDocument
  readonly rounds: readonly RoundDocument[]
  readonly device_bytes: number
  /** From the first page of the stop phase to its last, as visible on the wire. */
  readonly stop_and_copy_ms: number | null
  /** From the first byte sent by a stopped guest to the sign that it runs again (Pagewire), or to the last byte (QEMU). */
  readonly downtime_ms: number | null
  /** Post-copy: pages that the destination asked for. */
  readonly page_requests: number
  readonly marks: readonly { readonly at_ms: number; readonly what: string }[]
  /** What could not be seen or told, as sentences. */
  readonly notes: readonly string[]
}

export interface StreamDocument {
  readonly from: string
  readonly to: string
  readonly seen_from: 'start' | 'middle'
  readonly bytes: number
  readonly missing_bytes: number
  readonly not_understood_bytes: number
}

const newRow = 0
const candidate = 1
const active = 2

/** Streams without a visible start that are looked into at one time: 2 MiB of memory. */
const maxCandidates = 64
/** A stream that has shown no chain of records in this many bytes is none. */
const maxProbeBytes = 1024 * 1024

interface Stream {
  readonly row: number
  readonly assembler: StreamAssembler
  readonly joined: boolean
  /** Bytes not understood so far. */
  readonly lost: () => number
  readonly fromSource: boolean
}

/** A migration that was recognised, while it is being read. */
export interface FoundMigration {
  readonly session:
    | { readonly kind: 'pagewire'; of: PagewireSession }
    | { readonly kind: 'qemu'; of: QemuSession }
  readonly source: string
  readonly destination: string
}

interface Migration extends FoundMigration {
  readonly streams: Stream[]
}

/** What is kept of each direction: whether its stream's start was seen, and whether its payload is of interest. */
type Payloads = Pick<TcpTable, 'startsStream' | 'ignoresPayload' | 'ignorePayload' | 'watchPayload'>

export class MigrationWatch {
  private states = new Uint8Array(64)
  private readonly streams = new Map<number, StreamAssembler>()
  private readonly migrations: Migration[] = []
  private candidates = 0
  private overlooked = 0
  private lanes = 0

  /** With `dots`, every page is kept for the picture. */
  constructor(
    private readonly flows: FlowTable,
    private readonly payloads: Payloads,
    private readonly dots: boolean,
  ) {}

  /** Takes a TCP segment of direction `row`. */
  segment(row: number, frame: Frame): void {
    const isSyn = (frame.flags & flagSyn) !== 0
    if ((frame.payloadLength === 0 && !isSyn) || this.payloads.ignoresPayload(row)) return
    if (row >= this.states.length) this.grow(row)
    // Payload that comes with the SYN is not looked at.
    if (this.states[row] === newRow && !isSyn) this.meet(row, frame)
    this.streams.get(row)?.segment(frame)
  }

  /** Those recognised so far; ones are only added. */
  get found(): readonly FoundMigration[] {
    return this.migrations
  }

  /** The migrations found, the largest first; call it once, at the end. */
  result(): MigrationDocument[] {
    for (const stream of this.streams.values()) stream.end()
    return this.migrations
      .filter(({ session }) => session.of.track.pagesSent > 0)
      .toSorted((a, b) => b.session.of.track.pagesSent - a.session.of.track.pagesSent)
      .map((migration) => this.document(migration))
  }

  /** Dots of the largest migration. */
  pageDots(): PageDots | undefined {
    const [largest] = this.migrations.toSorted(
      (a, b) => b.session.of.track.pagesSent - a.session.of.track.pagesSent,
    )
    return largest?.session.of.track.pageDots()
  }

  /** First payload of a direction: the start or the middle of a stream. */
  private meet(row: number, frame: Frame): void {
    const magic = frame.payload + 4 <= frame.end ? frame.view.getUint32(frame.payload) : 0
    if (magic === qemuMagic) this.beginQemu(row, false)
    else if (magic === pagewireMagic) this.beginPagewire(row, frame.payloadLength)
    else if (this.payloads.startsStream(row) || frame.payload + frame.payloadLength > frame.end) {
      this.dismiss(row)
    } else if (this.candidates >= maxCandidates) {
      this.overlooked++
      this.dismiss(row)
    } else this.probe(row)
  }

  private dismiss(row: number): void {
    if (this.states[row] === candidate) this.candidates--
    this.states[row] = newRow
    this.payloads.ignorePayload(row)
    this.streams.delete(row)
  }

  private probe(row: number): void {
    this.candidates++
    this.states[row] = candidate
    const probe = new Probe((kind, bytes, timeNs) => {
      if (kind === undefined) {
        this.dismiss(row)
        return
      }
      this.candidates--
      const stream = kind === 'qemu' ? this.beginQemu(row, true) : this.joinPagewire(row)
      stream.data(bytes, 0, bytes.length, timeNs)
    })
    this.streams.set(row, new StreamAssembler(probe))
  }

  private beginQemu(row: number, joined: boolean): StreamParser {
    const session = new QemuSession(new PageTrack(this.dots))
    const migration: Migration = { session: { kind: 'qemu', of: session }, ...this.ends(row), streams: [] }
    this.migrations.push(migration)
    const parser = new QemuParser(session, joined)
    this.activate(row, parser, migration, joined, true)
    const back = new QemuReturnParser(session)
    if (this.states.length <= (row ^ 1)) this.grow(row ^ 1)
    this.activate(row ^ 1, back, migration, joined, false)
    return parser
  }

  /** The destination speaks first on each lane, with a challenge of 40 bytes; the source answers with 72. */
  private beginPagewire(row: number, length: number): void {
    const fromSource = length !== 40
    const sourceRow = fromSource ? row : row ^ 1
    const migration = this.pagewireMigration(sourceRow)
    const lane = this.lanes++
    for (const one of [sourceRow, sourceRow ^ 1]) {
      if (one >= this.states.length) this.grow(one)
      const session = migration.session.of
      if (!(session instanceof PagewireSession)) return
      const parser = new PagewireParser(session, lane, one === sourceRow, false)
      this.activate(one, parser, migration, false, one === sourceRow)
    }
  }

  private joinPagewire(row: number): StreamParser {
    const migration = this.pagewireMigration(row)
    const session = migration.session.of
    const lane = this.lanes++
    const parser = new PagewireParser(
      session instanceof PagewireSession ? session : new PagewireSession(new PageTrack(false)),
      lane,
      true,
      true,
    )
    this.activate(row, parser, migration, true, true)
    return parser
  }

  /** Lanes between the same hosts are one migration, until it has ended. */
  private pagewireMigration(sourceRow: number): Migration {
    const ends = this.ends(sourceRow)
    const running = this.migrations.find(
      ({ session, source, destination }) =>
        session.kind === 'pagewire' &&
        session.of.endedNs === undefined &&
        source === ends.source &&
        destination === ends.destination,
    )
    if (running) return running
    const of = new PagewireSession(new PageTrack(this.dots))
    const migration: Migration = { session: { kind: 'pagewire', of }, ...ends, streams: [] }
    this.migrations.push(migration)
    return migration
  }

  private activate(
    row: number,
    parser: PagewireParser | QemuParser | QemuReturnParser,
    migration: Migration,
    joined: boolean,
    fromSource: boolean,
  ): void {
    this.states[row] = active
    this.payloads.watchPayload(row)
    const known = this.streams.get(row)
    const assembler = known ?? new StreamAssembler(parser)
    assembler.parser = parser
    this.streams.set(row, assembler)
    migration.streams.push({ row, assembler, joined, lost: () => parser.lostBytes, fromSource })
  }

  private ends(row: number): { readonly source: string; readonly destination: string } {
    const { aAddress, bAddress } = this.flows.name(row >> 1)
    return row % 2 === 0
      ? { source: aAddress, destination: bAddress }
      : { source: bAddress, destination: aAddress }
  }

  private document({ session, source, destination, streams }: Migration): MigrationDocument {
    const { track } = session.of
    const startNs = track.firstNs ?? 0
    const shown = streams.filter((stream) => stream.fromSource || stream.assembler.seenBytes > 0)
    const unseen = streams
      .filter((stream) => stream.fromSource)
      .reduce((sum, { assembler, lost }) => sum + Math.max(assembler.missingBytes, lost()), 0)
    const figures = session.kind === 'qemu' ? qemuFigures(session.of) : pagewireFigures(session.of)
    const rounds = track.roundDocuments()
    const stop = rounds.filter((round) => round.phase === 'stop')
    const stopped = stop.length === 0 ? null : stop.reduce((sum, round) => sum + round.duration_ms, 0)
    return {
      protocol: session.kind,
      source,
      destination,
      streams: shown.map((stream) => this.streamDocument(stream)),
      unseen_bytes: unseen,
      pages_total: figures.pagesTotal,
      pages: track.pagesDocument(),
      rounds,
      device_bytes: session.of.deviceBytes,
      stop_and_copy_ms: stopped,
      downtime_ms: figures.downtimeNs === null ? null : figures.downtimeNs / 1e6,
      page_requests: figures.pageRequests,
      marks: session.of.marks.map(({ name, timeNs }) => ({ at_ms: (timeNs - startNs) / 1e6, what: name })),
      notes: this.notes(streams, unseen, figures.notes),
    }
  }

  private streamDocument({ row, assembler, joined, lost }: Stream): StreamDocument {
    const { aAddress, aPort, bAddress, bPort } = this.flows.name(row >> 1)
    const [a, b] = [`${aAddress}:${aPort}`, `${bAddress}:${bPort}`]
    return {
      from: row % 2 === 0 ? a : b,
      to: row % 2 === 0 ? b : a,
      seen_from: joined ? 'middle' : 'start',
      bytes: assembler.seenBytes + assembler.missingBytes,
      missing_bytes: assembler.missingBytes,
      not_understood_bytes: Math.max(0, lost() - assembler.missingBytes),
    }
  }

  private notes(streams: readonly Stream[], unseen: number, more: readonly string[]): string[] {
    const sent = streams.filter((stream) => stream.fromSource)
    const bytes = sent.reduce((sum, { assembler }) => sum + assembler.seenBytes + assembler.missingBytes, 0)
    const notes = [...more]
    if (sent.some((stream) => stream.joined)) {
      notes.push(
        'The capture begins in the middle of the stream: pages, rounds and repeats before it are not counted.',
      )
    }
    if (unseen > 0) {
      const percent = ((100 * unseen) / Math.max(1, bytes)).toFixed(1)
      notes.push(
        `${unseen} bytes (${percent} %) of the stream were not captured or not understood; pages in them are missing from every figure.`,
      )
    }
    if (this.overlooked > 0) {
      notes.push(`${this.overlooked} streams without a visible start were not looked into.`)
    }
    return notes
  }

  private grow(row: number): void {
    const larger = new Uint8Array(Math.max(2 * this.states.length, row + 1))
    larger.set(this.states)
    this.states = larger
  }
}

interface Figures {
  readonly pagesTotal: number | null
  readonly downtimeNs: number | null
  readonly pageRequests: number
  readonly notes: readonly string[]
}

function qemuFigures(session: QemuSession): Figures {
  const { stopNs, packagedNs, firstRequestNs, ramBytes, lastNs } = session
  const notes = ['QEMU marks no rounds: a round here is a sweep through the pages in rising order.']
  let downtimeNs: number | null = null
  if (stopNs !== undefined) downtimeNs = lastNs - stopNs
  else if (packagedNs !== undefined && firstRequestNs !== undefined) {
    downtimeNs = firstRequestNs - packagedNs
    notes.push(
      'Post-copy: downtime is from the device state to the first page that the destination asked for.',
    )
  }
  return {
    pagesTotal: ramBytes === undefined ? null : Math.ceil(ramBytes / 4096),
    downtimeNs,
    pageRequests: session.pageRequests,
    notes,
  }
}

function pagewireFigures(session: PagewireSession): Figures {
  const { firstDeviceNs, resumedNs, track, totalPages } = session
  const stopFirst = track.rounds.find((round) => round.phase === 'stop')?.firstNs ?? firstDeviceNs
  return {
    pagesTotal: totalPages ?? null,
    downtimeNs: resumedNs !== undefined && stopFirst !== undefined ? resumedNs - stopFirst : null,
    pageRequests: 0,
    notes: [
      'The suspend is not marked on the wire: the stop phase is taken to begin with the last round before the device state.',
    ],
  }
}

type Found = (kind: 'qemu' | 'pagewire' | undefined, bytes: Uint8Array, timeNs: number) => void

/** Gathers a stream joined in its middle until it shows what it is, or is given up. */
class Probe implements StreamParser {
  private readonly memory = new Uint8Array(searchBytes)
  private have = 0
  private total = 0
  private lastNs = 0

  constructor(private readonly found: Found) {}

  data(bytes: Uint8Array, from: number, to: number, timeNs: number): void {
    this.lastNs = timeNs
    for (let at = from; at < to; ) {
      const step = Math.min(to - at, this.memory.length - this.have)
      this.memory.set(bytes.subarray(at, at + step), this.have)
      this.have += step
      at += step
      this.total += step
      if (this.have < this.memory.length) continue
      if (this.tell(bytes.subarray(at, to), timeNs)) return
      this.have = 0
    }
    if (this.total >= maxProbeBytes) this.found(undefined, this.memory, timeNs)
  }

  gap(length: number, timeNs: number): void {
    this.have = 0
    this.total += length
    if (this.total >= maxProbeBytes) this.found(undefined, this.memory, timeNs)
  }

  /** A short stream is told by what there is of it. */
  end(): void {
    this.tell(new Uint8Array(0), this.lastNs)
    this.have = 0
  }

  /** Hands on what is known from the first record on, with the rest of the piece. */
  private tell(rest: Uint8Array, timeNs: number): boolean {
    const known = this.memory.subarray(0, this.have)
    for (const kind of ['qemu', 'pagewire'] as const) {
      const find = kind === 'qemu' ? findQemuRecords : findPagewireFrames
      const place = find(known, 0, known.length)
      if (place === -1) continue
      const all = new Uint8Array(known.length - place + rest.length)
      all.set(known.subarray(place))
      all.set(rest, known.length - place)
      this.found(kind, all, timeNs)
      return true
    }
    return false
  }
}
