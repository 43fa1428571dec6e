/** Writes in the order in which they happened: which block, and its version afterwards. */

export class WriteLog {
  length = 0
  /** Version by place in the log. Grows: ask for it anew each time. */
  versions = new Uint32Array(1024)
  #blocks = new Uint32Array(1024)

  add(block: number, version: number): void {
    if (this.length === this.versions.length) {
      this.versions = doubled(this.versions)
      this.#blocks = doubled(this.#blocks)
    }
    this.versions[this.length] = version
    this.#blocks[this.length++] = block
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
