/**
 * How a page becomes the payload of its message: raw, a flag, a difference to what the destination has, or
 * compressed. The source's caches hold version numbers, since a version is all that it takes to make the bytes again.
 */

import { assert, unreachable } from '../support/assert.js'
import type { PageContent } from './content.js'
import { decodeLz, encodeLz } from './lz.js'
import { noBlock, PageCache } from './page-cache.js'
import { decodeWkdm, encodeWkdm, wkdmMatches } from './wkdm.js'
import { decodeXbrle, encodeXbrle } from './xbrle.js'
import { decodeXbzrle, encodeXbzrle, overflow } from './xbzrle.js'

/** The encoding byte of a page message. */
export const Encoding = {
  /** The page's bytes as they are. */
  raw: 0,
  /** No payload: every byte is zero. */
  zero: 1,
  /** No payload: the bytes are those of the version before it at the destination. */
  same: 2,
  /** Difference to the version at the destination (xbzrle.ts). */
  xbzrle: 3,
  /** The same (xbrle.ts). */
  xbrle: 4,
  /** Bytes that are not zero, each as u16 offset and u8 value. */
  sparse: 5,
  /** wkdm.ts */
  wkdm: 6,
  /** lz.ts */
  lz: 7,
  /** u32 number of the block on shared storage that holds the page's bytes (page-cache.ts). */
  mapped: 8,
} as const

/** What a lane asks for. Pages that gain nothing by it go raw. */
export type EncodingSpec =
  /** Zero pages as a flag. */
  { readonly kind: 'zero' } | DeltaSpec | CompressSpec | MapSpec

/** Zero pages as a flag, and differences to what was sent before, from a cache of sent pages (QEMU page_cache.c). */
export interface DeltaSpec {
  readonly kind: 'delta'
  readonly format: 'xbzrle' | 'xbrle'
  /** Page contents that the cache would hold; rounded down to a power of two pages; 0: no cache. */
  readonly cacheBytes: number
  /** `idle`: the first sweep. `update`: later ones. `frozen`: the last stage, which neither inserts nor updates. */
  readonly cache: 'idle' | 'update' | 'frozen'
  /** Syncs so far: entries used within the last two of them are not replaced. */
  readonly age: number
}

/** A class for each page by a look at its words (MECOM). */
export interface CompressSpec {
  readonly kind: 'compress'
  /** Threads that compress; does not change a byte of what is sent. */
  readonly threads: number
  /** Bits of page per second that a prediction assumes one thread to compress. */
  readonly speedBps: number
}

/** Pages that are copies of blocks on shared storage go as the number of the block. */
export interface MapSpec {
  readonly kind: 'map'
  /** Share of memory that the guest has read from storage, 0..1. */
  readonly share: number
}

/** Payload of a mapped page. */
export const mapEntryBytes = 4

export interface PageEncoder {
  /** Writes the payload of this version of the page at `at` (room for a whole page) and returns its length. */
  encode(page: number, version: number, target: Uint8Array, at: number): number
  /** How the last page was encoded: a value of `Encoding`. */
  readonly code: number
}

/** The encoders of one source: a lane's spec chooses one, state is kept from copy to copy. */
export class Encoders {
  readonly #content: PageContent
  readonly #totalPages: number
  readonly #seed: number
  #delta: DeltaEncoder | undefined
  #map: MapEncoder | undefined

  /** `seed`: of the session; it deals out the blocks of shared storage. */
  constructor(content: PageContent, totalPages: number, seed = 0) {
    this.#content = content
    this.#totalPages = totalPages
    this.#seed = seed
  }

