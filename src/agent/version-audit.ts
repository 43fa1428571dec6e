/** The comparison at the end: version and CRC-32 of everything that the source held at suspend, against what is here. */

import type { PageContent } from '../memory/content.js'
import type { ReadonlyPageSet } from '../memory/page-set.js'
import { noContent } from '../wire/frame.js'
import { protocolError } from '../wire/frame-reader.js'
import { pageHash } from './session.js'

export interface AuditOutcome {
  readonly differing: number
  readonly first: number
}

export class VersionAudit {
  readonly #what: string
  readonly #content: PageContent
  readonly #versions: Uint32Array
  readonly #present: ReadonlyPageSet
  readonly #scratch: Buffer
  #audited = 0
  #differing = 0
  #firstDiffering = 0

  /** Of `what`, pages or blocks: their versions, and which are here, as they are when they are compared. */
  constructor(what: string, content: PageContent, versions: Uint32Array, present: ReadonlyPageSet) {
    this.#what = what
    this.#content = content
    this.#versions = versions
    this.#present = present
    this.#scratch = Buffer.alloc(content.pageBytes)
  }

  /** `list`: u32 version and u32 hash of each, from `first` on. They must be listed in order. */
  compare(first: number, list: Buffer): void {
    const count = list.length / 8
    if (!Number.isInteger(count) || first !== this.#audited || first + count > this.#versions.length) {
      throw protocolError(`an audit of ${count} ${this.#what} from ${first} is out of order`)
    }
    for (let i = 0; i < count; i++) {
      if (this.#agrees(first + i, list.readUInt32BE(8 * i), list.readUInt32BE(8 * i + 4))) continue
      if (this.#differing === 0) this.#firstDiffering = first + i
      this.#differing++
    }
    this.#audited += count
  }

  outcome(): AuditOutcome {
    if (this.#audited !== this.#versions.length) {
      throw protocolError(`the audit covered ${this.#audited} of ${this.#versions.length} ${this.#what}`)
    }
    return { differing: this.#differing, first: this.#firstDiffering }
  }

  #agrees(at: number, version: number, hash: number): boolean {
    // A page without content is whatever it is here.
    if (version === noContent && hash === 0) return true
    const here = this.#versions[at]!
    return (
      this.#present.has(at) && here === version && pageHash(this.#content, at, here, this.#scratch) === hash
    )
  }
}
