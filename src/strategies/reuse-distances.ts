/** Exact reuse distances of a sequence of writes: a Fenwick tree counts the last writes of the pages in between. */

export class ReuseDistances {
  readonly #slots: number
  readonly #tree: Int32Array
  /** Place of each page's last write in the order of writes, from 1; 0: none. */
  readonly #placeOf: Int32Array
  readonly #pageAt: Int32Array
  #next = 1

  constructor(totalPages: number) {
    this.#slots = 2 * totalPages + 1
    this.#tree = new Int32Array(this.#slots + 1)
    this.#placeOf = new Int32Array(totalPages)
    this.#pageAt = new Int32Array(this.#slots + 1).fill(-1)
  }

  /** Different pages written since the last write of this page; undefined at its first. */
  write(page: number): number | undefined {
    if (this.#next > this.#slots) this.#renumber()
    const before = this.#placeOf[page]!
    let distance: number | undefined
    if (before !== 0) {
      distance = this.#sum(this.#next - 1) - this.#sum(before)
      this.#add(before, -1)
      this.#pageAt[before] = -1
    }
    this.#placeOf[page] = this.#next
    this.#pageAt[this.#next] = page
    this.#add(this.#next, 1)
    this.#next++
    return distance
  }

  /** Moves the last writes together, order kept, so that there is room for as many again. */
  #renumber(): void {
    const pages = this.#pageAt.filter((page) => page >= 0)
    this.#tree.fill(0)
    this.#pageAt.fill(-1)
    this.#next = 1
    for (const page of pages) {
      this.#placeOf[page] = this.#next
      this.#pageAt[this.#next] = page
      this.#add(this.#next, 1)
      this.#next++
    }
  }

  #add(place: number, value: number): void {
    for (let i = place; i <= this.#slots; i += i & -i) this.#tree[i]! += value
  }

  #sum(place: number): number {
    let sum = 0
    for (let i = place; i > 0; i -= i & -i) sum += this.#tree[i]!
    return sum
  }
}
