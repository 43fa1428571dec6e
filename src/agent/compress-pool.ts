/**
 * Compresses pages in threads. What comes out depends on the pages alone, never on how many threads there are: until
 * the threads have started the caller does the work itself, and nobody waits for them.
 */

import { Piscina } from 'piscina'
import type { ContentSpec } from '../memory/content.js'
import type { PageEncoder } from '../memory/encoding.js'
import { assert } from '../support/assert.js'
import type { Compressed, CompressTask } from './compress-worker.js'

/** Pages as they were when the threads got them: the encoder gives their payloads in that order. */
export interface Prepared {
  readonly versions: Uint32Array
  readonly encoder: PageEncoder
}

/** As many as a scheme may ask for. */
const threadsMax = 64
/** Pages that a thread compresses before it counts as started: the first ones take many times as long as the others. */
const firstPages = 128

export class CompressPool {
  readonly #guest: Omit<CompressTask, 'pages' | 'versions'>
  #pool: Piscina<CompressTask, Compressed> | undefined
  #started: Promise<void> | undefined
  #ready = false
  #error: unknown

  constructor(content: ContentSpec, pageBytes: number, seed: number) {
    this.#guest = { content, pageBytes, seed }
  }

  /** Starts the threads. Resolves when they can work, or when they never will: `encode` then says why. */
  start(threads: number): Promise<void> {
    this.#started ??= this.#begin(threads)
    return this.#started
  }

  /** The pages in these versions, by so many threads at once; undefined while the threads are still starting. */
  async encode(pages: Uint32Array, versions: Uint32Array, threads: number): Promise<Prepared | undefined> {
    if (this.#error !== undefined) throw this.#error
    if (!this.#ready || this.#pool === undefined) {
      void this.start(threads)
      return undefined
    }
    const pool = this.#pool
    const parts = Math.min(threads, pages.length)
    const cut = (part: number): number => Math.floor((part * pages.length) / parts)
    const compressed = await Promise.all(
      Array.from({ length: parts }, (_, i) =>
        pool.run({
          ...this.#guest,
          pages: pages.slice(cut(i), cut(i + 1)),
          versions: versions.slice(cut(i), cut(i + 1)),
        }),
      ),
    )
    return { versions, encoder: new Replay(compressed) }
  }

  async end(): Promise<void> {
    await this.#pool?.destroy()
  }

  async #begin(threads: number): Promise<void> {
    this.#pool = new Piscina({
      filename: new URL('../agent/compress-worker.js', import.meta.url).href,
      name: 'compressPages',
      minThreads: threads,
      maxThreads: threadsMax,
      idleTimeout: 60_000,
    })
    const pool = this.#pool
    try {
      const pages = Uint32Array.from({ length: firstPages }, (_, page) => page)
      const first = { ...this.#guest, pages, versions: new Uint32Array(firstPages) }
      await Promise.all(Array.from({ length: threads }, () => pool.run(first)))
      this.#ready = true
    } catch (error) {
      // A pool that is destroyed while it starts was not wanted any more.
      this.#error = error
    }
  }
}

/** Hands out what was compressed, page by page. */
class Replay implements PageEncoder {
  readonly #parts: readonly Compressed[]
  #part = 0
  #page = 0
  #at = 0
  code = 0

  constructor(parts: readonly Compressed[]) {
    this.#parts = parts
  }

  encode(_page: number, _version: number, target: Uint8Array, at: number): number {
    while (this.#page === this.#parts[this.#part]?.lengths.length) {
      this.#part++
      this.#page = 0
      this.#at = 0
    }
    const part = this.#parts[this.#part]
    assert(part !== undefined, 'every page was compressed')
    const length = part.lengths[this.#page]!
    this.code = part.codes[this.#page]!
    target.set(part.bytes.subarray(this.#at, this.#at + length), at)
    this.#page++
    this.#at += length
    return length
  }
}
