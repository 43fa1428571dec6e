/** The most recently accessed pages: a splay tree finds a page, a list from newest to oldest says which to drop. */

import { PageSet } from '../memory/page-set.js'

const nil = -1

export class RecentPages {
  /** The pages in the tree, for those who only ask for membership. */
  readonly pages: PageSet
  readonly #capacity: number
  /** A node a slot; a slot is taken again when its page is dropped. */
  readonly #page: Int32Array
  readonly #left: Int32Array
  readonly #right: Int32Array
  readonly #newer: Int32Array
  readonly #older: Int32Array
  #root = nil
  #newest = nil
  #oldest = nil
  #used = 0

  constructor(totalPages: number, capacity: number) {
    this.pages = new PageSet(totalPages)
    this.#capacity = capacity
    const links = (): Int32Array => new Int32Array(capacity + 1).fill(nil)
    this.#page = links()
    this.#left = links()
    this.#right = links()
    this.#newer = links()
    this.#older = links()
  }

  get count(): number {
    return this.pages.count
  }

  accessAll(sequence: Uint32Array): void {
    for (let i = 0; i < sequence.length; i++) this.access(sequence[i]!)
  }

  /** A page in the tree moves to its root and to the head of the list; another enters, and the oldest may leave. */
  access(page: number): void {
    this.#splay(page)
    const root = this.#root
    if (root !== nil && this.#page[root] === page) {
      this.#unlink(root)
      this.#linkNewest(root)
      return
    }
    const slot = this.#used < this.#capacity ? this.#used++ : this.#dropOldest()
    this.#insertAtRoot(slot, page)
    this.#linkNewest(slot)
    this.pages.add(page)
  }

  /** From the most to the least recently accessed. */
  newestFirst(): number[] {
    const list: number[] = []
    for (let slot = this.#newest; slot !== nil; slot = this.#older[slot]!) list.push(this.#page[slot]!)
    return list
  }

  /** The pages of the tree in ascending order, from its links. */
  inOrder(): number[] {
    const list: number[] = []
    const stack: number[] = []
    for (let slot = this.#root; slot !== nil || stack.length > 0; ) {
      if (slot !== nil) {
        stack.push(slot)
        slot = this.#left[slot]!
      } else {
        const top = stack.pop()!
        list.push(this.#page[top]!)
        slot = this.#right[top]!
      }
    }
    return list
  }

  #dropOldest(): number {
    const slot = this.#oldest
    const page = this.#page[slot]!
    this.#unlink(slot)
    this.#splay(page)
    this.#removeRoot()
    this.pages.delete(page)
    return slot
  }

  #insertAtRoot(slot: number, page: number): void {
    this.#splay(page)
    const root = this.#root
    this.#page[slot] = page
    this.#left[slot] = nil
    this.#right[slot] = nil
    if (root !== nil) {
      if (page < this.#page[root]!) {
        this.#left[slot] = this.#left[root]!
        this.#right[slot] = root
        this.#left[root] = nil
      } else {
        this.#right[slot] = this.#right[root]!
        this.#left[slot] = root
        this.#right[root] = nil
      }
    }
    this.#root = slot
  }

  #removeRoot(): void {
    const root = this.#root
    const left = this.#left[root]!
    const right = this.#right[root]!
    if (left === nil) {
      this.#root = right
      return
    }
    this.#root = left
    // Brings the largest page of the left part up, which then has no right child.
    this.#splay(this.#page[root]!)
    this.#right[this.#root] = right
  }

  /** Top-down splaying (Sleator & Tarjan, JACM 1985, section 4): the page, or its last neighbour, becomes the root. */
  #splay(page: number): void {
    if (this.#root === nil) return
    const pages = this.#page
    const left = this.#left
    const right = this.#right
    // The spare slot heads the two side trees: its right link the smaller pages, its left link the larger.
    const header = this.#capacity
    left[header] = nil
    right[header] = nil
    let smaller = header
    let larger = header
    let at = this.#root
    for (;;) {
      if (page < pages[at]!) {
        let child = left[at]!
        if (child !== nil && page < pages[child]!) {
          left[at] = right[child]!
          right[child] = at
          at = child
          child = left[at]!
        }
        if (child === nil) break
        left[larger] = at
        larger = at
        at = child
      } else if (page > pages[at]!) {
        let child = right[at]!
        if (child !== nil && page > pages[child]!) {
          right[at] = left[child]!
          left[child] = at
          at = child
          child = right[at]!
        }
        if (child === nil) break
        right[smaller] = at
        smaller = at
        at = child
      } else break
    }
    right[smaller] = left[at]!
    left[larger] = right[at]!
    left[at] = right[header]!
    right[at] = left[header]!
    this.#root = at
  }

  #linkNewest(slot: number): void {
    this.#newer[slot] = nil
    this.#older[slot] = this.#newest
    if (this.#newest !== nil) this.#newer[this.#newest] = slot
    this.#newest = slot
    if (this.#oldest === nil) this.#oldest = slot
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot]!
    const older = this.#older[slot]!
    if (newer === nil) this.#newest = older
    else this.#older[newer] = older
    if (older === nil) this.#oldest = newer
    else this.#newer[older] = newer
  }
}
