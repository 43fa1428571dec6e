/**
 * What makes a frame the same frame at two capture points: everything a switch or router leaves alone. Tags, DS
 * field, TTL, header checksums and MAC addresses may change on the way and are left out; IP identification,
 * addresses, ports, TCP numbers and options and the first payload bytes stay.
 */

import type { Frame } from '../capture/frame.js'

/** Two independent 32-bit hashes: among a million frames two different ones agree with a chance of 2^-25. */
export class Identity {
  low = 0
  high = 0
}

/** Bytes of link header that a frame may have at most more at one point than at the other: two tags. */
const tagRoomBytes = 8
const ethernetBytes = 14
const usefulBytes = 96

/** How many bytes from the network header on may be compared, for captures of these snaplens (0 = whole frames). */
export function comparableBytes(snapLengths: readonly number[]): number {
  const limited = snapLengths.filter((length) => length > 0)
  return Math.max(0, Math.min(usefulBytes, ...limited.map((length) => length - ethernetBytes - tagRoomBytes)))
}

/** Computes the identity of `frame` from at most `comparable` bytes of its network layer. */
export function identify(frame: Frame, comparable: number, identity: Identity): void {
  if (frame.ipVersion === 4) identifyIpv4(frame, comparable, identity)
  else identifyWhole(frame, comparable, identity)
}

function identifyIpv4(frame: Frame, comparable: number, identity: Identity): void {
  const view = frame.view
  const network = frame.network
  const end = Math.min(frame.end, network + comparable, network + view.getUint16(network + 2))
  let low = (0x2545f491 ^ view.getInt32(network + 12)) | 0
  let high = (0x3c6ef372 ^ view.getInt32(network + 16)) | 0
  // Length and identification; fragment offset and protocol.
  low = mixLow(low, (view.getUint16(network + 2) << 16) | frame.ipId)
  high = mixHigh(high, (view.getUint16(network + 6) << 16) | frame.protocol)
  low = mixLow(low, view.getInt32(network + 16))
  high = mixHigh(high, view.getInt32(network + 12))
  let at = frame.transport === -1 ? network + 20 : frame.transport
  if (frame.protocol === 6 && at + 20 <= end) {
    low = mixLow(low, view.getInt32(at))
    high = mixHigh(high, view.getInt32(at + 4))
    low = mixLow(low, view.getInt32(at + 8))
    high = mixHigh(high, view.getInt32(at + 12))
    at += 20 // past checksum and urgent pointer: offloads leave the checksum unfinished at the sender
  } else if (frame.protocol === 17 && at + 8 <= end) {
    low = mixLow(low, view.getInt32(at))
    at += 8
  }
  rest(view, at, end, low, high, identity)
}

function identifyWhole(frame: Frame, comparable: number, identity: Identity): void {
  let at = frame.network === -1 ? frame.start : frame.network
  const end = Math.min(frame.end, at + comparable)
  let low = (0x2545f491 ^ frame.etherType) | 0
  if (frame.ipVersion === 6) {
    low = mixLow(low, frame.view.getInt32(at + 4) & ~0xff)
    at += 8
  }
  rest(frame.view, at, end, low, 0x3c6ef372, identity)
}

function rest(
  view: DataView,
  from: number,
  end: number,
  low: number,
  high: number,
  identity: Identity,
): void {
  let at = from
  for (; at + 8 <= end; at += 8) {
    low = mixLow(low, view.getInt32(at))
    high = mixHigh(high, view.getInt32(at + 4))
  }
  for (; at < end; at++) low = mixLow(low, view.getUint8(at))
  low = mixLow(low, high)
  high = mixHigh(high, low)
  identity.low = low ^ (low >>> 15)
  identity.high = high ^ (high >>> 13)
}

function mixLow(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x85ebca6b)
  return (h ^ (h >>> 15)) | 0
}

function mixHigh(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0xc2b2ae35)
  return (h ^ (h >>> 13)) | 0
}
