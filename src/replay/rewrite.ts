/**
 * One captured Ethernet frame as it is to be sent: at its length on the wire, with another tag, priority or DSCP if
 * that was asked for, and with checksums that fit again. A frame that needs none of it is copied byte by byte.
 */

import { linkEthernet, protocolIcmp, protocolIcmpv6, protocolTcp, protocolUdp } from '../capture/decode.js'
import { absent, type Frame } from '../capture/frame.js'
import { maxFrameBytes } from '../capture/record-scanner.js'
import { checksum, pseudoHeaderIpv4, pseudoHeaderIpv6 } from './checksum.js'

/** What is to be changed. */
export interface Rewrite {
  /** 802.1Q VLAN number; an untagged frame gets a tag. `none` takes all tags off. */
  readonly vlan?: number | 'none'
  /**
   * 802.1Q priority, or a table of it by DSCP; an untagged frame gets a tag, with VLAN 0 (a priority tag) unless `vlan`
   * says another.
   */
  readonly pcp?: number | readonly number[]
  /** Of IPv4 and IPv6; the two ECN bits stay. */
  readonly dscp?: number
  /** The frame is made one from a host of a lab to another. */
  readonly between?: Ends
}

/** Addresses of IPv4 frames: six bytes and four bytes each. */
export interface Ends {
  readonly sourceMac: readonly number[]
  readonly destinationMac: readonly number[]
  readonly sourceAddress: readonly number[]
  readonly destinationAddress: readonly number[]
}

export const ethernetHeaderBytes = 14
export const tagBytes = 4
const addressesBytes = 12
const typeCustomerTag = 0x8100
const ipv6Fragment = 44
const ipv6Authentication = 51
const tagTypes: readonly number[] = [typeCustomerTag, 0x88a8, 0x9100]

