/**
 * An IPv4/UDP packet that is sent many times with a few bytes changed: the checksum of what stays is taken once.
 *
 *      0      4      8     12     16     20     24     28
 *      | ver  | id   | ttl  | source | dest | ports | length, checksum | payload ...
 */

import { dsField } from '../marking/traffic-class.js'
import { assert } from '../support/assert.js'
import type { Endpoint } from './socket-calls.js'

const ipHeaderBytes = 20
/** Bytes of a packet in front of the UDP payload. */
export const udpOverheadBytes = ipHeaderBytes + 8
const protocolUdp = 17
const doNotFragment = 0x4000
const timeToLive = 64

export interface UdpPacketOptions {
  readonly source: Endpoint
  readonly destination: Endpoint
  /** 0..63. */
  readonly dscp: number
  /** Of the whole IP packet. */
  readonly packetBytes: number
  /** How much of the payload's beginning `seal` expects to change; even. */
  readonly variableBytes: number
}

export class UdpPacket {
  readonly bytes: Buffer
  readonly payload: Buffer
  /** Ones' complement sum of everything that stays. */
  private readonly constantSum: number

  constructor(private readonly options: UdpPacketOptions) {
    const { packetBytes, variableBytes } = options
    assert(variableBytes % 2 === 0, 'the checksum counts pairs of bytes')
    assert(packetBytes >= udpOverheadBytes + variableBytes && packetBytes <= 65_535, 'a packet has room')
    this.bytes = Buffer.alloc(packetBytes)
    this.payload = this.bytes.subarray(udpOverheadBytes)
    this.writeHeaders()
    const { bytes } = this
    const pseudoHeader = sumOf(bytes, 12, 20) + protocolUdp + bytes.readUInt16BE(24)
    this.constantSum =
      pseudoHeader + sumOf(bytes, 20, 26) + sumOf(bytes, udpOverheadBytes + variableBytes, packetBytes)
  }

  /** Completes the packet after its payload changed. `id` tells fragments apart; 0 lets the kernel choose. */
  seal(id: number): void {
    const { bytes } = this
    bytes.writeUInt16BE(id, 4)
    const variableEnd = udpOverheadBytes + this.options.variableBytes
    const sum = folded(this.constantSum + sumOf(bytes, udpOverheadBytes, variableEnd))
    // 0 means "no checksum" (RFC 768), and its ones' complement twin is sent instead.
    bytes.writeUInt16BE(~sum & 0xffff || 0xffff, 26)
  }

  /** RFC 791 and 768. Total length and header checksum are the kernel's (raw(7)). */
  private writeHeaders(): void {
    const { source, destination, dscp, packetBytes } = this.options
    const { bytes } = this
    bytes.writeUInt8(0x45, 0)
    bytes.writeUInt8(dsField(dscp), 1)
    bytes.writeUInt16BE(packetBytes, 2)
    bytes.writeUInt16BE(doNotFragment, 6)
    bytes.writeUInt8(timeToLive, 8)
    bytes.writeUInt8(protocolUdp, 9)
    writeAddress(bytes, 12, source.host)
    writeAddress(bytes, 16, destination.host)
    bytes.writeUInt16BE(source.port, 20)
    bytes.writeUInt16BE(destination.port, 22)
    bytes.writeUInt16BE(packetBytes - ipHeaderBytes, 24)
  }
}

function writeAddress(bytes: Buffer, at: number, host: string): void {
  for (const [i, part] of host.split('.').entries()) bytes.writeUInt8(Number(part), at + i)
}

/** RFC 1071; an odd last byte counts as if a zero followed. */
function sumOf(bytes: Buffer, from: number, to: number): number {
  let sum = 0
  for (let at = from; at + 1 < to; at += 2) sum += bytes.readUInt16BE(at)
  if ((to - from) % 2 === 1) sum += bytes.readUInt8(to - 1) << 8
  return sum
}

function folded(sum: number): number {
  let rest = sum
  // 65535 bytes of payload sum to less than 2^32, so two carries are left at most.
  for (let i = 0; i < 3; i++) rest = (rest & 0xffff) + Math.floor(rest / 0x10000)
  return rest
}