  for(spec: EncodingSpec): PageEncoder {
    switch (spec.kind) {
      case 'zero':
        return new ZeroEncoder(this.#content)
      case 'compress':
        return new CompressEncoder(this.#content)
      case 'delta':
        this.#delta ??= new DeltaEncoder(this.#content, this.#totalPages, spec)
        this.#delta.begin(spec)
        return this.#delta
      case 'map':
        this.#map ??= new MapEncoder(this.#content, new PageCache(this.#totalPages, this.#seed), spec.share)
        return this.#map
      default:
        return unreachable(spec)
    }
  }
}

/** Nanoseconds of computing for one page that a prediction assumes; 0 where it would not be noticed. */
export function encodingNs(spec: EncodingSpec | undefined, pageBytes: number): number {
  return spec?.kind === 'compress' ? (pageBytes * 8e9) / (spec.threads * spec.speedBps) : 0
}

class ZeroEncoder implements PageEncoder {
  readonly #content: PageContent
  code: number = Encoding.raw

  constructor(content: PageContent) {
    this.#content = content
  }

  encode(page: number, version: number, target: Uint8Array, at: number): number {
    if (this.#content.isZero(page, version)) {
      this.code = Encoding.zero
      return 0
    }
    this.code = Encoding.raw
    this.#content.write(page, version, target, at)
    return this.#content.pageBytes
  }
}

class MapEncoder implements PageEncoder {
  readonly #content: PageContent
  readonly #cache: PageCache
  readonly #share: number
  code: number = Encoding.raw

  constructor(content: PageContent, cache: PageCache, share: number) {
    this.#content = content
    this.#cache = cache
    this.#share = share
  }

  encode(page: number, version: number, target: Uint8Array, at: number): number {
    const block = this.#cache.mapped(page, version, this.#share)
    if (block === noBlock) {
      this.code = Encoding.raw
      this.#content.write(page, version, target, at)
      return this.#content.pageBytes
    }
    this.code = Encoding.mapped
    target[at] = block >>> 24
    target[at + 1] = block >>> 16
    target[at + 2] = block >>> 8
    target[at + 3] = block
    return mapEntryBytes
  }
}

/** QEMU migration/page_cache.c: an entry used in the last two syncs keeps its place. */
const entryLifetime = 2
const empty = -1

class DeltaEncoder implements PageEncoder {
  readonly #content: PageContent
  readonly #format: DeltaSpec['format']
  /** Direct-mapped by page number: which page, in which version it was last sent, and when it was last used. */
  readonly #pages: Int32Array
  readonly #versions: Uint32Array
  readonly #ages: Uint32Array
  readonly #before: Buffer
  readonly #after: Buffer
  #age = 0
  #cache: DeltaSpec['cache'] = 'idle'
  code: number = Encoding.raw

  constructor(content: PageContent, totalPages: number, spec: DeltaSpec) {
    this.#content = content
    this.#format = spec.format
    const fitting = Math.floor(spec.cacheBytes / content.pageBytes)
    const slots = fitting < 1 ? 0 : Math.min(2 ** Math.floor(Math.log2(fitting)), powerAbove(totalPages))
    this.#pages = new Int32Array(slots).fill(empty)
    this.#versions = new Uint32Array(slots)
    this.#ages = new Uint32Array(slots)
    this.#before = Buffer.alloc(content.pageBytes)
    this.#after = Buffer.alloc(content.pageBytes)
  }

  begin(spec: DeltaSpec): void {
    assert(spec.format === this.#format, 'a migration has one delta format')
    this.#age = spec.age
    this.#cache = spec.cache
  }

  encode(page: number, version: number, target: Uint8Array, at: number): number {
    const slots = this.#pages.length
    const slot = slots === 0 ? empty : page & (slots - 1)
    const hit = slot !== empty && this.#cache !== 'idle' && this.#pages[slot] === page
    const bytes = this.#payload(page, version, hit ? this.#versions[slot]! : undefined, target, at)
    if (slot !== empty && this.#cache === 'update') this.#remember(slot, page, version, hit)
    return bytes
  }

  #payload(
    page: number,
    version: number,
    before: number | undefined,
    target: Uint8Array,
    at: number,
  ): number {
    const content = this.#content
    const { pageBytes } = content
    if (content.isZero(page, version)) {
      this.code = Encoding.zero
      return 0
    }
    content.write(page, version, this.#after, 0)
    if (before !== undefined) {
      content.write(page, before, this.#before, 0)
      const encode = this.#format === 'xbzrle' ? encodeXbzrle : encodeXbrle
      const bytes = encode(this.#before, 0, this.#after, 0, pageBytes, target, at, pageBytes - 1)
      if (bytes !== overflow) {
        this.code = bytes === 0 ? Encoding.same : Encoding[this.#format]
        return bytes
      }
    }
    this.code = Encoding.raw
    target.set(this.#after, at)
    return pageBytes
  }

  #remember(slot: number, page: number, version: number, hit: boolean): void {
    if (!hit) {
      const isFresh = this.#pages[slot] !== empty && this.#ages[slot]! + entryLifetime > this.#age
      if (isFresh) return
      this.#pages[slot] = page
    }
    this.#versions[slot] = version
    this.#ages[slot] = this.#age
  }
}

function powerAbove(value: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, value)))
}

/** Share of zero bytes from which only the others are listed; share of dictionary matches from which WKdm is used. */
const sparseFrom = 0.75
const wkdmFrom = 0.5
/** Offset and value of one byte of a sparse page. */
const sparseEntryBytes = 3
const sparseLargestPage = 2 ** 16

class CompressEncoder implements PageEncoder {
  readonly #content: PageContent
  readonly #bytes: Buffer
  code: number = Encoding.raw

  constructor(content: PageContent) {
    this.#content = content
    this.#bytes = Buffer.alloc(content.pageBytes)
  }

  encode(page: number, version: number, target: Uint8Array, at: number): number {
    const { pageBytes } = this.#content
    const bytes = this.#bytes
    this.#content.write(page, version, bytes, 0)
    const zeros = countZeros(bytes)
    if (zeros === pageBytes) {
      this.code = Encoding.zero
      return 0
    }
    const encoded = this.#byClass(zeros, target, at)
    if (encoded >= 0) return encoded
    this.code = Encoding.raw
    target.set(bytes, at)
    return pageBytes
  }

  /** The encoded length, or -1 when the page is better raw. */
  #byClass(zeros: number, target: Uint8Array, at: number): number {
    const { pageBytes } = this.#content
    const bytes = this.#bytes
    const limit = pageBytes - 1
    if (zeros >= sparseFrom * pageBytes && pageBytes <= sparseLargestPage) {
      this.code = Encoding.sparse
      return encodeSparse(bytes, target, at, limit)
    }
    if (wkdmMatches(bytes, 0, pageBytes) >= wkdmFrom) {
      this.code = Encoding.wkdm
      return encodeWkdm(bytes, 0, pageBytes, target, at, limit)
    }
    this.code = Encoding.lz
    return encodeLz(bytes, 0, pageBytes, target, at, limit)
  }
}

function countZeros(bytes: Uint8Array): number {
  let zeros = 0
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0) zeros++
  return zeros
}

function encodeSparse(bytes: Uint8Array, target: Uint8Array, at: number, limit: number): number {
  let filled = 0
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === 0) continue
    if (filled + sparseEntryBytes > limit) return -1
    target[at + filled] = i >>> 8
    target[at + filled + 1] = i
    target[at + filled + 2] = bytes[i]!
    filled += sparseEntryBytes
  }
  return filled
}

