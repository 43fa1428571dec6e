/** Writes in the order in which they happened: which block, and its version afterwards. */

import type { Versions } from '../memory/page-versions.js'

export class WriteLog implements Versions {
  length = 0
  #versions = new Uint32Array(1024)
  #blocks = new Uint32Array(1024)

  add(block: number, version: number): void {
    if (this.length === this.#versions.length) {
      this.#versions = doubled(this.#versions)
      this.#blocks = doubled(this.#blocks)
    }
    this.#versions[this.length] = version
    this.#blocks[this.length++] = block
  }

  /** Version of the block after the write at this place of the log. */
  of(place: number): number {
    return this.#versions[place]!
  }

  blockOf(place: number): number {
    return this.#blocks[place]!
  }
}

function doubled(numbers: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * numbers.length)
  larger.set(numbers)
  return larger
}
