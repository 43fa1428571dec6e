/** The part of a capture that is in memory: bytes with a cursor. Readers move the cursor, the file reader refills it. */

/** Bytes kept free in front of each chunk, so that the unread rest of the chunk before fits without a new buffer. */
export const headroomBytes = 512 * 1024

export class Window {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(this.bytes.buffer)
  /** First unread byte, and the byte after the last one, as indices of `bytes`. */
  position = 0
  limit = 0
  /** Offset in the file of `bytes[0]`; may be negative because of the headroom. */
  fileOffset = 0

  /** Unread bytes. */
  get rest(): number {
    return this.limit - this.position
  }

  /** Offset in the (decompressed) file of the cursor. */
  get offset(): number {
    return this.fileOffset + this.position
  }

  /**
   * Continues with a chunk that sits at `bytes[start..end)`. The unread rest is put in front of it; if the space
   * before `start` is too small for that, both are copied to a larger buffer.
   */
  continueWith(bytes: Uint8Array, start: number, end: number): void {
    const rest = this.rest
    const offset = this.offset
    if (rest <= start) {
      bytes.set(this.bytes.subarray(this.position, this.limit), start - rest)
      this.adopt(bytes, start - rest, end)
    } else {
      const joined = new Uint8Array(rest + end - start)
      joined.set(this.bytes.subarray(this.position, this.limit))
      joined.set(bytes.subarray(start, end), rest)
      this.adopt(joined, 0, joined.length)
    }
    this.fileOffset = offset - this.position
  }

  private adopt(bytes: Uint8Array, position: number, limit: number): void {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.position = position
    this.limit = limit
  }
}
