/**
 * Which page is a copy of which block on shared storage: a page that the guest read from there and has not written
 * to since. Pages and blocks are dealt out at random; the first blocks are those that the guest has read.
 */

import { Permutation } from '../support/permutation.js'
import { random } from '../support/random.js'

/** In place of the block of a page that is no copy of one. */
export const noBlock = -1

export class PageCache {
  readonly #pageOf: Uint32Array
  readonly #blockOf: Uint32Array

  constructor(totalPages: number, seed: number) {
    this.#pageOf = new Permutation(totalPages, random(seed, 0x63616368)).list()
    this.#blockOf = new Uint32Array(totalPages)
    const pages = this.#pageOf
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
