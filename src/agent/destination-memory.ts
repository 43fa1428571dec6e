/** The guest's memory as the destination holds it: which version of each page has arrived, and that its bytes were right. */

import type { PageContent } from '../memory/content.js'
import { decodePage, Encoding } from '../memory/encoding.js'
import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
import type { PageVersions } from '../memory/page-versions.js'
import { failure, type PagewireError } from '../support/errors.js'
import { protocolError } from '../wire/frame-reader.js'
import type { Session } from './session.js'
import { type AuditOutcome, VersionAudit } from './version-audit.js'

export class DestinationMemory {
  readonly totalPages: number
  readonly #content: PageContent
  readonly #scratch: Buffer
  /** Version of each page; `present` tells a page at version 0 from one that never came. */
  readonly #versions: Uint32Array
  readonly #present: PageSet
  #pagesReceived = 0
  readonly #audit: VersionAudit

  constructor(session: Session, content: PageContent) {
    this.totalPages = session.totalPages
    this.#content = content
    this.#scratch = Buffer.alloc(content.pageBytes)
    this.#versions = new Uint32Array(session.totalPages)
    this.#present = new PageSet(session.totalPages)
    this.#audit = new VersionAudit('pages', content, this.#versions, this.#present)
  }

  /** Page messages so far, repeats counted each time. */
  get pagesReceived(): number {
    return this.#pagesReceived
  }

  /**
   * A page has arrived. Compares every byte with what this version of the page must hold. Throws with the page
   * number when a byte differs, when the page does not exist, or when a newer version is already here.
   */
  receive(encoding: number, page: number, version: number, bytes: Buffer, at: number, length: number): void {
    this.#check(page, version)
    if (!this.#isRight(encoding, page, version, bytes, at, length)) throw wrongPage(page, version)
    this.#versions[page] = version
    this.#present.add(page)
    this.#pagesReceived++
  }

  /** A page was named that is to be fetched. False when it is here already. */
  named(page: number, version: number): boolean {
    this.#check(page, version)
    this.#pagesReceived++
    return !this.#present.has(page) || this.#versions[page] !== version
  }

  /** A page that was named is here. Checked like any other, and not counted again. */
  fetched(page: number, version: number, bytes: Buffer, at: number): void {
    this.#check(page, version)
    if (!this.#content.matches(page, version, bytes, at)) throw wrongPage(page, version)
    this.#versions[page] = version
    this.#present.add(page)
  }

  /** Version of each page as it arrived; 0 for one that has no content. A live view. */
  get versions(): Uint32Array {
    return this.#versions
  }

  /** The guest was executed here: its memory holds these versions. */
  execute(versions: PageVersions): void {
    this.#versions.set(versions.list())
    // Also those that had no content when the checkpoint was taken.
    this.#present.addAll(PageSet.full(this.totalPages))
  }

  /** Forgets what is here of these pages: it is not their newest version. */
  forget(pages: ReadonlyPageSet): void {
    this.#present.deleteAll(pages)
  }

  /** Compares versions and hashes of the source at suspend with what is here. Pages must be listed in order. */
  audit(first: number, list: Buffer): void {
    this.#audit.compare(first, list)
  }

  auditOutcome(): AuditOutcome {
    return this.#audit.outcome()
  }

  #check(page: number, version: number): void {
    if (page >= this.totalPages)
      throw protocolError(`page ${page} does not exist; the guest has ${this.totalPages}`)
    if (this.#present.has(page) && version < this.#versions[page]!) {
      throw failure(`page ${page} arrived in version ${version} after version ${this.#versions[page]}`, {
        code: 'stale-page',
      })
    }
  }

  #isRight(
    encoding: number,
    page: number,
    version: number,
    bytes: Buffer,
    at: number,
    length: number,
  ): boolean {
    if (encoding === Encoding.raw) {
      return length === this.#content.pageBytes && this.#content.matches(page, version, bytes, at)
    }
    const decoded = decodePage(encoding, bytes, at, length, this.#scratch, (target) => {
      if (!this.#present.has(page)) return false
      this.#content.write(page, this.#versions[page]!, target, 0)
      return true
    })
    return decoded && this.#content.matches(page, version, this.#scratch, 0)
  }
}

function wrongPage(page: number, version: number): PagewireError {
  return failure(`page ${page} (version ${version}) arrived with wrong bytes`, {
    code: 'page-corrupt',
    next: 'Something between the agents changes payloads; the migration was stopped, the guest runs on at the source.',
  })
}
