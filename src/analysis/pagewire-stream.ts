/** Reads one direction of a lane of Pagewire's protocol (wire/frame.ts, wire/handshake.ts) out of a captured stream. */

import { FrameType, headerBytes, payloadLimit } from '../wire/frame.js'
import { challengeBytes, claimBytes, verdictBytes } from '../wire/handshake.js'
import type { PageTrack } from './page-track.js'
import { Piecewise } from './piecewise.js'

export const pagewireMagic = 0x50475752
/** Names of the encoding bytes of page frames, in their order (memory/encoding.ts). */
export const encodingNames = [
  'raw',
  'zero',
  'same',
  'xbzrle',
  'xbrle',
  'sparse',
  'wkdm',
  'lz',
  'mapped',
] as const

const defaultPageBytes = 4096
const largestPageBytes = 2 ** 18
/** Frames in a row that must make sense where a stream is joined in its middle. */
const chainFrames = 3

/** What all lanes of one migration have in common. */
export class PagewireSession {
  pageBytes = defaultPageBytes
  /** Undefined if the session description was not captured. */
  totalPages: number | undefined
  lanes: readonly string[] | undefined
  deviceBytes = 0
  firstDeviceNs: number | undefined
  handoverNs: number | undefined
  resumedNs: number | undefined
  auditedPages = 0
  endedNs: number | undefined
  readonly marks: { readonly name: string; readonly timeNs: number }[] = []
  /** Lanes that have sent pages since they last asked for a confirmation. */
  private readonly open = new Set<number>()

  constructor(readonly track: PageTrack) {}

  page(lane: number, kind: string, page: number, bytes: number, timeNs: number): void {
    if (this.open.size === 0) this.track.endRound()
    this.open.add(lane)
    this.track.page(kind, page, bytes, timeNs)
  }

  /** A lane asks for a confirmation: its part of the round is complete. */
  flushed(lane: number): void {
    this.open.delete(lane)
  }

  /** Device state is sent after all that a suspended guest still had to send. */
  device(bytes: number, timeNs: number): void {
    if (this.firstDeviceNs === undefined) {
      this.firstDeviceNs = timeNs
      this.track.markLastAsStop()
    }
    this.deviceBytes += bytes
  }

  resumed(timeNs: number): void {
    this.resumedNs ??= timeNs
    this.track.phase = 'post-copy'
  }

  mark(name: string, timeNs: number): void {
    if (this.marks.length < 1000) this.marks.push({ name, timeNs })
  }
}

export class PagewireParser extends Piecewise {
  private state: 'magic' | 'header' | 'config' = 'magic'
  private lane: number
  private restOfHandshake = 0

  /** `fromSource`: the direction in which pages go. `joined`: the stream is read from its middle, at a frame. */
  constructor(
    private readonly session: PagewireSession,
    lane: number,
    private readonly fromSource: boolean,
    joined: boolean,
  ) {
    super()
    this.lane = lane
    if (joined) this.header()
    else this.want(8)
  }

  protected take(): void {
    if (this.state === 'magic') this.handshake()
    else if (this.state === 'config') this.config()
    else this.frame()
  }

  /** The source sends a claim; the destination a challenge and, later, a verdict. */
  private handshake(): void {
    if (this.view.getUint32(0) !== pagewireMagic) {
      this.lose()
      return
    }
    if (this.fromSource) {
      this.lane = this.view.getUint16(6)
      this.header(claimBytes - 8)
    } else if (this.restOfHandshake === 0) {
      this.restOfHandshake = verdictBytes
      this.want(8, challengeBytes - 8)
    } else {
      this.header(verdictBytes - 8)
    }
  }

  private header(skip = 0): void {
    this.state = 'header'
    this.want(headerBytes, skip)
  }

  private frame(): void {
    const { view, session, timeNs } = this
    const type = view.getUint8(0)
    const encoding = view.getUint8(1)
    const length = view.getUint32(4)
    const a = view.getUint32(8)
    const limit = payloadLimit(type, largestPageBytes)
    if (limit === undefined || view.getUint16(2) !== 0 || length > limit) {
      this.lose()
      return
    }
    if (type === FrameType.page) {
      session.page(
        this.lane,
        encodingNames[encoding] ?? `encoding ${encoding}`,
        a,
        headerBytes + length,
        timeNs,
      )
    } else {
      this.rare(type, a, length)
    }
    if (type === FrameType.config && length > 0 && length <= this.item.length) {
      this.state = 'config'
      this.want(length)
    } else {
      this.header(length)
    }
  }

  private rare(type: number, a: number, length: number): void {
    const { session, timeNs } = this
    switch (type) {
      case FrameType.flush:
        session.flushed(this.lane)
        break
      case FrameType.device:
        session.device(length, timeNs)
        break
      case FrameType.handover:
        session.handoverNs ??= timeNs
        session.mark(`handover, ${a} bytes of device state`, timeNs)
        break
      case FrameType.resumed:
        session.resumed(timeNs)
        session.mark('resumed at the destination', timeNs)
        break
      case FrameType.audit:
        session.auditedPages += Math.floor(length / 8)
        break
      case FrameType.abort:
      case FrameType.error:
        session.mark(type === FrameType.abort ? 'abort' : 'error', timeNs)
        break
      case FrameType.bye:
        session.endedNs = timeNs
        break
    }
  }

  private config(): void {
    const { session } = this
    try {
      const text = new TextDecoder().decode(this.item.subarray(0, this.itemLength))
      const fields: unknown = JSON.parse(text)
      if (typeof fields === 'object' && fields !== null) {
        if ('pageBytes' in fields && typeof fields.pageBytes === 'number')
          session.pageBytes = fields.pageBytes
        if ('totalPages' in fields && typeof fields.totalPages === 'number')
          session.totalPages = fields.totalPages
        if ('lanes' in fields && Array.isArray(fields.lanes)) session.lanes = fields.lanes.map(String)
      }
    } catch {
      session.mark('unreadable session description', this.timeNs)
    }
    this.header()
  }

  /** Looks for the header of a raw page: eight bytes that no other content has by chance, and a page that exists. */
  protected search(bytes: Uint8Array, from: number, to: number): number {
    if (!this.fromSource) return -1
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const pages = this.session.totalPages ?? 2 ** 32
    for (let at = from; at + headerBytes <= to; at++) {
      if (bytes[at] !== FrameType.page || view.getUint32(at) !== FrameType.page << 24) continue
      if (view.getUint32(at + 4) !== this.session.pageBytes || view.getUint32(at + 8) >= pages) continue
      this.found()
      this.header()
      return at
    }
    return -1
  }
}

/** Where in `bytes[from..to)` a chain of frames begins, or -1. */
export function findPagewireFrames(bytes: Uint8Array, from: number, to: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let start = from; start + headerBytes <= to; start++) {
    if (bytes[start] !== FrameType.page) continue
    let frames = 0
    for (let at = start; at + headerBytes <= to && frames < chainFrames; frames++) {
      const length = view.getUint32(at + 4)
      const limit = payloadLimit(view.getUint8(at), largestPageBytes)
      const known = view.getUint8(at) !== FrameType.page || view.getUint8(at + 1) < encodingNames.length
      if (limit === undefined || !known || view.getUint16(at + 2) !== 0 || length > limit) {
        frames = -1
        break
      }
      at += headerBytes + length
    }
    if (frames >= chainFrames) return start
  }
  return -1
}
