/** Captures of every format and link type that is read, each with frames of every kind that is decoded. */

import { gzipSync } from 'node:zlib'
import {
  be16,
  be32,
  type CapturedFrame,
  ethernet,
  ipv4Frame,
  join,
  PcapngBuilder,
  payload,
  pcapFile,
  tcpFrame,
  udpFrame,
} from './pcap-builder.js'

/** Ethernet frames of all kinds. */
export function ethernetFrames(): Uint8Array[] {
  const v6 = (next: number, body: Uint8Array, tclass = 0): Uint8Array =>
    join(
      be32(0x6000_0000 | (tclass << 20)),
      be16(body.length),
      Uint8Array.of(next, 64),
      Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
      Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2),
      body,
    )
  const udp6 = join(be16(1000), be16(2000), be16(8 + 10), be16(0x1234), payload(10))
  const tcp6 = tcpFrame({ payload: payload(30), sequence: 7 }).subarray(34)
  const hopByHop = (next: number): Uint8Array => Uint8Array.of(next, 0, 1, 4, 0, 0, 0, 0)
  const fragment = (next: number, offset: number): Uint8Array =>
    join(Uint8Array.of(next, 0), be16(offset << 3), be32(77))
  const tag = { vlan: 100, pcp: 7 }
  return [
    tcpFrame({ dscp: 56, tags: [tag], payload: payload(100), sequence: 1000 }),
    tcpFrame({ dscp: 46, ecn: 3, payload: payload(1), sequence: 5, flags: 0x18 }),
    tcpFrame({
      options: Uint8Array.of(2, 4, 5, 180, 1, 3, 3, 7),
      flags: 2,
      acknowledgement: 0,
      sourcePort: 999,
    }),
    udpFrame({ dscp: 10, tags: [{ vlan: 200, pcp: 0 }], payload: payload(400) }),
    udpFrame({ dscp: 1, tags: [{ vlan: 0, pcp: 1 }], payload: payload(3) }),
    udpFrame({
      tags: [
        { vlan: 10, pcp: 3 },
        { vlan: 20, pcp: 5 },
      ],
      payload: payload(9),
    }),
    udpFrame({
      tags: [
        { vlan: 30, pcp: 4, type: 0x88a8 },
        { vlan: 31, pcp: 6 },
      ],
      dscp: 34,
      payload: payload(9),
    }),
    ethernet({}, 0x86dd, v6(17, udp6, 0xb8)),
    ethernet({ tags: [{ vlan: 300, pcp: 5 }] }, 0x86dd, v6(6, tcp6, 0xe0)),
    ethernet({}, 0x86dd, v6(0, join(hopByHop(17), udp6))),
    ethernet({}, 0x86dd, v6(44, join(fragment(17, 0), udp6))),
    ethernet({}, 0x86dd, v6(44, join(fragment(17, 100), payload(40)))),
    ethernet({}, 0x86dd, v6(58, join(Uint8Array.of(128, 0, 0, 0), payload(16)))),
    ethernet({ tags: [tag] }, 0x0806, payload(28)),
    ipv4Frame({ dscp: 16 }, 1, join(Uint8Array.of(8, 0, 0, 0, 0, 1, 0, 1), payload(56))),
    withIpOptions(udpFrame({ dscp: 18, payload: payload(20) })),
    laterFragment(udpFrame({ dscp: 20, payload: payload(64) })),
    ethernet({}, 38, join(Uint8Array.of(0x42, 0x42, 3), payload(35))), // spanning tree: 802.3 with LLC
    snap(udpFrame({ dscp: 26, payload: payload(12) })),
    join(tcpFrame({ payload: payload(1), sequence: 50 }), new Uint8Array(5)), // padded to the minimum size
    ethernet({}, 0x88cc, payload(50)),
  ]
}

/** The network layer of the frames that have one, for link types without Ethernet. */
export function ipPackets(): IpPacket[] {
  const packets: IpPacket[] = []
  for (const frame of ethernetFrames()) {
    const type = (frame[12]! << 8) | frame[13]!
    if (type === 0x0800) packets.push({ version: 4, bytes: frame.subarray(14) })
    if (type === 0x86dd) packets.push({ version: 6, bytes: frame.subarray(14) })
  }
  return packets
}

interface IpPacket {
  readonly version: 4 | 6
  readonly bytes: Uint8Array
}

function stamped(frames: readonly Uint8Array[]): CapturedFrame[] {
  return frames.map((bytes, i) => ({ atNs: 123_456_789 + i * 1_000_000_007, bytes }))
}

