/**
 * Reads QEMU's migration stream (version 3; formats of QEMU 7.2's migration/savevm.c, ram.c, xbzrle.c) out of a captured
 * TCP stream: sections, RAM records with their page header flags, commands of post-copy, the return path.
 *
 * QEMU marks neither rounds nor dirty-bitmap syncs. What can be seen is a sweep, which ends when the page order goes
 * backwards; the stop phase, which is the section that ends RAM; and device state after it.
 */

import type { PageTrack } from './page-track.js'
import { Piecewise } from './piecewise.js'

export const qemuMagic = 0x5145564d
const qemuVersion = 3
const pageBytes = 4096

const sectionEof = 0x00
const sectionStart = 0x01
const sectionPart = 0x02
const sectionEnd = 0x03
const sectionFull = 0x04
const subsection = 0x05
const vmDescription = 0x06
const configuration = 0x07
const command = 0x08
const sectionFooter = 0x7e

const flagZero = 0x002
const flagMemSize = 0x004
const flagPage = 0x008
const flagEos = 0x010
const flagContinue = 0x020
const flagXbzrle = 0x040
const flagHook = 0x080
const flagCompress = 0x100
const knownFlags = 0x1fe

const commandNames: Readonly<Record<number, string>> = {
  1: 'open return path',
  2: 'ping',
  3: 'post-copy advise',
  4: 'post-copy listen',
  5: 'post-copy run',
  6: 'post-copy discard',
  7: 'packaged device state',
  8: 'enable COLO',
  9: 'post-copy resume',
  10: 'receive bitmap',
}
const commandPackaged = 7
const commandDiscard = 6

/** Records in a row that must make sense where a stream is joined in its middle. */
const chainRecords = 4

/** What both directions of one QEMU migration show. */
export class QemuSession {
  machine: string | undefined
  /** Bytes of guest memory, and pages, as announced at the start. */
  ramBytes: number | undefined
  blocks: { readonly name: string; readonly bytes: number }[] = []
  stopNs: number | undefined
  deviceNs: number | undefined
  deviceBytes = 0
  lastNs = 0
  packagedNs: number | undefined
  pageRequests = 0
  firstRequestNs: number | undefined
  readonly marks: { readonly name: string; readonly timeNs: number }[] = []

  constructor(readonly track: PageTrack) {}

  mark(name: string, timeNs: number): void {
    if (this.marks.length < 1000) this.marks.push({ name, timeNs })
  }
}

type State =
  | 'magic'
  | 'section'
  | 'named-section'
  | 'section-names'
  | 'section-id'
  | 'configuration'
  | 'machine'
  | 'command'
  | 'command-body'
  | 'footer'
  | 'record'
  | 'block-name-length'
  | 'block-name'
  | 'list-name-length'
  | 'list-name'
  | 'xbzrle'
  | 'compressed'
  | 'device'
  | 'description'

/** First page number of each block: far apart, so that blocks found by name only do not collide. */
const unknownBlockPages = 2 ** 28

export class QemuParser extends Piecewise {
  private state: State = 'magic'
  private ramId: number | undefined
  private sectionType = 0
  private block = ''
  private flags = 0
  private offset = 0
  private recordBytes = 0
  private listLeft = 0
  private nameLength = 0
  private readonly bases = new Map<string, number>()
  private nextBase = 0
  private lastPage = -1
  /** Bytes since the place was lost, in which to find it again. */
  private readonly memory = new Uint8Array(searchBytes)
  private remembered = 0

  /** `joined`: the stream is read from its middle, at a RAM record. */
  constructor(
    private readonly session: QemuSession,
    joined: boolean,
  ) {
    super()
    if (joined) this.to('record', 8)
    else this.to('magic', 8)
  }

  override data(bytes: Uint8Array, from: number, to: number, timeNs: number): void {
    this.session.lastNs = timeNs
    super.data(bytes, from, to, timeNs)
  }

