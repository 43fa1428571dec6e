/**
 * Which page is a copy of which block on shared storage: a page that the guest read from there and has not written
 * to since. Pages and blocks are dealt out at random; the first blocks are those that the guest has read.
 */

import { random } from '../support/random.js'

/** In place of the block of a page that is no copy of one. */
export const noBlock = -1

export class PageCache {
  readonly #pageOf: Uint32Array
  readonly #blockOf: Uint32Array

  constructor(totalPages: number, seed: number) {
    this.#pageOf = Uint32Array.from({ length: totalPages }, (_, page) => page)
    this.#blockOf = new Uint32Array(totalPages)
    const numbers = random(seed, 0x63616368)
    const pages = this.#pageOf
    for (let i = totalPages - 1; i > 0; i--) {
      const j = numbers.below(i + 1)
      const page = pages[i]!
      pages[i] = pages[j]!
      pages[j] = page
    }
    for (let block = 0; block < totalPages; block++) this.#blockOf[pages[block]!] = block
  }

  /** The page whose first version has the bytes of this block. */
  pageOf(block: number): number {
    return this.#pageOf[block]!
  }

  blockOf(page: number): number {
    return this.#blockOf[page]!
  }

  /** The block that this version of the page is a copy of, where the guest has read a share of memory from storage. */
  mapped(page: number, version: number, share: number): number {
    const block = this.#blockOf[page]!
    return version === 0 && block < Math.round(share * this.#pageOf.length) ? block : noBlock
  }
}
