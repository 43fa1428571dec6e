/**
 * Reads the headers of one captured frame: Ethernet II and 802.3 with LLC/SNAP, any number of 802.1Q and 802.1ad tags,
 * Linux cooked captures, raw IP, BSD loopback; IPv4 with options and fragments, IPv6 with extension headers; TCP, UDP,
 * and the protocol number of everything else. Each field is read only if the snaplen kept it. Allocates nothing, and
 * reads whole words, since this runs for every frame.
 *
 * IPv4 addresses and TCP sequence numbers are 32-bit integers as JavaScript's bit operators make them (signed):
 * compare sequence numbers with `(a - b) | 0`.
 */

import { absent, type Frame } from './frame.js'

// Plain constants, not fields of an object: the compiler then sees numbers in the loops below.
export const typeIpv4 = 0x0800
export const typeArp = 0x0806
export const typeIpv6 = 0x86dd
const typeVlan = 0x8100
const typeProviderVlan = 0x88a8
const typeOldProviderVlan = 0x9100
/** Below this, the type field of Ethernet is the length of an 802.3 frame (IEEE 802.3 section 3.2.6). */
const firstType = 0x0600

export const protocolIcmp = 1
export const protocolTcp = 6
export const protocolUdp = 17
export const protocolIcmpv6 = 58

export const flagFin = 1
export const flagSyn = 2
export const flagRst = 4
export const flagAck = 16

/** LINKTYPE values (https://www.tcpdump.org/linktypes.html) that are decoded. */
export const linkNull = 0
export const linkEthernet = 1
export const linkRaw = 101
export const linkLoop = 108
export const linkCooked = 113
export const linkIpv4 = 228
export const linkIpv6 = 229
export const linkCooked2 = 276
/** What some BSDs write for raw IP. */
const linkRawBsd = 12
const linkRawOpenBsd = 14

/** The link types that are decoded, with the names that results show. Others are counted, not decoded. */
export const linkTypeNames: ReadonlyMap<number, string> = new Map([
  [linkNull, 'BSD loopback'],
  [linkEthernet, 'Ethernet'],
  [linkRaw, 'raw IP'],
  [linkRawBsd, 'raw IP'],
  [linkRawOpenBsd, 'raw IP'],
  [linkLoop, 'OpenBSD loopback'],
  [linkCooked, 'Linux cooked v1'],
  [linkIpv4, 'raw IPv4'],
  [linkIpv6, 'raw IPv6'],
  [linkCooked2, 'Linux cooked v2'],
])

/** Reads the headers of the frame that the reader is at. */
export function decode(frame: Frame): void {
  frame.ipVersion = 0
  frame.dscp = absent
  frame.protocol = absent
  frame.transport = absent
  frame.sourcePort = absent
  frame.destinationPort = absent
  frame.tcp = false
  frame.payload = absent
  frame.payloadLength = 0
  if (frame.linkType === linkEthernet) {
    typed(frame, frame.start + 12)
    return
  }
  frame.vlan = absent
  frame.pcp = absent
  frame.tags = 0
  frame.etherType = absent
  frame.network = absent
  otherLink(frame)
}

/** From the type field at `at` on: tags, then the network layer. */
function typed(frame: Frame, at: number): void {
  const view = frame.view
  const end = frame.end
  let type = absent
  let vlan = absent
  let pcp = absent
  let tags = 0
  let network = at + 2
  if (network <= end) {
    type = view.getUint16(at)
    if (type === typeVlan && at + 6 <= end) {
      const tag = view.getUint16(at + 2)
      vlan = tag & 0xfff
      pcp = tag >> 13
      tags = 1
      type = view.getUint16(at + 4)
      network = at + 6
    }
  }
  frame.vlan = vlan
  frame.pcp = pcp
  frame.tags = tags
  frame.etherType = type
  frame.network = network
  if (type === typeIpv4) ipv4(frame, network)
  else rare(frame, type, network)
}

