/** Builds frames and capture files byte by byte, from what a test says and nothing else. */

export interface FrameFields {
  readonly sourceMac?: string
  readonly destinationMac?: string
  /** Outermost first. */
  readonly tags?: readonly { readonly vlan: number; readonly pcp: number; readonly type?: number }[]
  readonly source?: string
  readonly destination?: string
  readonly dscp?: number
  readonly ecn?: number
  readonly ttl?: number
  readonly ipId?: number
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly payload?: Uint8Array
}

export interface TcpFields extends FrameFields {
  readonly sequence?: number
  readonly acknowledgement?: number
  /** TCP flag bits; default ACK. */
  readonly flags?: number
  readonly window?: number
  /** Whole option block, a multiple of 4 bytes. */
  readonly options?: Uint8Array
}

/** One frame of a capture: when, what, and how much of it the snaplen kept. */
export interface CapturedFrame {
  /** Nanoseconds since `baseSeconds`. */
  readonly atNs: number
  readonly bytes: Uint8Array
  /** Bytes in the file; default all. */
  readonly captured?: number
}

/** Seconds since 1970 of time 0 of every built capture. */
export const baseSeconds = 1_700_000_000

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

export function be16(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 255, value & 255)
}

export function be32(value: number): Uint8Array {
  return Uint8Array.of((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
}

/** The options of nearly every segment: two pads and time stamps (RFC 7323 appendix A). */
export function stampOptions(value: number, echo: number): Uint8Array {
  return join(Uint8Array.of(1, 1, 8, 10), be32(value), be32(echo))
}

export function tcpFrame(fields: TcpFields): Uint8Array {
  const options = fields.options ?? new Uint8Array(0)
  const segment = join(
    be16(fields.sourcePort ?? 40_000),
    be16(fields.destinationPort ?? 5000),
    be32(fields.sequence ?? 1),
    be32(fields.acknowledgement ?? 1),
    be16(((5 + options.length / 4) << 12) | (fields.flags ?? 0x10)),
    be16(fields.window ?? 65_535),
    be32(0),
    options,
    fields.payload ?? new Uint8Array(0),
  )
  return ipv4Frame(fields, 6, segment)
}

export function udpFrame(fields: FrameFields): Uint8Array {
  const payload = fields.payload ?? new Uint8Array(0)
  const datagram = join(
    be16(fields.sourcePort ?? 40_000),
    be16(fields.destinationPort ?? 5001),
    be16(8 + payload.length),
    be16(0),
    payload,
  )
  return ipv4Frame(fields, 17, datagram)
}

export function ipv4Frame(fields: FrameFields, protocol: number, body: Uint8Array): Uint8Array {
  const header = join(
    Uint8Array.of(0x45, ((fields.dscp ?? 0) << 2) | (fields.ecn ?? 0)),
    be16(20 + body.length),
    be16(fields.ipId ?? 0),
    be16(0x4000),
    Uint8Array.of(fields.ttl ?? 64, protocol, 0, 0),
    address(fields.source ?? '10.0.0.1'),
    address(fields.destination ?? '10.0.0.2'),
  )
  return ethernet(fields, 0x0800, join(header, body))
}

/** Ethernet header, tags, type, body. */
export function ethernet(fields: FrameFields, type: number, body: Uint8Array): Uint8Array {
  const tags = (fields.tags ?? []).map((tag) =>
    join(be16(tag.type ?? 0x8100), be16((tag.pcp << 13) | tag.vlan)),
  )
  return join(
    mac(fields.destinationMac ?? '02:00:00:00:00:02'),
    mac(fields.sourceMac ?? '02:00:00:00:00:01'),
    ...tags,
    be16(type),
    body,
  )
}

export interface PcapOptions {
  readonly nano?: boolean
  readonly bigEndian?: boolean
  readonly snapLength?: number
  readonly linkType?: number
}

/** A classic pcap file; default: nanoseconds, little-endian, Ethernet. */
export function pcapFile(frames: readonly CapturedFrame[], options: PcapOptions = {}): Uint8Array {
  const { nano = true, bigEndian = false, snapLength = 262_144, linkType = 1 } = options
  const total = frames.reduce((sum, frame) => sum + 16 + (frame.captured ?? frame.bytes.length), 24)
  const bytes = new Uint8Array(total)
  const view = new DataView(bytes.buffer)
  const little = !bigEndian
  view.setUint32(0, nano ? 0xa1b23c4d : 0xa1b2c3d4, little)
  view.setUint16(4, 2, little)
  view.setUint16(6, 4, little)
  view.setUint32(16, snapLength, little)
  view.setUint32(20, linkType, little)
  let at = 24
  for (const frame of frames) {
    const captured = Math.min(frame.captured ?? frame.bytes.length, snapLength)
    const seconds = Math.floor(frame.atNs / 1e9)
    const ns = frame.atNs - seconds * 1e9
    view.setUint32(at, baseSeconds + seconds, little)
    view.setUint32(at + 4, nano ? ns : Math.floor(ns / 1000), little)
    view.setUint32(at + 8, captured, little)
    view.setUint32(at + 12, frame.bytes.length, little)
    bytes.set(frame.bytes.subarray(0, captured), at + 16)
    at += 16 + captured
  }
  return bytes.subarray(0, at)
}

/** `length` bytes that differ for each `seed`. */
export function payload(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = (seed * 2_654_435_761 + 1) >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

function address(text: string): Uint8Array {
  return Uint8Array.from(text.split('.').map(Number))
}

function mac(text: string): Uint8Array {
  return Uint8Array.from(text.split(':').map((part) => Number.parseInt(part, 16)))
}

export interface PcapngInterface {
  readonly linkType?: number
  readonly snapLength?: number
  /** if_tsresol; default absent, which means microseconds. */
  readonly resolution?: number
  /** if_tsoffset in seconds. */
  readonly offsetSeconds?: number
}

/** Writes pcapng block by block, so that a test can put them in any order. */
export class PcapngBuilder {
  private readonly blocks: Uint8Array[] = []
  private interfaces: PcapngInterface[] = []
  private little = true

  section(bigEndian = false): this {
    this.little = !bigEndian
    this.interfaces = []
    const body = new Uint8Array(16)
    const view = new DataView(body.buffer)
    view.setUint32(0, 0x1a2b3c4d, this.little)
    view.setUint16(4, 1, this.little)
    view.setBigInt64(8, -1n, this.little)
    return this.block(
      0x0a0d0d0a,
      join(body, this.option(1, new TextEncoder().encode('a comment')), this.option(0)),
    )
  }

  describe(one: PcapngInterface = {}): this {
    this.interfaces.push(one)
    const body = new Uint8Array(8)
    const view = new DataView(body.buffer)
    view.setUint16(0, one.linkType ?? 1, this.little)
    view.setUint32(4, one.snapLength ?? 0, this.little)
    const options = [this.option(2, new TextEncoder().encode('eth0'))]
    if (one.resolution !== undefined) options.push(this.option(9, Uint8Array.of(one.resolution)))
    if (one.offsetSeconds !== undefined) {
      const offset = new Uint8Array(8)
      new DataView(offset.buffer).setBigInt64(0, BigInt(one.offsetSeconds), this.little)
      options.push(this.option(14, offset))
    }
    return this.block(1, join(body, ...options, this.option(0)))
  }

  /** An enhanced packet block. */
  packet(frame: CapturedFrame, number = 0): this {
    const captured = frame.captured ?? frame.bytes.length
    const head = new Uint8Array(20)
    const view = new DataView(head.buffer)
    view.setUint32(0, number, this.little)
    this.stamp(view, 4, frame, number)
    view.setUint32(12, captured, this.little)
    view.setUint32(16, frame.bytes.length, this.little)
    return this.block(
      6,
      join(head, padded(frame.bytes.subarray(0, captured)), this.option(1, Uint8Array.of(33))),
    )
  }

  /** A simple packet block: no time, always the first interface. */
  simple(bytes: Uint8Array): this {
    const head = new Uint8Array(4)
    new DataView(head.buffer).setUint32(0, bytes.length, this.little)
    const limit = this.interfaces[0]?.snapLength ?? 0
    return this.block(3, join(head, padded(limit === 0 ? bytes : bytes.subarray(0, limit))))
  }

  /** The obsolete packet block. */
  obsolete(frame: CapturedFrame, number = 0): this {
    const head = new Uint8Array(20)
    const view = new DataView(head.buffer)
    view.setUint16(0, number, this.little)
    view.setUint16(2, 0xffff, this.little)
    this.stamp(view, 4, frame, number)
    view.setUint32(12, frame.bytes.length, this.little)
    view.setUint32(16, frame.bytes.length, this.little)
    return this.block(2, join(head, padded(frame.bytes)))
  }

  /** An interface statistics block with a count of dropped frames. */
  statistics(dropped: number): this {
    const count = new Uint8Array(8)
    new DataView(count.buffer).setBigUint64(0, BigInt(dropped), this.little)
    return this.block(5, join(new Uint8Array(12), this.option(5, count), this.option(0)))
  }

  block(type: number, body: Uint8Array): this {
    const bytes = new Uint8Array(12 + padded(body).length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, type, this.little)
    view.setUint32(4, bytes.length, this.little)
    bytes.set(body, 8)
    view.setUint32(bytes.length - 4, bytes.length, this.little)
    this.blocks.push(bytes)
    return this
  }

  bytes(): Uint8Array {
    return join(...this.blocks)
  }

  private stamp(view: DataView, at: number, frame: CapturedFrame, number: number): void {
    const { resolution = 6, offsetSeconds = 0 } = this.interfaces[number] ?? {}
    const units = resolution & 0x80 ? 2n ** BigInt(resolution & 0x7f) : 10n ** BigInt(resolution)
    const ns = BigInt(baseSeconds - offsetSeconds) * 1_000_000_000n + BigInt(frame.atNs)
    const stamp = (ns * units) / 1_000_000_000n
    view.setUint32(at, Number(stamp >> 32n), this.little)
    view.setUint32(at + 4, Number(stamp & 0xffff_ffffn), this.little)
  }

  private option(code: number, value: Uint8Array = new Uint8Array(0)): Uint8Array {
    const head = new Uint8Array(4)
    const view = new DataView(head.buffer)
    view.setUint16(0, code, this.little)
    view.setUint16(2, value.length, this.little)
    return join(head, padded(value))
  }
}

function padded(bytes: Uint8Array): Uint8Array {
  return join(bytes, new Uint8Array((4 - (bytes.length % 4)) % 4))
}