  end(): void {
    if (this.state === 'device') this.session.deviceBytes += this.gathered
  }

  private to(state: State, need: number, skip = 0): void {
    this.state = state
    this.want(need, skip)
  }

  private toSection(skip = 0): void {
    this.to('section', 1, skip)
  }

  protected take(): void {
    switch (this.state) {
      case 'magic':
        this.magic()
        break
      case 'section':
        this.section(this.view.getUint8(0))
        break
      case 'named-section':
        this.ids()
        break
      case 'section-names':
        this.names()
        break
      case 'section-id':
        this.partOf(this.view.getUint32(0))
        break
      case 'configuration':
        this.nameLength = this.view.getUint32(0)
        if (this.nameLength === 0 || this.nameLength > 256) this.lose()
        else this.to('machine', this.nameLength)
        break
      case 'machine':
        this.session.machine = this.text(this.nameLength)
        this.toSection()
        break
      case 'command':
        this.command()
        break
      case 'command-body':
        this.session.deviceBytes += this.view.getUint32(0)
        this.toSection(this.view.getUint32(0))
        break
      case 'footer':
        this.toSection()
        break
      case 'record':
        this.record()
        break
      case 'block-name-length':
        this.nameLength = this.view.getUint8(0)
        this.recordBytes += 1 + this.nameLength
        if (this.nameLength === 0) this.lose()
        else this.to('block-name', this.nameLength)
        break
      case 'block-name':
        this.block = this.text(this.nameLength)
        this.pageBody()
        break
      case 'list-name-length':
        this.nameLength = this.view.getUint8(0)
        this.to('list-name', this.nameLength + 8)
        break
      case 'list-name':
        this.listedBlock()
        break
      case 'xbzrle':
        this.page('xbzrle', 3 + this.view.getUint16(1), this.view.getUint16(1))
        break
      case 'compressed':
        this.page('compressed', 4 + this.view.getUint32(0), this.view.getUint32(0))
        break
      case 'device':
        this.session.deviceBytes += this.itemLength
        this.want(this.item.length)
        break
      case 'description':
        this.toSection(this.view.getUint32(0))
        break
    }
  }

  private magic(): void {
    const good = this.view.getUint32(0) === qemuMagic && this.view.getUint32(4) === qemuVersion
    if (good) this.toSection()
    else this.lose()
  }

  private section(type: number): void {
    this.sectionType = type
    switch (type) {
      case sectionStart:
      case sectionFull:
        this.to('named-section', 5)
        break
      case sectionPart:
      case sectionEnd:
        if (type === sectionEnd && this.session.stopNs === undefined) this.stop()
        this.to('section-id', 4)
        break
      case sectionFooter:
        this.to('footer', 4)
        break
      case configuration:
        this.to('configuration', 4)
        break
      case command:
        this.to('command', 4)
        break
      case vmDescription:
        this.to('description', 4)
        break
      case sectionEof:
        this.toSection()
        break
      default:
        this.session.mark(
          type === subsection ? 'a subsection, not read further' : `section type ${type}, not known`,
          this.timeNs,
        )
        this.lose()
    }
  }

  /** RAM ends in one section that holds all that a stopped guest still had to send. */
  private stop(): void {
    const { session } = this
    if (session.packagedNs !== undefined) return
    session.stopNs = this.timeNs
    session.track.phase = 'stop'
    session.mark('end of RAM begins: the guest is stopped', this.timeNs)
  }

  private ids(): void {
    this.nameLength = this.view.getUint8(4)
    const id = this.view.getUint32(0)
    if (this.nameLength === 0) {
      this.lose()
      return
    }
    this.offset = id
    this.to('section-names', this.nameLength + 8)
  }

  private names(): void {
    const name = this.text(this.nameLength)
    if (name === 'ram') {
      this.ramId = this.offset
      this.to('record', 8)
    } else if (this.sectionType === sectionFull) {
      this.device()
    } else {
      this.session.mark(`section '${name}', not read further`, this.timeNs)
      this.lose()
    }
  }