/** What is not IPv4 behind at most one tag. */
function rare(frame: Frame, type: number, network: number): void {
  if (type === typeIpv6) ipv6(frame, network)
  else if (type === typeVlan || type === typeProviderVlan || type === typeOldProviderVlan)
    stacked(frame, network)
  else if (type === absent) frame.network = absent
  else if (type < firstType) llc(frame, network)
}

/** More tags, or one that is not 802.1Q; `at` is where the tag's two bytes are. A customer tag names the class. */
function stacked(frame: Frame, at: number): void {
  const { view, end } = frame
  let type = frame.etherType
  let position = at
  let named = frame.tags > 0
  while (type === typeVlan || type === typeProviderVlan || type === typeOldProviderVlan) {
    frame.network = absent
    if (position + 2 > end) return
    const tag = view.getUint16(position)
    if (frame.tags === 0 || (!named && type === typeVlan)) {
      frame.vlan = tag & 0xfff
      frame.pcp = tag >> 13
    }
    named ||= type === typeVlan
    frame.tags++
    if (position + 4 > end) return
    type = view.getUint16(position + 2)
    position += 4
    frame.etherType = type
    frame.network = position
  }
  if (type === typeIpv4) ipv4(frame, position)
  else if (type === typeIpv6) ipv6(frame, position)
  else if (type < firstType) llc(frame, position)
}

/** 802.2 LLC: with a SNAP header of organisation 0 a type follows (RFC 1042). */
function llc(frame: Frame, at: number): void {
  const { view, end } = frame
  frame.etherType = absent
  if (at + 8 > end) return
  if (view.getUint32(at) !== 0xaaaa_0300 || view.getUint16(at + 4) >> 8 !== 0) return
  const type = view.getUint16(at + 6)
  frame.etherType = type
  frame.network = at + 8
  if (type === typeIpv4) ipv4(frame, at + 8)
  else if (type === typeIpv6) ipv6(frame, at + 8)
}

function otherLink(frame: Frame): void {
  const { start, end, view } = frame
  switch (frame.linkType) {
    case linkCooked:
      typed(frame, start + 14)
      break
    case linkCooked2:
      cooked2(frame, start)
      break
    case linkRaw:
    case linkRawBsd:
    case linkRawOpenBsd:
    case linkIpv4:
    case linkIpv6:
      if (start < end) ip(frame, start)
      break
    case linkNull:
    case linkLoop:
      if (start + 4 < end) loopback(frame, view.getUint32(start), start + 4)
      break
  }
}

/** Linux cooked v2: the type comes first, what it announces after the 20-byte header. */
function cooked2(frame: Frame, start: number): void {
  const { view, end } = frame
  if (start + 20 > end) return
  const type = view.getUint16(start)
  frame.etherType = type
  frame.network = start + 20
  if (type === typeIpv4) ipv4(frame, start + 20)
  else rare(frame, type, start + 20)
}

/** BSD loopback: an address family in the byte order of whoever captured; only 2 is the same everywhere. */
function loopback(frame: Frame, family: number, at: number): void {
  const value = family < 0x1_0000 ? family : family >>> 24
  if (value === 2 || value === 24 || value === 28 || value === 30 || value === 10) ip(frame, at)
}

/** The version is in the first four bits. */
function ip(frame: Frame, at: number): void {
  frame.network = at
  const version = frame.view.getUint8(at) >> 4
  if (version === 4) {
    frame.etherType = typeIpv4
    ipv4(frame, at)
  } else if (version === 6) {
    frame.etherType = typeIpv6
    ipv6(frame, at)
  }
}

function ipv4(frame: Frame, at: number): void {
  const { view, end } = frame
  if (at + 20 > end) {
    shortIpv4(frame, at)
    return
  }
  const first = view.getInt32(at)
  const headerLength = (first >>> 22) & 60
  if (first >>> 28 !== 4 || headerLength < 20) return
  const idAndFragment = view.getInt32(at + 4)
  const protocol = view.getUint8(at + 9)
  frame.ipVersion = 4
  frame.dscp = (first >> 18) & 63
  frame.ecn = (first >> 16) & 3
  frame.ipId = idAndFragment >>> 16
  frame.protocol = protocol
  frame.sourceAddress = view.getInt32(at + 12)
  frame.destinationAddress = view.getInt32(at + 16)
  frame.laterFragment = (idAndFragment & 0x1fff) !== 0
  if (frame.laterFragment) return
  const total = first & 0xffff
  const onWire = frame.wireLength - (at - frame.start)
  // A total length of 0 is what captures show of segments larger than 64 KiB (offloads).
  const length = (total === 0 || total > onWire ? onWire : total) - headerLength
  transport(frame, protocol, at + headerLength, length)
}

