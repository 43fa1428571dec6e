/**
 * What is in a page: a recipe that makes the bytes of (page, version) from the run's seed, the same at the source
 * and at the destination. Sending copies the bytes out, receiving compares them; neither allocates.
 */

import { assert, unreachable } from '../support/assert.js'
import { mix32, random } from '../support/random.js'

export type ContentKind = 'zero' | 'regular' | 'pointer' | 'random' | 'sparse-update' | 'mix'
export type Recipe = Exclude<ContentKind, 'mix'>

export interface ContentSpec {
  readonly kind: ContentKind
  /** With `mix`: weight of each recipe; pages are dealt out by their number. */
  readonly shares?: Readonly<Partial<Record<Recipe, number>>>
}

export interface PageContent {
  readonly pageBytes: number
  /** Writes the bytes of this version of the page at `at`. */
  write(page: number, version: number, target: Uint8Array, at: number): void
  /** True when the bytes at `at` are exactly those of this version of the page. */
  matches(page: number, version: number, bytes: Uint8Array, at: number): boolean
  /** True when every byte of this version is zero, so that a scheme may send a flag in its place. */
  isZero(page: number, version: number): boolean
  /** Given when pages are slices of one pool behind a stamp, so that they can be sent from where they lie. */
  readonly slices?: PageSlices
}

export interface PageSlices {
  /** Never changes. */
  readonly pool: Buffer
  /** Bytes of a page before its slice. */
  readonly stampBytes: number
  writeStamp(page: number, version: number, target: Uint8Array, at: number): void
  /** Where in the pool the rest of the page is. */
  offsetOf(page: number, version: number): number
}

export const recipes: readonly Recipe[] = ['zero', 'regular', 'pointer', 'random', 'sparse-update']

export function pageContent(spec: ContentSpec, pageBytes: number, seed: number): PageContent {
  assert(pageBytes >= 64 && pageBytes % 8 === 0, 'a page has room for its recipe')
  let pool: Buffer | undefined
  const sharedPool = (): Buffer => {
    pool ??= randomPool(seed, poolBytes + pageBytes)
    return pool
  }
  return spec.kind === 'mix'
    ? mixedContent(spec.shares ?? {}, pageBytes, seed, sharedPool)
    : recipeContent(spec.kind, pageBytes, seed, sharedPool)
}

/** Every recipe that needs random bytes takes them from one pool, made when first asked for. */
function recipeContent(recipe: Recipe, pageBytes: number, seed: number, pool: () => Buffer): PageContent {
  switch (recipe) {
    case 'zero':
      return zeroContent(pageBytes)
    case 'random':
      return randomContent(pageBytes, pool())
    case 'regular':
      return composed(pageBytes, regularWriter(pageBytes, seed))
    case 'pointer':
      return composed(pageBytes, pointerWriter(pageBytes, seed, pool()))
    case 'sparse-update':
      return composed(pageBytes, sparseUpdateWriter(pageBytes, seed, pool()))
    default:
      return unreachable(recipe)
  }
}

function zeroContent(pageBytes: number): PageContent {
  const zeros = Buffer.alloc(pageBytes)
  return {
    pageBytes,
    write: (_page, _version, target, at) => {
      target.fill(0, at, at + pageBytes)
    },
    matches: (_page, _version, bytes, at) => zeros.compare(bytes, at, at + pageBytes) === 0,
    isZero: () => true,
  }
}

/** Small enough for a processor's second-level cache beside what is being sent. */
const poolBytes = 2 ** 18
const sliceStep = 8
const stampBytes = 8

/**
 * Incompressible pages: slices of one random pool, at an offset that page and version choose, behind a stamp of
 * page and version. The stamp makes every version of every page different from all others; the slice makes a
 * rewritten page differ from its old version in all bytes.
 */
function randomContent(pageBytes: number, pool: Buffer): PageContent {
  const sliceBytes = pageBytes - stampBytes
  const offsetOf = (page: number, version: number): number =>
    (Math.imul(page, 0x9e3779b1) + Math.imul(version, 0x85ebca77)) & (poolBytes - 1)
  const writeStamp = (page: number, version: number, target: Uint8Array, at: number): void => {
    writeUint32(target, at, page)
    writeUint32(target, at + 4, version)
  }

  return {
    pageBytes,
    write: (page, version, target, at) => {
      const from = offsetOf(page, version)
      pool.copy(target, at + stampBytes, from, from + sliceBytes)
      writeStamp(page, version, target, at)
    },
    matches: (page, version, bytes, at) => {
      if (readUint32(bytes, at) !== page || readUint32(bytes, at + 4) !== version) return false
      const from = offsetOf(page, version)
      return pool.compare(bytes, at + stampBytes, at + pageBytes, from, from + sliceBytes) === 0
    },
    isZero: () => false,
    slices: { pool, stampBytes, writeStamp, offsetOf },
  }
}

