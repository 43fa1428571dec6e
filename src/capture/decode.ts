/**
 * Reads the headers of one captured frame into a `Frame` that is used again and again: Ethernet, 802.1Q and 802.1ad
 * tags, IPv4, IPv6, TCP, UDP. Each field is read only if the snaplen kept it. Allocates nothing.
 *
 * Addresses, ports aside, are 32-bit integers as JavaScript's bit operators make them (signed), and so are TCP
 * sequence numbers: compare them with `(a - b) | 0`.
 */

import type { CaptureRecord } from './record-scanner.js'

export const etherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  ipv6: 0x86dd,
  vlan: 0x8100,
  providerVlan: 0x88a8,
  oldProviderVlan: 0x9100,
} as const

export const ipProtocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const

export const tcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const

/** No such field in this frame. */
export const absent = -1

const linkType = { null: 0, ethernet: 1, raw: 101 } as const

/** The headers of one frame. Offsets are indices in `bytes`; `absent` means not there, or cut off by the snaplen. */
export class Frame {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(this.bytes.buffer)
  timeNs = 0
  wireLength = 0
  capLength = 0
  /** Index of the first byte of the frame and the byte after the last captured one. */
  start = 0
  end = 0

  /** The outermost tag that is 802.1Q, or the outermost of all: VLAN number and priority. */
  vlan = absent
  pcp = absent
  /** How many tags the frame carries. */
  tags = 0
  etherType = absent
  /** Index of the network header. */
  network = absent

  /** 4, 6, or 0 for anything else (or an IP header that is cut off or nonsense). */
  ipVersion = 0
  dscp = absent
  ecn = 0
  /** IPv4 identification; 0 for IPv6. */
  ipId = 0
  /** Transport protocol, also in a later fragment. */
  protocol = absent
  /** True for a fragment that is not the first: it has no transport header. */
  laterFragment = false
  /** IPv4 addresses; for IPv6 the last 32 bits, the whole stands at `network` + 8 and + 24. */
  sourceAddress = 0
  destinationAddress = 0

  /** Index of the transport header; `absent` in later fragments. */
  transport = absent
  sourcePort = absent
  destinationPort = absent
  /** TCP: true when all 20 fixed bytes are there. */
  tcp = false
  sequence = 0
  acknowledgement = 0
  flags = 0
  window = 0
  /** Index of the first payload byte (it may lie beyond `end`) and the payload's length on the wire. */
  payload = absent
  payloadLength = 0
}

/** Reads the headers of `record` into `frame`. */
export function decode(record: CaptureRecord, frame: Frame): void {
  frame.bytes = record.bytes
  frame.view = record.view
  frame.timeNs = record.timeNs
  frame.wireLength = record.wireLength
  frame.capLength = record.capLength
  frame.start = record.offset
  frame.end = record.offset + record.capLength
  frame.vlan = absent
  frame.pcp = absent
  frame.tags = 0
  frame.etherType = absent
  frame.network = absent
  frame.ipVersion = 0
  frame.dscp = absent
  frame.protocol = absent
  frame.transport = absent
  frame.sourcePort = absent
  frame.destinationPort = absent
  frame.tcp = false
  frame.payload = absent
  frame.payloadLength = 0
  if (record.linkType === linkType.ethernet) ethernet(frame)
}

function ethernet(frame: Frame): void {
  const { view, end } = frame
  let at = frame.start + 12
  if (at + 2 > end) return
  let type = view.getUint16(at)
  while (type === etherType.vlan || type === etherType.providerVlan || type === etherType.oldProviderVlan) {
    if (at + 4 > end) return
    if (frame.tags === 0) {
      const tag = view.getUint16(at + 2)
      frame.vlan = tag & 0xfff
      frame.pcp = tag >> 13
    }
    frame.tags++
    at += 4
    if (at + 2 > end) return
    type = view.getUint16(at)
  }
  frame.etherType = type
  frame.network = at + 2
  if (type === etherType.ipv4) ipv4(frame, at + 2)
  else if (type === etherType.ipv6) ipv6(frame, at + 2)
}

