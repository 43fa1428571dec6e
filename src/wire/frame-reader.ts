/**
 * Cuts a lane's byte stream into frames, in an arena that the socket reads into: pages are handed on in place,
 * and only the bytes of an incomplete frame are moved. The peer's bytes are hostile: a length is checked before
 * it is waited for.
 */

import { failure, type PagewireError } from '../support/errors.js'
import { FrameType, headerBytes, longestMessageBytes, payloadLimit } from './frame.js'

export interface FrameHandler {
  page(encoding: number, page: number, version: number, bytes: Buffer, at: number, length: number): void
  /** Every other frame. `payload` is valid until the call returns. */
  message(type: number, a: number, b: number, payload: Buffer): void
}

/**
 * Small enough that what the kernel copied in is still in the processor's second-level cache when it is compared;
 * a 1 MiB arena made the receiver a third slower.
 */
const arenaBytes = 2 ** 18

export class FrameReader {
  readonly #handler: FrameHandler
  #arena: Buffer
  #pageBytes: number
  /** Bytes at the start of the arena that belong to an incomplete frame. */
  #kept = 0

  constructor(handler: FrameHandler, pageBytes: number) {
    this.#handler = handler
    this.#pageBytes = pageBytes
    this.#arena = Buffer.allocUnsafe(arenaFor(pageBytes))
  }

  /** Where the socket may put the next bytes. */
  space(): Buffer {
    return this.#arena.subarray(this.#kept)
  }

  /** Page size of the session, once it is known. */
  setPageBytes(pageBytes: number): void {
    this.#pageBytes = pageBytes
    if (this.#arena.length >= arenaFor(pageBytes)) return
    const larger = Buffer.allocUnsafe(arenaFor(pageBytes))
    this.#arena.copy(larger, 0, 0, this.#kept)
    this.#arena = larger
  }

  /** True when the stream may end here without cutting a frame. */
  get atBoundary(): boolean {
    return this.#kept === 0
  }

  /** `bytes` bytes have arrived in `space()`. Hands on every complete frame. Throws on a frame that cannot be. */
  received(bytes: number): void {
    const arena = this.#arena
    const end = this.#kept + bytes
    let at = 0
    while (end - at >= headerBytes) {
      const type = arena[at]!
      const length = arena.readUInt32BE(at + 4)
      this.#check(type, arena.readUInt16BE(at + 2), length)
      const next = at + headerBytes + length
      if (next > end) break
      const a = arena.readUInt32BE(at + 8)
      const b = arena.readUInt32BE(at + 12)
      if (type === FrameType.page) this.#handler.page(arena[at + 1]!, a, b, arena, at + headerBytes, length)
      else this.#handler.message(type, a, b, arena.subarray(at + headerBytes, next))
      at = next
    }
    this.#kept = end - at
    // A message may have set the page size, and with it a larger arena.
    if (this.#kept > 0 && (at > 0 || this.#arena !== arena)) arena.copy(this.#arena, 0, at, end)
  }

  #check(type: number, reserved: number, length: number): void {
    const limit = payloadLimit(type, this.#pageBytes)
    if (limit === undefined) throw protocolError(`frame type ${type} does not exist`)
    if (reserved !== 0) throw protocolError(`reserved bits of a frame are ${reserved}, not 0`)
    if (length > limit)
      throw protocolError(`a frame of type ${type} says ${length} bytes; ${limit} is the limit`)
  }
}

/** The arena holds the longest frame twice at least, so that there is always room to read into. */
function arenaFor(pageBytes: number): number {
  return Math.max(arenaBytes, 2 * (headerBytes + Math.max(pageBytes, longestMessageBytes)))
}

/** The peer sent something that the protocol does not allow. */
export function protocolError(message: string): PagewireError {
  return failure(message, { code: 'protocol', next: 'Both agents must be of the same Pagewire version.' })
}
