/**
 * Sends frames of which only the heads were made: the kernel collects the rest of each page from the pool that it is
 * a slice of. One system call a batch, and no copy of the page in this process, which was a third of the sender's time.
 */

import type { Socket } from 'node:net'
import type { PageSlices } from '../memory/content.js'
import { assert } from '../support/assert.js'
import { lastError, libc, pointerTo, systemFailure } from './libc.js'
import { descriptorOf } from './socket-options.js'

const tryAgain = 11
/** The kernel takes this many pieces in one call (UIO_MAXIOV); a page is two. */
export const pagesPerGather = 512
/** `struct iovec` of a 64-bit machine as 32-bit words: address and length, low word first. */
const wordsPerPiece = 4
const wordsPerPage = 2 * wordsPerPiece

export class PageGather {
  readonly #socket: Socket
  /** Held because the kernel is given their addresses. */
  readonly gathered: readonly Buffer[]
  readonly #poolAddress: number
  readonly #pieces: Uint32Array
  readonly #list: Buffer

  /** `frames` holds the heads, one every `strideBytes`; `headBytes` of each go out before its slice. */
  constructor(socket: Socket, frames: Buffer, strideBytes: number, headBytes: number, slices: PageSlices) {
    const pages = Math.floor(frames.length / strideBytes)
    assert(pages <= pagesPerGather, 'a batch fits one system call')
    this.#socket = socket
    this.gathered = [frames, slices.pool]
    this.#poolAddress = Number(pointerTo(slices.pool))
    this.#list = Buffer.alloc(4 * wordsPerPage * pages)
    this.#pieces = new Uint32Array(this.#list.buffer, this.#list.byteOffset, wordsPerPage * pages)
    const framesAddress = Number(pointerTo(frames))
    for (let i = 0; i < pages; i++) {
      this.#point(wordsPerPage * i, framesAddress + i * strideBytes)
      this.#pieces[wordsPerPage * i + 2] = headBytes
      this.#pieces[wordsPerPage * i + wordsPerPiece + 2] = strideBytes - headBytes
    }
  }

  /** Frame `index` of the batch ends with the slice at `from` of the pool. */
  set(index: number, from: number): void {
    this.#point(wordsPerPage * index + wordsPerPiece, this.#poolAddress + from)
  }

  /** Sends the first `pages` frames. Returns how many bytes the kernel took; none when its buffer is full. */
  write(pages: number): number {
    const socket = this.#socket
    if (socket.destroyed) return 0
    assert(socket.writableLength === 0, 'nothing overtakes what the socket still holds')
    const taken = libc().writev(descriptorOf(socket), this.#list, 2 * pages)
    if (taken >= 0) return taken
    const error = lastError()
    if (error === tryAgain) return 0
    throw systemFailure('writev', `${socket.remoteAddress ?? 'the destination'}`, error)
  }

  /** Addresses are below 2^53: a number holds them. */
  #point(word: number, address: number): void {
    const low = address >>> 0
    this.#pieces[word] = low
    this.#pieces[word + 1] = (address - low) / 2 ** 32
  }
}
