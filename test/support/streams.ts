/** Migration streams byte by byte, and a TCP connection that carries them, cut into segments of random size. */

import { type Random, random } from '../../src/support/random.js'
import { FrameType, writeHeader } from '../../src/wire/frame.js'
import { encodeChallenge, encodeClaim, encodeVerdict } from '../../src/wire/handshake.js'
import { be16, be32, type CapturedFrame, join, payload, tcpFrame } from './pcap-builder.js'

/** Grows by doubling, so that a stream of many pages is built quickly. */
export class StreamBuilder {
  private readonly parts: Uint8Array[] = []
  length = 0

  add(...parts: readonly Uint8Array[]): this {
    for (const part of parts) {
      this.parts.push(part)
      this.length += part.length
    }
    return this
  }

  bytes(): Uint8Array {
    return join(...this.parts)
  }
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const named = (value: string): Uint8Array => join(Uint8Array.of(value.length), text(value))
const be64 = (high: number, low: number): Uint8Array => join(be32(high), be32(low))
const pageBytes = 4096

/** QEMU's stream as its sources write it. */
export class QemuStream extends StreamBuilder {
  private firstOfSection = true

  start(blocks: readonly (readonly [string, number])[]): this {
    const total = blocks.reduce((sum, [, bytes]) => sum + bytes, 0)
    this.add(be32(0x5145564d), be32(3), Uint8Array.of(7), be32(14), text('pc-i440fx-7.2x'))
    this.add(Uint8Array.of(1), be32(2), named('ram'), be32(0), be32(4), be64(0, total | 4))
    for (const [name, bytes] of blocks) this.add(named(name), be64(0, bytes))
    return this.endSection()
  }

  /** A section that continues (2) or ends (3) RAM. */
  section(type: 2 | 3): this {
    this.firstOfSection = true
    return this.add(Uint8Array.of(type), be32(2))
  }

  endSection(): this {
    return this.add(be64(0, 0x10), Uint8Array.of(0x7e), be32(2))
  }

  raw(page: number, block = 'pc.ram'): this {
    return this.record(page, 8, block).add(payload(pageBytes, page))
  }

  zero(page: number, block = 'pc.ram'): this {
    return this.record(page, 2, block).add(Uint8Array.of(0))
  }

  xbzrle(page: number, length: number, block = 'pc.ram'): this {
    return this.record(page, 0x40, block).add(Uint8Array.of(1), be16(length), payload(length, page))
  }

  device(bytes: number): this {
    return this.add(Uint8Array.of(4), be32(9), named('cpu'), be32(0), be32(1), payload(bytes))
  }

  command(code: number, body: Uint8Array = new Uint8Array(0)): this {
    return this.add(Uint8Array.of(8), be16(code), be16(body.length), body)
  }

  packaged(bytes: number): this {
    return this.command(7, be32(bytes)).add(payload(bytes))
  }

  private record(page: number, flag: number, block: string): this {
    const bytes = page * pageBytes
    const high = Math.floor(bytes / 2 ** 32)
    const named64 = be64(high, ((bytes % 2 ** 32) | flag | (this.firstOfSection ? 0 : 0x20)) >>> 0)
    this.add(named64)
    if (this.firstOfSection) this.add(named(block))
    this.firstOfSection = false
    return this
  }
}

/** One lane of Pagewire's protocol, seen from the source. */
export class PagewireLane extends StreamBuilder {
  readonly back = new StreamBuilder()
  private flushes = 0

  constructor(lane: number) {
    super()
    this.back.add(encodeChallenge(payload(32, 1)))
    this.add(encodeClaim(lane, payload(32, 2), payload(32, 3)))
    this.back.add(encodeVerdict(0, payload(32, 4)))
  }

  config(totalPages: number): this {
    const session = {
      totalPages,
      pageBytes,
      deviceBytes: 0,
      seed: 1,
      content: { kind: 'random' },
      lanes: ['bulk'],
    }
    return this.frame(FrameType.config, 0, 0, 0, text(JSON.stringify(session)))
  }