function decodeSparse(encoded: Uint8Array, at: number, length: number, page: Uint8Array): boolean {
  page.fill(0)
  let last = -1
  for (let i = at; i < at + length; i += sparseEntryBytes) {
    const offset = (encoded[i]! << 8) | encoded[i + 1]!
    if (offset <= last || offset >= page.length || encoded[i + 2] === 0) return false
    page[offset] = encoded[i + 2]!
    last = offset
  }
  return length % sparseEntryBytes === 0
}

/**
 * Makes the page (`target`, a whole page long) of a payload. `before` writes the bytes of the version that is here
 * into it, or says that there is none. Returns false when the payload cannot be of this encoding, or is of none.
 */
export function decodePage(
  code: number,
  payload: Uint8Array,
  at: number,
  length: number,
  target: Uint8Array,
  before: (target: Uint8Array) => boolean,
): boolean {
  const pageBytes = target.length
  switch (code) {
    case Encoding.raw:
      if (length !== pageBytes) return false
      target.set(payload.subarray(at, at + length))
      return true
    case Encoding.zero:
      target.fill(0)
      return length === 0
    case Encoding.same:
      return length === 0 && before(target)
    case Encoding.xbzrle:
      return before(target) && decodeXbzrle(payload, at, length, target, 0, pageBytes)
    case Encoding.xbrle:
      return before(target) && decodeXbrle(payload, at, length, target, 0, pageBytes)
    case Encoding.sparse:
      return decodeSparse(payload, at, length, target)
    case Encoding.wkdm:
      return decodeWkdm(payload, at, length, target, 0, pageBytes)
    case Encoding.lz:
      return decodeLz(payload, at, length, target, 0, pageBytes)
    default:
      return false
  }
}