/** Name and bytes of each capture. */
export function zoo(): ReadonlyMap<string, Uint8Array> {
  const frames = stamped(ethernetFrames())
  const packets = ipPackets()
  const short = [14, 16, 18, 20, 34, 38, 42, 54, 58, 60, 70].flatMap((captured) =>
    frames.map((frame) => ({ ...frame, captured: Math.min(captured, frame.bytes.length) })),
  )
  const family = (version: 4 | 6): number => (version === 4 ? 2 : 30)
  const animals = new Map<string, Uint8Array>([
    ['nano-little.pcap', pcapFile(frames)],
    ['nano-big.pcap', pcapFile(frames, { bigEndian: true })],
    ['micro-little.pcap', pcapFile(frames, { nano: false })],
    ['micro-big.pcap', pcapFile(frames, { nano: false, bigEndian: true })],
    ['snaplen.pcap', pcapFile(short)],
    ['raw-ip.pcap', pcapFile(stamped(packets.map((one) => one.bytes)), { linkType: 101 })],
    [
      'raw-ipv4.pcap',
      pcapFile(stamped(packets.filter((one) => one.version === 4).map((one) => one.bytes)), {
        linkType: 228,
      }),
    ],
    [
      'raw-ipv6.pcap',
      pcapFile(stamped(packets.filter((one) => one.version === 6).map((one) => one.bytes)), {
        linkType: 229,
      }),
    ],
    [
      'loopback-little.pcap',
      pcapFile(
        stamped(packets.map(({ version, bytes }) => join(Uint8Array.of(family(version), 0, 0, 0), bytes))),
        { linkType: 0 },
      ),
    ],
    [
      'loopback-big.pcap',
      pcapFile(stamped(packets.map(({ version, bytes }) => join(be32(family(version)), bytes))), {
        linkType: 108,
      }),
    ],
    ['cooked1.pcap', pcapFile(stamped(ethernetFrames().map(cooked1)), { linkType: 113 })],
    ['cooked2.pcap', pcapFile(stamped(ethernetFrames().map(cooked2)), { linkType: 276 })],
    ['empty.pcap', pcapFile([])],
  ])
  const ng = new PcapngBuilder().section().describe({ resolution: 9 })
  for (const frame of frames) ng.packet(frame)
  animals.set('nano.pcapng', ng.bytes())
  animals.set('everything.pcapng', everything(frames, packets))
  animals.set('nano-little.pcap.gz', gzipSync(animals.get('nano-little.pcap') ?? new Uint8Array(0)))
  animals.set('everything.pcapng.gz', gzipSync(animals.get('everything.pcapng') ?? new Uint8Array(0)))
  return animals
}

/** Two sections of either byte order, interfaces of different link type and resolution, every kind of block. */
function everything(frames: readonly CapturedFrame[], packets: readonly IpPacket[]): Uint8Array {
  const builder = new PcapngBuilder()
    .section()
    .describe({ resolution: 9, offsetSeconds: 100 })
    .describe({ linkType: 101 })
    .describe({ resolution: 0x80 | 20, snapLength: 64 })
    .block(4, be32(0)) // name resolution, without names
    .block(0x7fff_1234, payload(13)) // unknown
  for (const [i, frame] of frames.entries()) {
    builder.packet(frame, 0)
    builder.packet({ ...frame, captured: Math.min(64, frame.bytes.length) }, 2)
    const packet = packets[i]
    if (packet) builder.packet({ atNs: frame.atNs, bytes: packet.bytes }, 1)
  }
  builder.statistics(3).section(true).describe({ resolution: 6 })
  for (const frame of frames) builder.packet(frame).obsolete(frame)
  builder.block(10, join(be32(0x544c534b), be32(8), payload(8))).statistics(4)
  builder.section().describe({ snapLength: 80 })
  for (const frame of frames) builder.simple(frame.bytes)
  return builder.bytes()
}

function withIpOptions(frame: Uint8Array): Uint8Array {
  const bytes = join(frame.subarray(0, 34), Uint8Array.of(1, 1, 1, 0), frame.subarray(34))
  bytes[14] = 0x46
  new DataView(bytes.buffer).setUint16(16, bytes.length - 14)
  return bytes
}

function laterFragment(frame: Uint8Array): Uint8Array {
  const bytes = join(frame)
  new DataView(bytes.buffer).setUint16(20, 0x00b9)
  return bytes
}

/** The same packet behind 802.3, LLC and SNAP. */
function snap(frame: Uint8Array): Uint8Array {
  const packet = frame.subarray(14)
  const body = join(Uint8Array.of(0xaa, 0xaa, 3, 0, 0, 0, 8, 0), packet)
  return join(frame.subarray(0, 12), be16(body.length), body)
}

/** Linux cooked v1: the type, and all that follows it, as libpcap writes a tag that it puts back. */
function cooked1(frame: Uint8Array): Uint8Array {
  const type = (frame[12]! << 8) | frame[13]!
  // The kernel says 4 (802.2) where Ethernet has a length.
  const protocol = type < 0x600 ? be16(4) : frame.subarray(12, 14)
  return join(be16(0), be16(1), be16(6), frame.subarray(6, 12), be16(0), protocol, frame.subarray(14))
}

function cooked2(frame: Uint8Array): Uint8Array {
  const type = (frame[12]! << 8) | frame[13]!
  const protocol = type < 0x600 ? be16(4) : frame.subarray(12, 14)
  return join(
    protocol,
    be16(0),
    be32(2),
    be16(1),
    Uint8Array.of(0, 6),
    frame.subarray(6, 12),
    be16(0),
    frame.subarray(14),
  )
}
