/**
 * Records of a guest's inputs, and how far it had come: payloads of the frames `log`, `logMark` and `replayed`. A record
 * is u64 accesses, u32 length and the input, big-endian. The peer's bytes are hostile: lengths are checked.
 */

import { viewOf } from './frame.js'
import { protocolError } from './frame-reader.js'

export interface LogRecord {
  /** Accesses that the guest had done when it took the input. */
  readonly accesses: number
  readonly payload: Uint8Array
}

export const recordHeaderBytes = 12
export const positionBytes = 16
/** More than any guest does in a day. */
const accessesAtMost = 1e12

export function recordBytes({ payload }: LogRecord): number {
  return recordHeaderBytes + payload.length
}

export function encodeRecords(records: readonly LogRecord[]): Buffer {
  const bytes = Buffer.alloc(records.reduce((sum, record) => sum + recordBytes(record), 0))
  let at = 0
  for (const { accesses, payload } of records) {
    bytes.writeBigUInt64BE(BigInt(accesses), at)
    bytes.writeUInt32BE(payload.length, at + 8)
    bytes.set(payload, at + recordHeaderBytes)
    at += recordHeaderBytes + payload.length
  }
  return bytes
}

/** Throws when a record is cut off or goes back behind the one before it. */
export function decodeRecords(bytes: Buffer): readonly LogRecord[] {
  const records: LogRecord[] = []
  const view = viewOf(bytes)
  let before = 0
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < recordHeaderBytes) throw protocolError('a log record is cut off')
    const accesses = Number(view.getBigUint64(at))
    const length = view.getUint32(at + 8)
    at += recordHeaderBytes
    if (length > bytes.length - at) throw protocolError(`a log record says ${length} bytes and is cut off`)
    if (accesses < before || accesses > accessesAtMost) throw protocolError('log records are out of order')
    before = accesses
    records.push({ accesses, payload: Uint8Array.from(bytes.subarray(at, at + length)) })
    at += length
  }
  return records
}

export interface LogPosition {
  readonly guestNs: number
  readonly accesses: number
}

export function encodePosition({ guestNs, accesses }: LogPosition): Buffer {
  const bytes = Buffer.alloc(positionBytes)
  bytes.writeDoubleBE(guestNs, 0)
  bytes.writeBigUInt64BE(BigInt(accesses), 8)
  return bytes
}

export function decodePosition(bytes: Buffer): LogPosition {
  if (bytes.length !== positionBytes) throw protocolError(`a position has ${positionBytes} bytes`)
  const guestNs = bytes.readDoubleBE(0)
  const accesses = Number(bytes.readBigUInt64BE(8))
  if (!(guestNs >= 0) || accesses > accessesAtMost) throw protocolError('a guest cannot have come so far')
  return { guestNs, accesses }
}
