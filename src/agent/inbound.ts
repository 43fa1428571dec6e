/**
 * The receiving half of a lane: exactly the bytes of the handshake first, frames afterwards. The socket reads into
 * the space that this object offers, so that nothing beyond the handshake is read before the peer has proved itself.
 */

import type { OnReadOpts } from 'node:net'
import { assert } from '../support/assert.js'
import type { FrameReader } from '../wire/frame-reader.js'

/** What a side that has given up still reads, so that its last words are not lost to a reset, goes here. */
const discarded = Buffer.alloc(2 ** 16)

/** Handles one handshake message and says what comes next: so many bytes more, or frames. */
export type HandshakeStep = (bytes: Buffer) => Expectation
export type Expectation =
  | { readonly exactly: number; readonly step: HandshakeStep }
  | { readonly frames: FrameReader }

export class Inbound {
  #expectation: Expectation
  #exact: Buffer
  #filled = 0
  readonly #failed: (error: unknown) => void
  #discarding = false

  /** `failed` is told of whatever a step or the frame reader throws; what comes afterwards is thrown away. */
  constructor(first: Expectation, failed: (error: unknown) => void) {
    this.#expectation = first
    this.#exact = bufferFor(first)
    this.#failed = failed
  }

  /** True when the stream may end here without cutting a message. */
  get atBoundary(): boolean {
    return 'frames' in this.#expectation ? this.#expectation.frames.atBoundary : this.#filled === 0
  }

  readonly onread: OnReadOpts = {
    buffer: () => this.#space(),
    callback: (bytes) => {
      if (this.#discarding) return true
      try {
        this.#received(bytes)
      } catch (error) {
        this.discard()
        this.#failed(error)
      }
      return true
    },
  }

  /** From now on everything that arrives is thrown away. */
  discard(): void {
    this.#discarding = true
  }

  #space(): Buffer {
    if (this.#discarding) return discarded
    return 'frames' in this.#expectation
      ? this.#expectation.frames.space()
      : this.#exact.subarray(this.#filled)
  }

  #received(bytes: number): void {
    const expectation = this.#expectation
    if ('frames' in expectation) {
      expectation.frames.received(bytes)
      return
    }
    this.#filled += bytes
    assert(this.#filled <= expectation.exactly, 'a handshake message is not read past its end')
    if (this.#filled < expectation.exactly) return
    this.#filled = 0
    this.#expectation = expectation.step(this.#exact)
    this.#exact = bufferFor(this.#expectation)
  }
}

function bufferFor(expectation: Expectation): Buffer {
  return Buffer.alloc('frames' in expectation ? 0 : expectation.exactly)
}
