/**
 * Pagewire's protocol, version 1: frames of a 16-byte header and a payload, big-endian, on each lane's TCP
 * connection after the handshake (handshake.ts).
 *
 *    0               1               2               3
 *   +---------------+---------------+---------------+---------------+
 *   |     type      |   encoding    |         reserved (0)          |
 *   +---------------+---------------+---------------+---------------+
 *   |                        payload length                         |
 *   +---------------+---------------+---------------+---------------+
 *   |                a: page number, or see FrameType               |
 *   +---------------+---------------+---------------+---------------+
 *   |                b: version, or see FrameType                   |
 *   +---------------+---------------+---------------+---------------+
 */

export const headerBytes = 16
export const protocolVersion = 1

/** What a frame is. S: sent by the source, D: by the destination. */
export const FrameType = {
  /** S. Payload: JSON session description. First frame, on lane 0 only. */
  config: 0x01,
  /** D. The session can begin. */
  configOk: 0x02,
  /** S. a: number of the first write, from 0. Payload: for each write f64 ns of guest time, u32 page. Before config, on lane 0. */
  trace: 0x03,
  /** S. a: page number, b: version. Payload: the page in its encoding. */
  page: 0x10,
  /** S. a: sequence number. Asks for a confirmation of all pages before it on this lane. */
  flush: 0x11,
  /** D. a: sequence number of the flush (0: unasked), b: pages received on this lane so far, modulo 2^32. */
  confirm: 0x12,
  /** S. a: offset. Payload: a piece of the device state. */
  device: 0x20,
  /** S. a: device state bytes in all, b: number of lanes. Payload: pages sent on each lane, u32 each, modulo 2^32. */
  handover: 0x21,
  /** D. The guest runs here. Payload: u64 ns of the destination's clock when the device state was complete, u64 ns when it ran. */
  resumed: 0x22,
  /** S. a: first page, a multiple of 8. Payload: bitmap, page a + i in bit i & 7 of byte i >> 3: pages that will come after the handover. */
  missing: 0x23,
  /** S. Payload: f64 ns of guest time, u64 accesses: how far the guest has come. Before a handover with pages missing. */
  position: 0x24,
  /** D. a: page. The guest waits for it. */
  fault: 0x25,
  /** S. Asks how the guest fared while pages were missing. */
  report: 0x26,
  /** D. a: pages asked for, b: pages that are still missing. Payload: f64 ns that the guest waited. */
  reported: 0x27,
  /** S. a: first page. Payload: for each page u32 version, u32 CRC-32 of its bytes, as of the suspend; `noContent`, 0. */
  audit: 0x30,
  /** S. All pages were listed. */
  auditEnd: 0x31,
  /** D. a: pages that differ, b: the first of them. */
  auditResult: 0x32,
  /** From the destination to shared storage. a: block, b: version. */
  fetch: 0x44,
  /** The answer of shared storage. a: block, b: version. Payload: a page of bytes. */
  fetched: 0x45,
  /** S. a: block of the guest's disk, b: version. Payload: the block. */
  block: 0x46,
  /** S. a: place in the order of all writes since they are forwarded. Payload: u32 block, u32 version, the block. */
  delta: 0x47,
  /** S. a: first block, a multiple of 8. Payload: for each block u32 version and 16 bytes of SHA-256. */
  diskHashes: 0x48,
  /** D. a: first block. Payload: bitmap of the blocks that are not here in this form. */
  diskUnknown: 0x49,
  /** S. a: first block. Payload: for each block u32 version, u32 CRC-32 of its bytes, as of the suspend. */
  diskAudit: 0x4a,
  /** S. All blocks were listed. */
  diskAuditEnd: 0x4b,
  /** D. a: blocks that differ, b: the first of them. */
  diskAudited: 0x4c,
  /** S. Payload: reason as UTF-8. The destination forgets the guest. */
  abort: 0x40,
  /** D. Forgotten. */
  aborted: 0x41,
  /** Both. Payload: JSON { code, message, page? }. The sender has given up. */
  error: 0x42,
  /** S. The session is over; no frame follows. */
  bye: 0x43,
  /** S. The pages so far are a checkpoint. Payload: where it was taken (as `position`), f64 speed of replay, 0: any. */
  checkpoint: 0x50,
  /** S. a: number of the first record, modulo 2^32. Payload: records of the guest's inputs (event-log.ts). */
  log: 0x51,
  /** S. a: records so far, modulo 2^32, b: 1 when the guest is suspended. Payload: how far they go (as `position`). */
  logMark: 0x52,
  /** D. b: 1 when all that a suspended guest did is executed. Payload: how far the destination has come. */
  replayed: 0x53,
} as const

