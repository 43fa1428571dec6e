/**
 * What a guest's network card does with the frames that reach it: answers ARP for its address, sends each UDP question
 * back with its own mark, and announces itself where it has come to. Frames in, frames out; it opens nothing.
 */

/** The card, and the mark that its answers carry. */
export interface GuestCard {
  readonly mac: string
  readonly address: string
  /** A further address, that of the guest's new network; the other is then its old one. */
  readonly newAddress?: string
  /** UDP port that answers; others are silent. */
  readonly port: number
  /** Absent: its frames carry no tag, and those that do are not for it. */
  readonly vlan?: number
  readonly dscp: number
  readonly pcp: number
  /** Written into each answer: which host the guest runs on, 1..255. */
  readonly host: number
}

/** Where in the UDP payload a question has room for the host that answers. */
export const hostOffset = 12

const tagBytes = 4
const ethernetBytes = 14
const arpBytes = 28
const etherTypes = { tag: 0x8100, ipv4: 0x0800, arp: 0x0806 } as const
const arpRequest = 1
const arpReply = 2
const protocolUdp = 17
const ipBytes = 20
const udpBytes = 8
/** ARP has no DSCP, so it travels as best effort. */
const arpPcp = 0

export class GuestFrames {
  private readonly mac: Buffer
  private readonly addresses: readonly Buffer[]
  private readonly out = Buffer.alloc(ethernetBytes + tagBytes + 1500)

  constructor(private readonly card: GuestCard) {
    this.mac = Buffer.from(card.mac.replaceAll(':', ''), 'hex')
    const addresses = card.newAddress === undefined ? [card.address] : [card.address, card.newAddress]
    this.addresses = addresses.map((address) => Buffer.from(address.split('.').map(Number)))
  }

  /** The answer to the first `length` bytes of `bytes`, valid until the next call; undefined when there is none. */
  answer(bytes: Uint8Array, length: number): Buffer | undefined {
    if (length < ethernetBytes) return undefined
    const frame = Buffer.from(bytes.buffer, bytes.byteOffset, length)
    const isTagged = frame.readUInt16BE(12) === etherTypes.tag
    const at = isTagged ? ethernetBytes + tagBytes : ethernetBytes
    if (length < at || (isTagged && (frame.readUInt16BE(14) & 0xfff) !== this.card.vlan)) return undefined
    switch (frame.readUInt16BE(at - 2)) {
      case etherTypes.arp:
        return this.arp(frame.subarray(at))
      case etherTypes.ipv4:
        return this.udp(frame, frame.subarray(at))
      default:
        return undefined
    }
  }

  /** A gratuitous ARP (RFC 5227 section 3): whoever hears it learns where the guest is now, switches above all. */
  announcement(): Buffer {
    const everybody = Buffer.alloc(6, 0xff)
    const [address] = this.addresses
    return this.arpFrame(arpRequest, address!, everybody, Buffer.alloc(6), address!)
  }

  private arp(packet: Buffer): Buffer | undefined {
    if (packet.length < arpBytes || packet.readUInt16BE(6) !== arpRequest) return undefined
    const asked = this.own(packet.subarray(24, 28))
    if (asked === undefined) return undefined
    const asker = packet.subarray(8, 14)
    return this.arpFrame(arpReply, asked, asker, asker, packet.subarray(14, 18))
  }

  private own(address: Buffer): Buffer | undefined {
    return this.addresses.find((one) => one.equals(address))
  }

  private arpFrame(
    operation: number,
    sender: Buffer,
    to: Buffer,
    targetMac: Buffer,
    targetAddress: Buffer,
  ): Buffer {
    const at = this.header(to, arpPcp, etherTypes.arp)
    const { out } = this
    out.writeUInt16BE(1, at) // Ethernet
    out.writeUInt16BE(etherTypes.ipv4, at + 2)
    out.writeUInt16BE(0x0604, at + 4) // lengths of the addresses
    out.writeUInt16BE(operation, at + 6)
    this.mac.copy(out, at + 8)
    sender.copy(out, at + 14)
    targetMac.copy(out, at + 18)
    targetAddress.copy(out, at + 24)
    return out.subarray(0, at + arpBytes)
  }

  private udp(frame: Buffer, packet: Buffer): Buffer | undefined {
    const { card, out } = this
    const total = packet.length < ipBytes + udpBytes ? 0 : packet.readUInt16BE(2)
    const isWhole = total >= ipBytes + udpBytes + hostOffset + 2 && total <= packet.length
    if (!isWhole || total > out.length - ethernetBytes - tagBytes) return undefined
    if (packet[0] !== 0x45 || packet[9] !== protocolUdp || (packet.readUInt16BE(6) & 0x3fff) !== 0)
      return undefined
    if (this.own(packet.subarray(16, 20)) === undefined || packet.readUInt16BE(22) !== card.port)
      return undefined
    const at = this.header(frame.subarray(6, 12), card.pcp, etherTypes.ipv4)
    packet.copy(out, at, 0, total)
    out[at + 1] = card.dscp << 2
    packet.copy(out, at + 12, 16, 20)
    packet.copy(out, at + 16, 12, 16)
    packet.copy(out, at + 20, 22, 24)
    packet.copy(out, at + 22, 20, 22)
    out.writeUInt16BE(0, at + 10)
    out.writeUInt16BE(~sumOf(out, at, at + ipBytes) & 0xffff, at + 10)
    this.signUdp(at + ipBytes)
    return out.subarray(0, at + total)
  }

  /** Writes the host into the payload; the checksum changes by what the word changed (RFC 1624). */
  private signUdp(at: number): void {
    const { out, card } = this
    const word = at + udpBytes + hostOffset
    const before = out.readUInt16BE(word)
    out.writeUInt16BE(card.host, word)
    const checksum = out.readUInt16BE(at + 6)
    if (checksum === 0) return // The asker went without one.
    const sum = (~checksum & 0xffff) + (~before & 0xffff) + card.host
    out.writeUInt16BE(~folded(sum) & 0xffff || 0xffff, at + 6)
  }

  /** Ethernet header, and tag if there is one; returns where the packet begins. */
  private header(to: Buffer, pcp: number, etherType: number): number {
    const { out, card } = this
    to.copy(out, 0)
    this.mac.copy(out, 6)
    if (card.vlan === undefined) {
      out.writeUInt16BE(etherType, 12)
      return ethernetBytes
    }
    out.writeUInt16BE(etherTypes.tag, 12)
    out.writeUInt16BE((pcp << 13) | card.vlan, 14)
    out.writeUInt16BE(etherType, 16)
    return ethernetBytes + tagBytes
  }
}

/** RFC 1071, over an even number of bytes. */
function sumOf(bytes: Buffer, from: number, to: number): number {
  let sum = 0
  for (let at = from; at < to; at += 2) sum += bytes.readUInt16BE(at)
  return folded(sum)
}

function folded(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16)
  return (once & 0xffff) + (once >>> 16)
}