  page(page: number, encoding = 0, length = pageBytes): this {
    return this.frame(FrameType.page, encoding, page, 1, payload(length, page))
  }

  flush(): this {
    return this.frame(FrameType.flush, 0, ++this.flushes, 0)
  }

  frame(type: number, encoding: number, a: number, b: number, body: Uint8Array = new Uint8Array(0)): this {
    return this.add(header(type, encoding, body.length, a, b), body)
  }

  answer(type: number, a = 0, b = 0, body: Uint8Array = new Uint8Array(0)): this {
    this.back.add(header(type, 0, body.length, a, b), body)
    return this
  }
}

function header(type: number, encoding: number, length: number, a: number, b: number): Uint8Array {
  const bytes = new Uint8Array(16)
  writeHeader(new DataView(bytes.buffer), 0, type, encoding, length, a, b)
  return bytes
}

export interface ConnectionOptions {
  readonly seed: number
  /** Port of the end that listens. */
  readonly port: number
  readonly withHandshake?: boolean
  /** Share of segments that the capture lacks altogether. */
  readonly holes?: number
  /** Share of segments that the capture shows late, out of order. */
  readonly disorder?: number
  /** Bytes of each frame that are captured. */
  readonly captured?: number
  /** From how far into the stream on the capture shows it. */
  readonly fromByte?: number
  /** Nanoseconds per byte. */
  readonly nsPerByte?: number
  /** From this byte on, everything is sent this much later. */
  readonly pause?: { readonly atByte: number; readonly ns: number }
  readonly clientPort?: number
}

/** The client's stream as captured segments; `back` goes the other way, all of it at the times given. */
export function connection(
  stream: Uint8Array,
  back: readonly { readonly atNs: number; readonly bytes: Uint8Array }[],
  options: ConnectionOptions,
): CapturedFrame[] {
  const draw = random(options.seed)
  const clientPort = options.clientPort ?? 45_000
  const ends = { sourcePort: clientPort, destinationPort: options.port }
  const turned = {
    source: '10.0.0.2',
    destination: '10.0.0.1',
    sourcePort: options.port,
    destinationPort: clientPort,
  }
  const nsPerByte = options.nsPerByte ?? 40
  const frames: CapturedFrame[] = []
  const put = (atNs: number, bytes: Uint8Array): void => {
    frames.push({
      atNs,
      bytes,
      ...(options.captured ? { captured: Math.min(options.captured, bytes.length) } : {}),
    })
  }
  if (options.withHandshake !== false && !options.fromByte) {
    put(0, tcpFrame({ ...ends, sequence: 0xffff_ff00 - 1, acknowledgement: 0, flags: 2 }))
    put(500, tcpFrame({ ...turned, sequence: 6, acknowledgement: 0xffff_ff00, flags: 18 }))
  }
  for (let at = 0; at < stream.length; ) {
    const pauseAt = options.pause?.atByte ?? 0
    const end = at < pauseAt ? pauseAt : stream.length
    const length = Math.min(end - at, 1 + draw.below(2800))
    const pausedNs = at >= pauseAt ? (options.pause?.ns ?? 0) : 0
    const segment = tcpFrame({
      ...ends,
      sequence: (0xffff_ff00 + at) >>> 0,
      acknowledgement: 7,
      payload: stream.subarray(at, at + length),
      ipId: at & 0xffff,
    })
    const late = chance(draw, options.disorder) ? 200_000 : 0
    const shown = at >= (options.fromByte ?? 0) && !chance(draw, options.holes)
    if (shown) put(1000 + at * nsPerByte + late + pausedNs, segment)
    at += length
  }
  let sequence = 7
  for (const { atNs, bytes } of back) {
    put(atNs, tcpFrame({ ...turned, sequence, payload: bytes }))
    sequence += bytes.length
  }
  return frames.toSorted((a, b) => a.atNs - b.atNs)
}

function chance(draw: Random, ratio = 0): boolean {
  return ratio > 0 && draw.unit() < ratio
}
