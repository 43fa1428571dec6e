/** The destination in virtual time: which pages arrived, and in which version. */

import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
import { PageVersions } from '../memory/page-versions.js'
import { assert } from '../support/assert.js'

export class Destination {
  readonly #here: PageSet
  readonly #versions: PageVersions

  constructor(totalPages: number) {
    this.#here = new PageSet(totalPages)
    this.#versions = new PageVersions(totalPages)
  }

  /** A page is here, in whatever version. */
  has(page: number): boolean {
    return this.#here.has(page)
  }

  /** Forgets what is here of these pages. */
  discard(pages: ReadonlyPageSet): void {
    this.#here.deleteAll(pages)
  }

  /** Pages batch[from..to) arrive in these versions of theirs. An older version than the one here is a broken promise. */
  receive(batch: Uint32Array, from: number, to: number, versions: PageVersions, sent: PageSet): void {
    assert(
      this.#versions.follow(versions, batch, from, to),
      'no page arrives with an older version than the one applied',
    )
    // After the first round every page is.
    if (this.#here.count < this.#here.capacity) this.#here.addList(batch, from, to)
    sent.addList(batch, from, to)
  }

  /** A page arrives that was fetched from shared storage. */
  fetched(page: number, version: number): void {
    if (!this.#here.has(page) || version > this.#versions.of(page)) this.#versions.set(page, version)
    this.#here.add(page)
  }

  /** The guest was executed here up to these versions. */
  execute(versions: PageVersions): void {
    for (let page = 0; page < versions.length; page++) this.#versions.set(page, versions.of(page))
    this.#here.addAll(PageSet.full(versions.length))
  }

  /** Pages that did not arrive in these versions, but for those that have no content. */
  differing(versions: PageVersions, without: ReadonlyPageSet): number {
    let differing = 0
    for (let page = 0; page < versions.length; page++) {
      const isHere = this.#here.has(page) && this.#versions.of(page) === versions.of(page)
      if (!isHere && !without.has(page)) differing++
    }
    return differing
  }
}