export type FrameTypeCode = (typeof FrameType)[keyof typeof FrameType]

const kib = 1024

/** Longest payload of each frame type, checked before anything is read. Pages have their own: the page size. */
const longestPayload = new Map<number, number>([
  [FrameType.config, 64 * kib],
  [FrameType.configOk, 0],
  [FrameType.trace, 64 * kib],
  [FrameType.flush, 0],
  [FrameType.confirm, 0],
  [FrameType.device, 64 * kib],
  [FrameType.handover, 4 * kib],
  [FrameType.resumed, 16],
  [FrameType.missing, 64 * kib],
  [FrameType.position, 16],
  [FrameType.fault, 0],
  [FrameType.report, 0],
  [FrameType.reported, 8],
  [FrameType.audit, 64 * kib],
  [FrameType.auditEnd, 0],
  [FrameType.auditResult, 0],
  [FrameType.fetch, 0],
  [FrameType.block, 32 * kib],
  [FrameType.delta, 32 * kib + 8],
  [FrameType.diskHashes, 64 * kib],
  [FrameType.diskUnknown, 8 * kib],
  [FrameType.diskAudit, 64 * kib],
  [FrameType.diskAuditEnd, 0],
  [FrameType.diskAudited, 0],
  [FrameType.abort, 4 * kib],
  [FrameType.aborted, 0],
  [FrameType.error, 16 * kib],
  [FrameType.bye, 0],
  [FrameType.checkpoint, 24],
  [FrameType.log, 64 * kib],
  [FrameType.logMark, 16],
  [FrameType.replayed, 16],
])

/** Longest payload of any frame but a page. */
export const longestMessageBytes = 64 * kib
/** Pages that one audit frame lists at most. */
export const auditPagesPerFrame = (64 * kib) / 8
/** Version in an audit of a page that the guest has returned to the hypervisor. */
export const noContent = 0xffff_ffff
/** In front of the bytes of a forwarded write. */
export const deltaHeadBytes = 8
/** Bytes of a block's hash, and of its entry in a list of them. */
export const hashBytes = 16
export const hashEntryBytes = 4 + hashBytes
/** Blocks whose hashes one frame lists at most: a multiple of 8. */
export const hashesPerFrame = 8 * Math.floor((64 * kib) / hashEntryBytes / 8)
/** Pages that one frame of missing pages covers at most. */
export const missingPagesPerFrame = 64 * kib * 8
/** Bytes of device state in one frame at most. */
export const deviceBytesPerFrame = 64 * kib

/** The longest payload that a frame of this type may have, or undefined for a type that does not exist. */
export function payloadLimit(type: number, pageBytes: number): number | undefined {
  const isPage = type === FrameType.page || type === FrameType.fetched
  return isPage ? pageBytes : longestPayload.get(type)
}

/** Writes a frame header at `at`. */
export function writeHeader(
  target: DataView,
  at: number,
  type: number,
  encoding: number,
  length: number,
  a: number,
  b: number,
): void {
  target.setUint32(at, (type << 24) | (encoding << 16))
  target.setUint32(at + 4, length)
  target.setUint32(at + 8, a)
  target.setUint32(at + 12, b)
}

/** A whole frame as one buffer, for the frames that are rare. */
export function frame(type: FrameTypeCode, a = 0, b = 0, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + payload.length)
  writeHeader(viewOf(bytes), 0, type, 0, payload.length, a, b)
  bytes.set(payload, headerBytes)
  return bytes
}

/** Big-endian numbers of a buffer without the checks and steps of Buffer's own methods. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