/** A header that the snaplen cut: the DS field is its second byte. */
function shortIpv4(frame: Frame, at: number): void {
  const { view, end } = frame
  if (at + 2 > end || view.getUint8(at) >> 4 !== 4) return
  frame.dscp = view.getUint8(at + 1) >> 2
  frame.ecn = view.getUint8(at + 1) & 3
}

const ipv6HopByHop = 0
const ipv6Routing = 43
const ipv6Fragment = 44
const ipv6Authentication = 51
const ipv6Destination = 60
const ipv6Mobility = 135
const ipv6Hip = 139
const ipv6Shim6 = 140

function ipv6(frame: Frame, at: number): void {
  const { view, end } = frame
  if (at + 2 > end || view.getUint8(at) >> 4 !== 6) return
  const dsField = (view.getUint16(at) >> 4) & 0xff
  frame.dscp = dsField >> 2
  frame.ecn = dsField & 3
  if (at + 40 > end) return
  frame.ipVersion = 6
  frame.ipId = 0
  frame.sourceAddress = view.getInt32(at + 20)
  frame.destinationAddress = view.getInt32(at + 36)
  frame.laterFragment = false
  const onWire = frame.wireLength - (at - frame.start) - 40
  const claimed = view.getUint16(at + 4)
  let left = claimed === 0 || claimed > onWire ? onWire : claimed
  let next = view.getUint8(at + 6)
  let position = at + 40
  // Each extension header is at least 8 bytes long, so the snaplen bounds this loop.
  while (position + 8 <= end) {
    const length = extensionBytes(next, view.getUint8(position + 1))
    if (length === 0) break
    if (next === ipv6Fragment) frame.laterFragment = view.getUint16(position + 2) >> 3 !== 0
    next = view.getUint8(position)
    position += length
    left -= length
    if (frame.laterFragment) break
  }
  frame.protocol = next
  if (!frame.laterFragment) transport(frame, next, position, left)
}

/** Length of an IPv6 extension header whose length field is `field`; 0 if `protocol` is none (RFC 8200, 4302). */
function extensionBytes(protocol: number, field: number): number {
  switch (protocol) {
    case ipv6HopByHop:
    case ipv6Routing:
    case ipv6Destination:
    case ipv6Mobility:
    case ipv6Hip:
    case ipv6Shim6:
      return (field + 1) * 8
    case ipv6Fragment:
      return 8
    case ipv6Authentication:
      return (field + 2) * 4
    default:
      return 0
  }
}

/** `length` is what the network layer carries from `at` on, captured or not. */
function transport(frame: Frame, protocol: number, at: number, length: number): void {
  if (length < 0) return
  frame.transport = at
  if (protocol === protocolTcp) tcp(frame, at, length)
  else if (protocol === protocolUdp) udp(frame, at, length)
}

function tcp(frame: Frame, at: number, length: number): void {
  const { view, end } = frame
  if (at + 4 > end) return
  const ports = view.getInt32(at)
  frame.sourcePort = ports >>> 16
  frame.destinationPort = ports & 0xffff
  if (at + 16 > end) return
  const offsetAndFlags = view.getInt32(at + 12)
  const headerLength = (offsetAndFlags >>> 26) & 60
  if (headerLength < 20 || headerLength > length) return
  frame.tcp = true
  frame.sequence = view.getInt32(at + 4)
  frame.acknowledgement = view.getInt32(at + 8)
  frame.flags = (offsetAndFlags >>> 16) & 0xfff
  frame.window = offsetAndFlags & 0xffff
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