export class Rewriter {
  /** The first `write()` bytes are the frame. */
  readonly bytes = Buffer.alloc(maxFrameBytes + tagBytes)
  private readonly view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength)
  private readonly changes: boolean

  constructor(private readonly rewrite: Rewrite) {
    this.changes = Object.values(rewrite).some((value) => value !== undefined)
  }

  /** Puts a decoded frame in `bytes`; returns its length, or 0 if it cannot be sent as an Ethernet frame. */
  write(frame: Frame): number {
    const { start, end, wireLength } = frame
    const captured = end - start
    if (frame.linkType !== linkEthernet || captured < ethernetHeaderBytes || wireLength > maxFrameBytes)
      return 0
    this.bytes.set(frame.bytes.subarray(start, end))
    // What the snaplen cut off was on the wire once: zeros take its place, so that the load stays the same.
    if (wireLength > captured) this.bytes.fill(0, captured, wireLength)
    if (!this.changes && wireLength <= captured) return wireLength
    const shift = this.retag(frame, wireLength)
    this.readdress(frame, shift)
    if (frame.network === absent) return wireLength + shift
    const network = frame.network - start + shift
    if (frame.dscp !== absent) this.remark(network)
    if (frame.ipVersion !== 0) this.mend(frame, network, wireLength + shift)
    return wireLength + shift
  }

  /** Sets or takes off tags; returns by how many bytes the frame grew. */
  private retag(frame: Frame, length: number): number {
    const { vlan } = this.rewrite
    const pcp = this.priorityOf(frame)
    if (vlan === undefined && pcp === undefined) return 0
    const tags = this.tagsEnd(length)
    if (vlan === 'none') {
      this.bytes.copyWithin(addressesBytes, tags, length)
      return addressesBytes - tags
    }
    if (tags === addressesBytes) {
      this.bytes.copyWithin(addressesBytes + tagBytes, addressesBytes, length)
      this.view.setUint16(addressesBytes, typeCustomerTag)
      this.view.setUint16(addressesBytes + 2, ((pcp ?? 0) << 13) | (vlan ?? 0))
      return tagBytes
    }
    const at = this.namedTag(tags) + 2
    const old = this.view.getUint16(at)
    this.view.setUint16(at, ((pcp ?? old >> 13) << 13) | (old & 0x1000) | (vlan ?? old & 0xfff))
    return 0
  }

  private priorityOf(frame: Frame): number | undefined {
    const { pcp, dscp } = this.rewrite
    if (typeof pcp === 'number' || pcp === undefined) return pcp
    return pcp[dscp ?? Math.max(frame.dscp, 0)]
  }

  private readdress(frame: Frame, shift: number): void {
    const { between } = this.rewrite
    if (between === undefined) return
    this.bytes.set(between.destinationMac, 0)
    this.bytes.set(between.sourceMac, 6)
    if (frame.ipVersion !== 4) return
    const network = frame.network - frame.start + shift
    this.bytes.set(between.sourceAddress, network + 12)
    this.bytes.set(between.destinationAddress, network + 16)
  }

  /** Index behind the last whole tag. */
  private tagsEnd(length: number): number {
    let at = addressesBytes
    while (at + tagBytes + 2 <= length && tagTypes.includes(this.view.getUint16(at))) at += tagBytes
    return at
  }

  /** The tag that names the class, as `decode` has it: the outermost that is 802.1Q, else the outermost. */
  private namedTag(tagsEnd: number): number {
    for (let at = addressesBytes; at < tagsEnd; at += tagBytes)
      if (this.view.getUint16(at) === typeCustomerTag) return at
    return addressesBytes
  }

  private remark(network: number): void {
    const { dscp } = this.rewrite
    if (dscp === undefined) return
    if (this.bytes[network]! >> 4 === 4) {
      this.bytes[network + 1] = (dscp << 2) | (this.bytes[network + 1]! & 3)
      return
    }
    // Version 4 bits, traffic class 8 bits, flow label: the class lies across two bytes.
    const first = this.view.getUint16(network)
    this.view.setUint16(network, (first & 0xf03f) | (dscp << 6))
  }

  /** Checksums of the IPv4 header and of a transport segment that is not a fragment. */
  private mend(frame: Frame, network: number, length: number): void {
    const { bytes, view } = this
    const isV4 = frame.ipVersion === 4
    const headerBytes = isV4 ? (bytes[network]! & 15) * 4 : 0
    if (isV4 && network + headerBytes <= length) {
      view.setUint16(network + 10, 0)
      view.setUint16(network + 10, checksum(bytes, network, headerBytes, 0))
    }
    if (frame.transport === absent || frame.laterFragment) return
    const transport = network + frame.transport - frame.network
    const fragmented = isV4
      ? (view.getUint16(network + 6) & 0x2000) !== 0
      : this.hasFragmentHeader(network, transport)
    const end = isV4 ? network + view.getUint16(network + 2) : network + 40 + view.getUint16(network + 4)
    if (fragmented || end > length || end <= transport) return
    this.mendTransport(frame, network, transport, end - transport)
  }

  /** Whether there is one among the extension headers of an IPv6 packet (RFC 8200 section 4). */
  private hasFragmentHeader(network: number, transport: number): boolean {
    let next = this.bytes[network + 6]
    for (let at = network + 40; at < transport; ) {
      if (next === ipv6Fragment) return true
      const length = this.bytes[at + 1]!
      at += next === ipv6Authentication ? (length + 2) * 4 : (length + 1) * 8
      next = this.bytes[at]
    }
    return false
  }

  private mendTransport(frame: Frame, network: number, at: number, length: number): void {
    const field = checksumField(frame.protocol)
    if (field === undefined || field + 2 > length) return
    const { bytes, view } = this
    // Over IPv4 a UDP datagram may do without (RFC 768).
    if (frame.protocol === protocolUdp && frame.ipVersion === 4 && view.getUint16(at + field) === 0) return
    const pseudo =
      frame.protocol === protocolIcmp
        ? 0
        : frame.ipVersion === 4
          ? pseudoHeaderIpv4(bytes, network, frame.protocol, length)
          : pseudoHeaderIpv6(bytes, network, frame.protocol, length)
    view.setUint16(at + field, 0)
    const sum = checksum(bytes, at, length, pseudo)
    view.setUint16(at + field, frame.protocol === protocolUdp && sum === 0 ? 0xffff : sum)
  }
}

/** Where the checksum stands in the transport header; undefined for protocols that are left alone. */
function checksumField(protocol: number): number | undefined {
  switch (protocol) {
    case protocolTcp:
      return 16
    case protocolUdp:
      return 6
    case protocolIcmp:
    case protocolIcmpv6:
      return 2
    default:
      return undefined
  }
}
