/**
 * A guest's memory as one version number a page, and the hypervisor's dirty log over it. The bytes of a page are
 * not stored: `content.ts` makes them from page and version when they are sent or checked, so that a 64 GiB
 * guest needs 18 MiB here as long as its writes are spread.
 */

import { PageSet, type ReadonlyPageSet } from './page-set.js'
import { PageVersions } from './page-versions.js'

export class GuestMemory {
  readonly totalPages: number
  readonly pageBytes: number
  /** Version of each page, 0 at the start; a write adds 1. */
  readonly versions: PageVersions
  readonly #dirty: PageSet
  readonly #ballooned: PageSet
  #writes = 0

  constructor(totalPages: number, pageBytes: number) {
    this.totalPages = totalPages
    this.pageBytes = pageBytes
    this.versions = new PageVersions(totalPages)
    this.#dirty = new PageSet(totalPages)
    this.#ballooned = new PageSet(totalPages)
  }

  /** Pages that the guest has returned to the hypervisor: they have no content and are never sent. A live view. */
  get ballooned(): ReadonlyPageSet {
    return this.#ballooned
  }

  /** The guest returns pages that it does not use. */
  balloon(from: number, end: number): void {
    for (let page = from; page < end; page++) this.#ballooned.add(page)
  }

  /** The guest takes a page back from the hypervisor: it has content again, that of a page never written. */
  deflate(page: number): void {
    this.#ballooned.delete(page)
  }

  /** The guest writes to a page: a new version, and a bit in the dirty log. */
  write(page: number): void {
    this.versions.countUp(page)
    this.#dirty.add(page)
    this.#writes++
  }

  /** Writes to pages[from..end), in this order. */
  writeAll(pages: Uint32Array, from: number, end: number): void {
    this.versions.countUpAll(pages, from, end)
    this.#dirty.addList(pages, from, end)
    this.#writes += end - from
  }

  /** Writes since the guest began, repeated ones counted each time. */
  get writes(): number {
    return this.#writes
  }

  /** The dirty log as it stands: a live view that clears nothing (Xen's PEEK). */
  get dirty(): ReadonlyPageSet {
    return this.#dirty
  }

  /** Reads and clears the dirty log (Xen's CLEAN): its pages are added to `into`. Returns how many there were. */
  cleanDirty(into: PageSet): number {
    const pages = this.#dirty.count
    this.#dirty.drainInto(into)
    return pages
  }
}