type Writer = (page: number, version: number, target: Uint8Array, at: number) => void

/** Content of which only the writer is given: it is compared with a page written beside it. */
function composed(pageBytes: number, write: Writer): PageContent {
  const expected = Buffer.alloc(pageBytes)
  return {
    pageBytes,
    write,
    matches: (page, version, bytes, at) => {
      write(page, version, expected, 0)
      return expected.compare(bytes, at, at + pageBytes) === 0
    },
    isZero: () => false,
  }
}

/** Distinct words of a regular page. */
const regularWords = 4

/** A few distinct 32-bit words over and over: arrays of equal values, cleared structures. */
function regularWriter(pageBytes: number, seed: number): Writer {
  return (page, version, target, at) => {
    for (let word = 0; word < regularWords; word++) {
      writeUint32(target, at + 4 * word, hash(seed, page, version, word))
    }
    for (let filled = 4 * regularWords; filled < pageBytes; filled *= 2) {
      target.copyWithin(at + filled, at, at + Math.min(filled, pageBytes - filled))
    }
  }
}

/** Low bits in which the words of a pointer page differ. */
const pointerLowMask = 0x3ff

/** Words that share their upper 22 bits, as pointers into one region do. */
function pointerWriter(pageBytes: number, seed: number, pool: Buffer): Writer {
  const words = new Uint32Array(pool.buffer, pool.byteOffset, Math.floor(pool.length / 4))
  return (page, version, target, at) => {
    const base = hash(seed, page, version, 0) & ~pointerLowMask
    const from = hash(seed, page, version, 1) % (poolBytes / 4)
    for (let i = 0; i < pageBytes / 4; i++) {
      writeUint32(target, at + 4 * i, base | (words[from + i]! & pointerLowMask))
    }
  }
}

/** Words of a page that writes change, each in turn. */
const sparseSlots = 8

/** A page of which each write changes one word only: counters, heads of lists. */
function sparseUpdateWriter(pageBytes: number, seed: number, pool: Buffer): Writer {
  const slotStep = Math.floor(pageBytes / sparseSlots)
  return (page, version, target, at) => {
    const from = (hash(seed, page, 0, 0) % (poolBytes / sliceStep)) * sliceStep
    pool.copy(target, at, from, from + pageBytes)
    writeUint32(target, at + 4, page)
    for (let slot = 0; slot < Math.min(sparseSlots, version); slot++) {
      // The newest of the versions that changed this slot.
      const latest = version - ((version - slot - 1) % sparseSlots)
      if (latest > 0) writeUint32(target, at + slot * slotStep + 8, hash(seed, page, latest, 2))
    }
  }
}

/** Each page keeps one recipe; page numbers are dealt out by weight. */
function mixedContent(
  shares: Readonly<Partial<Record<Recipe, number>>>,
  pageBytes: number,
  seed: number,
  pool: () => Buffer,
): PageContent {
  const given = recipes.filter((recipe) => (shares[recipe] ?? 0) > 0)
  assert(given.length > 0, 'a mix has a recipe')
  const contents = given.map((recipe) => recipeContent(recipe, pageBytes, seed, pool))
  const weights = given.map((recipe) => shares[recipe] ?? 0)
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  const limits = weights.map((_, i) => weights.slice(0, i + 1).reduce((sum, weight) => sum + weight, 0) / all)
  const contentOf = (page: number): PageContent => {
    const place = hash(seed, page, 0, 3) / 2 ** 32
    let at = 0
    while (at < contents.length - 1 && place >= limits[at]!) at++
    return contents[at]!
  }
  return {
    pageBytes,
    write: (page, version, target, at) => contentOf(page).write(page, version, target, at),
    matches: (page, version, bytes, at) => contentOf(page).matches(page, version, bytes, at),
    isZero: (page, version) => contentOf(page).isZero(page, version),
  }
}

function hash(seed: number, page: number, version: number, purpose: number): number {
  return mix32(mix32(mix32(mix32(seed) ^ page) ^ version) ^ purpose)
}

function randomPool(seed: number, bytes: number): Buffer {
  const numbers = random(seed, 0x706f6f6c)
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let i = 0; i < words.length; i++) words[i] = numbers.uint32()
  return Buffer.from(words.buffer)
}

function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}