  /** Device state does not say how long it is: all that follows is counted as such. */
  private device(): void {
    this.session.deviceNs ??= this.timeNs
    this.to('device', this.item.length)
  }

  private partOf(id: number): void {
    this.ramId ??= id
    if (id === this.ramId) this.to('record', 8)
    else {
      this.session.mark(`part of section ${id}, not read further`, this.timeNs)
      this.lose()
    }
  }

  private command(): void {
    const code = this.view.getUint16(0)
    const length = this.view.getUint16(2)
    const { session } = this
    if (code !== commandDiscard) session.mark(commandNames[code] ?? `command ${code}`, this.timeNs)
    if (code === commandPackaged && length === 4) {
      session.packagedNs ??= this.timeNs
      session.deviceNs ??= this.timeNs
      session.track.phase = 'post-copy'
      this.to('command-body', 4)
    } else {
      this.toSection(length)
    }
  }

  private record(): void {
    const high = this.view.getUint32(0)
    const low = this.view.getUint32(4)
    this.flags = low & 0xfff
    this.offset = high * 2 ** 32 + (low - this.flags)
    this.recordBytes = 8
    const { flags } = this
    if ((flags & ~knownFlags) !== 0 || high > 0xffff || flags === 0) {
      this.session.mark(`a RAM record with flags 0x${flags.toString(16)}, not known`, this.timeNs)
      this.lose()
    } else if ((flags & flagMemSize) !== 0) {
      this.session.ramBytes = this.offset
      this.listLeft = this.offset
      if (this.listLeft > 0) this.to('list-name-length', 1)
      else this.to('record', 8)
    } else if ((flags & flagEos) !== 0) this.toSection()
    else if ((flags & flagHook) !== 0) this.lose()
    else if ((flags & flagContinue) === 0) this.to('block-name-length', 1)
    else this.pageBody()
  }

  private listedBlock(): void {
    const high = this.view.getUint32(this.nameLength)
    const bytes = high * 2 ** 32 + this.view.getUint32(this.nameLength + 4)
    const name = this.text(this.nameLength)
    this.session.blocks.push({ name, bytes })
    this.bases.set(name, this.nextBase)
    this.nextBase += Math.ceil(bytes / pageBytes)
    this.listLeft -= bytes
    if (this.session.blocks.length > 4096 || this.listLeft < 0) this.lose()
    else if (this.listLeft > 0) this.to('list-name-length', 1)
    else this.to('record', 8)
  }

  private pageBody(): void {
    const { flags } = this
    if ((flags & flagZero) !== 0) this.page('zero', 1, 1)
    else if ((flags & flagPage) !== 0) this.page('raw', pageBytes, pageBytes)
    else if ((flags & flagXbzrle) !== 0) this.to('xbzrle', 3)
    else if ((flags & flagCompress) !== 0) this.to('compressed', 4)
    else this.lose()
  }

  /** A page whose body takes `body` bytes, `skip` of them still to come. */
  private page(kind: string, body: number, skip: number): void {
    const { track } = this.session
    const page = this.baseOf(this.block) + this.offset / pageBytes
    if (page <= this.lastPage && track.phase === 'pre-copy') track.endRound()
    this.lastPage = page
    track.page(kind, page, this.recordBytes + body, this.timeNs)
    this.to('record', 8, skip)
  }

  private baseOf(block: string): number {
    const known = this.bases.get(block)
    if (known !== undefined) return known
    // Joined in its middle, the stream has not said how large its blocks are.
    if (this.bases.size > 4096) return 0
    const base = this.bases.size * unknownBlockPages
    this.bases.set(block, base)
    return base
  }

  private text(length: number): string {
    return new TextDecoder('latin1').decode(this.item.subarray(0, length))
  }

