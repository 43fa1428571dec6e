/**
 * A version number for each page, counted up by writes (modulo 2^32). Writes fall all over memory and most pages see few
 * of them: one byte a page keeps those of a large guest in a processor's cache, and what does not fit is kept apart.
 */

import { assert } from '../support/assert.js'

/** What each page, or whatever has a number, is sent in. */
export interface Versions {
  of(page: number): number
}

export class PageVersions implements Versions {
  readonly length: number
  /** The lowest eight bits of each version. */
  readonly #low: Uint8Array
  /** The others, once a page has some. */
  #high: Uint32Array | undefined

  constructor(length: number) {
    this.length = length
    this.#low = new Uint8Array(length)
  }

  of(page: number): number {
    const low = this.#low[page]!
    return this.#high === undefined ? low : this.#high[page]! * 256 + low
  }

  set(page: number, version: number): void {
    this.#low[page] = version
    if (version > 255) this.#highs()[page] = version >>> 8
    else if (this.#high !== undefined) this.#high[page] = 0
  }

  countUp(page: number): void {
    const next = this.#low[page]! + 1
    this.#low[page] = next
    if (next === 256) this.#carry(page)
  }

  /** Counts up pages[from..end), repeated ones each time. */
  countUpAll(pages: Uint32Array, from: number, end: number): void {
    const low = this.#low
    for (let i = from; i < end; i++) {
      const page = pages[i]!
      const next = low[page]! + 1
      low[page] = next
      if (next === 256) this.#carry(page)
    }
  }

  /** Takes the versions of pages[from..end) over from another list. False when one of them was newer here. */
  follow(other: PageVersions, pages: Uint32Array, from: number, end: number): boolean {
    const mine = this.#low
    const theirs = other.#low
    let ahead = 0
    if (this.#high === undefined && other.#high === undefined) {
      for (let i = from; i < end; i++) {
        const page = pages[i]!
        const version = theirs[page]!
        if (version < mine[page]!) ahead++
        mine[page] = version
      }
      return ahead === 0
    }
    for (let i = from; i < end; i++) {
      const page = pages[i]!
      const version = other.of(page)
      if (version < this.of(page)) ahead++
      this.set(page, version)
    }
    return ahead === 0
  }

  clone(): PageVersions {
    const copy = new PageVersions(this.length)
    copy.#low.set(this.#low)
    copy.#high = this.#high?.slice()
    return copy
  }

  /** All of them, page by page. */
  list(): Uint32Array {
    return Uint32Array.from({ length: this.length }, (_, page) => this.of(page))
  }

  setAll(versions: Uint32Array): void {
    assert(versions.length === this.length, 'a list of versions has one for each page')
    for (let page = 0; page < versions.length; page++) this.set(page, versions[page]!)
  }

  #carry(page: number): void {
    const high = this.#highs()
    high[page] = (high[page]! + 1) & 0xff_ffff
  }

  #highs(): Uint32Array {
    this.#high ??= new Uint32Array(this.length)
    return this.#high
  }
}
