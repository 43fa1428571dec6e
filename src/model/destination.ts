/** The destination in virtual time: one version number for each page that arrived. */

import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import { assert } from '../support/assert.js'

export class Destination {
  /** Version of each page plus 1; 0 where none arrived. */
  readonly #arrived: Uint32Array

  constructor(totalPages: number) {
    this.#arrived = new Uint32Array(totalPages)
  }

  /** A page is here, in whatever version. */
  has(page: number): boolean {
    return this.#arrived[page] !== 0
  }

  /** Forgets what is here of these pages. */
  discard(pages: ReadonlyPageSet): void {
    for (let page = pages.next(0); page !== -1; page = pages.next(page + 1)) this.#arrived[page] = 0
  }

  /** Pages batch[from..to) arrive in these versions of theirs. An older version than the one here is a broken promise. */
  receive(batch: Uint32Array, from: number, to: number, versions: Uint32Array, sent: PageSet): void {
    const arrived = this.#arrived
    for (let i = from; i < to; i++) {
      const page = batch[i]!
      const version = (versions[page]! + 1) >>> 0
      assert(version >= arrived[page]!, 'no page arrives with an older version than the one applied')
      arrived[page] = version
    }
    sent.addList(batch, from, to)
  }

  /** A page arrives that was fetched from shared storage. */
  fetched(page: number, version: number): void {
    this.#arrived[page] = Math.max(this.#arrived[page]!, version + 1)
  }

  /** The guest was executed here up to these versions. */
  execute(versions: Uint32Array): void {
    for (let page = 0; page < versions.length; page++) this.#arrived[page] = versions[page]! + 1
  }

  /** Pages that did not arrive in these versions, but for those that have no content. */
  differing(versions: Uint32Array, without: ReadonlyPageSet): number {
    let differing = 0
    for (let page = 0; page < versions.length; page++) {
      if (this.#arrived[page] !== versions[page]! + 1 && !without.has(page)) differing++
    }
    return differing
  }
}