  override gap(length: number, timeNs: number): void {
    this.remembered = 0
    if (this.state === 'device') this.session.deviceBytes += length
    else super.gap(length, timeNs)
  }

  /** A place is found again where a chain of records makes sense, which takes more than one piece of the stream. */
  protected search(bytes: Uint8Array, from: number, to: number): number {
    let at = from
    while (at < to) {
      const step = Math.min(to - at, this.memory.length - this.remembered)
      this.memory.set(bytes.subarray(at, at + step), this.remembered)
      this.remembered += step
      at += step
      const place = findQemuRecords(this.memory, 0, this.remembered)
      if (place !== -1) {
        const known = this.memory.slice(place, this.remembered)
        this.remembered = 0
        this.lostBytes -= known.length
        this.found()
        this.to('record', 8)
        // What was remembered is read from memory; the rest of `bytes` follows.
        super.data(known, 0, known.length, this.timeNs)
        return at
      }
      if (this.remembered === this.memory.length) {
        this.memory.copyWithin(0, this.memory.length / 2)
        this.remembered = this.memory.length / 2
      }
    }
    return -1
  }
}

/** Enough for a chain of pages. */
export const searchBytes = 32 * 1024

/** Where in `bytes[from..to)` a chain of RAM records begins, or -1. */
export function findQemuRecords(bytes: Uint8Array, from: number, to: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let start = from; start + 8 <= to; start++) {
    // Offsets below 2^48, whole pages, and a flag byte: most places are refused here.
    if (bytes[start] !== 0 || bytes[start + 1] !== 0 || (bytes[start + 6]! & 15) !== 0) continue
    if (chainLength(view, bytes, start, to) >= chainRecords) return start
  }
  return -1
}

/** Records that follow one another from `at` on, up to as many as are enough. */
function chainLength(view: DataView, bytes: Uint8Array, start: number, to: number): number {
  let records = 0
  for (let at = start; records < chainRecords; records++) {
    const body = recordBytes(view, bytes, at, to)
    if (body === undefined) return records
    if (body === 0) return 0
    at += body
  }
  return records
}

/** Length of the page record at `at`; undefined if `to` cuts it, 0 if it is none. */
function recordBytes(view: DataView, bytes: Uint8Array, at: number, to: number): number | undefined {
  if (at + 12 > to) return undefined
  if (view.getUint16(at) !== 0 || (view.getUint16(at + 6) & 0x0f00) !== 0) return 0
  const flags = view.getUint16(at + 6) & 0xfff
  let length = 8
  if ((flags & flagContinue) === 0) {
    const name = bytes[at + 8]!
    if (name === 0 || name > 64 || at + 9 + name > to || !printable(bytes, at + 9, name)) return 0
    length += 1 + name
  }
  switch (flags & ~flagContinue) {
    case flagZero:
      return bytes[at + length] === 0 ? length + 1 : 0
    case flagPage:
      return length + pageBytes
    case flagXbzrle:
      return bytes[at + length] === 1 ? length + 3 + view.getUint16(at + length + 1) : 0
    default:
      return 0
  }
}

function printable(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (bytes[i]! < 0x20 || bytes[i]! > 0x7e) return false
  return true
}

/** The way back: what the destination asks for and answers. */
export class QemuReturnParser extends Piecewise {
  constructor(private readonly session: QemuSession) {
    super()
    this.want(4)
  }

  protected take(): void {
    const type = this.view.getUint16(0)
    const length = this.view.getUint16(2)
    if (type === 0 || type > 6 || length > 4096) {
      this.lose()
      return
    }
    if (type === 3 || type === 4) {
      this.session.pageRequests++
      this.session.firstRequestNs ??= this.timeNs
    }
    if (type === 1) this.session.mark('destination shuts the return path', this.timeNs)
    this.want(4, length)
  }

  protected search(): number {
    return -1
  }
}