function ipv4(frame: Frame, at: number): void {
  const { view, end } = frame
  if (at + 20 > end) return
  const first = view.getUint8(at)
  const headerLength = (first & 15) * 4
  if (first >> 4 !== 4 || headerLength < 20) return
  const dsField = view.getUint8(at + 1)
  const fragment = view.getUint16(at + 6)
  frame.ipVersion = 4
  frame.dscp = dsField >> 2
  frame.ecn = dsField & 3
  frame.ipId = view.getUint16(at + 4)
  frame.protocol = view.getUint8(at + 9)
  frame.sourceAddress = view.getInt32(at + 12)
  frame.destinationAddress = view.getInt32(at + 16)
  frame.laterFragment = (fragment & 0x1fff) !== 0
  if (frame.laterFragment) return
  // A total length of 0 is what captures show of segments larger than 64 KiB (offloads).
  const total = view.getUint16(at + 2)
  const onWire = frame.wireLength - (at - frame.start)
  transport(frame, at + headerLength, (total === 0 ? onWire : Math.min(total, onWire)) - headerLength)
}

const ipv6Extension: Readonly<Record<number, boolean>> = { 0: true, 43: true, 60: true, 135: true, 139: true }
const ipv6Fragment = 44
const ipv6Authentication = 51

function ipv6(frame: Frame, at: number): void {
  const { view, end } = frame
  if (at + 40 > end || view.getUint8(at) >> 4 !== 6) return
  const dsField = (view.getUint16(at) >> 4) & 0xff
  frame.ipVersion = 6
  frame.dscp = dsField >> 2
  frame.ecn = dsField & 3
  frame.ipId = 0
  frame.sourceAddress = view.getInt32(at + 20)
  frame.destinationAddress = view.getInt32(at + 36)
  frame.laterFragment = false
  const onWire = frame.wireLength - (at - frame.start) - 40
  const claimed = view.getUint16(at + 4)
  let left = claimed === 0 ? onWire : Math.min(claimed, onWire)
  let next = view.getUint8(at + 6)
  let position = at + 40
  for (;;) {
    let length = 0
    if (next === ipv6Fragment) length = 8
    else if (next === ipv6Authentication && position + 2 <= end)
      length = (view.getUint8(position + 1) + 2) * 4
    else if (ipv6Extension[next] && position + 2 <= end) length = (view.getUint8(position + 1) + 1) * 8
    if (length === 0 || position + 8 > end) break
    if (next === ipv6Fragment) frame.laterFragment = view.getUint16(position + 2) >> 3 !== 0
    next = view.getUint8(position)
    position += length
    left -= length
    if (frame.laterFragment) break
  }
  frame.protocol = next
  if (!frame.laterFragment) transport(frame, position, left)
}

function transport(frame: Frame, at: number, length: number): void {
  if (length < 0) return
  frame.transport = at
  if (frame.protocol === ipProtocol.tcp) tcp(frame, at, length)
  else if (frame.protocol === ipProtocol.udp) udp(frame, at, length)
}

function tcp(frame: Frame, at: number, length: number): void {
  const { view, end } = frame
  if (at + 4 > end) return
  frame.sourcePort = view.getUint16(at)
  frame.destinationPort = view.getUint16(at + 2)
  if (at + 20 > end) return
  const offsetAndFlags = view.getUint16(at + 12)
  const headerLength = (offsetAndFlags >> 12) * 4
  if (headerLength < 20 || headerLength > length) return
  frame.tcp = true
  frame.sequence = view.getInt32(at + 4)
  frame.acknowledgement = view.getInt32(at + 8)
  frame.flags = offsetAndFlags & 0xfff
  frame.window = view.getUint16(at + 14)
  frame.payload = at + headerLength
  frame.payloadLength = length - headerLength
}

function udp(frame: Frame, at: number, length: number): void {
  const { view, end } = frame
  if (at + 4 > end) return
  frame.sourcePort = view.getUint16(at)
  frame.destinationPort = view.getUint16(at + 2)
  if (length < 8) return
  frame.payload = at + 8
  frame.payloadLength = length - 8
}
