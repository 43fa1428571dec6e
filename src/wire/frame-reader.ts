/**
 * Cuts a lane's byte stream into frames, in an arena that the socket reads into: pages are handed on in place,
 * and only the bytes of an incomplete frame are moved. The peer's bytes are hostile: a length is checked before
 * it is waited for.
 */

import { failure, type PagewireError } from '../support/errors.js'
import { FrameType, headerBytes, longestMessageBytes, payloadLimit, viewOf } from './frame.js'

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
  #view: DataView
  #pageBytes: number
  /** Bytes at the start of the arena that belong to an incomplete frame. */
  #kept = 0

  constructor(handler: FrameHandler, pageBytes: number) {
    this.#handler = handler
    this.#pageBytes = pageBytes
    this.#arena = Buffer.allocUnsafe(arenaFor(pageBytes))
    this.#view = viewOf(this.#arena)
  }

  /** Where the socket may put the next bytes. Asked for again after each `received`, and not before. */
  space(): Buffer {
    if (this.#arena.length < arenaFor(this.#pageBytes)) this.#grow()
    return this.#arena.subarray(this.#kept)
  }

  /** Page size of the session, once it is known. What the socket is reading into at this moment stays valid. */
  setPageBytes(pageBytes: number): void {
    this.#pageBytes = pageBytes
  }

  /** True when the stream may end here without cutting a frame. */
  get atBoundary(): boolean {
    return this.#kept === 0
  }

  /** `bytes` bytes have arrived in `space()`. Hands on every complete frame. Throws on a frame that cannot be. */
  received(bytes: number): void {
    const arena = this.#arena
    const view = this.#view
    const end = this.#kept + bytes
    let at = 0
    while (end - at >= headerBytes) {
      const type = arena[at]!
      const length = view.getUint32(at + 4)
      this.#check(type, view.getUint32(at) & 0xff_ffff, length)
      const next = at + headerBytes + length
      if (next > end) break
      const a = view.getUint32(at + 8)
      const b = view.getUint32(at + 12)
      if (type === FrameType.page) this.#handler.page(arena[at + 1]!, a, b, arena, at + headerBytes, length)
      else this.#handler.message(type, a, b, arena.subarray(at + headerBytes, next))
      at = next
    }
    this.#kept = end - at
    if (at > 0 && this.#kept > 0) arena.copyWithin(0, at, end)
  }

  #grow(): void {
    const larger = Buffer.allocUnsafe(arenaFor(this.#pageBytes))
    this.#arena.copy(larger, 0, 0, this.#kept)
    this.#arena = larger
    this.#view = viewOf(larger)
  }

  /** `rest`: the three bytes after the type, of which a page uses the first. */
  #check(type: number, rest: number, length: number): void {
    const limit = payloadLimit(type, this.#pageBytes)
    if (limit === undefined) throw protocolError(`frame type ${type} does not exist`)
    const reserved = type === FrameType.page ? rest & 0xffff : rest
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
