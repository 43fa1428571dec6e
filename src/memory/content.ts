/**
 * What is in a page: a recipe that makes the bytes of (page, version) from the run's seed, the same at the source
 * and at the destination. Sending copies the bytes out, receiving compares them in place; neither allocates.
 */

import { assert, unreachable } from '../support/assert.js'
import { random } from '../support/random.js'

export type ContentKind = 'zero' | 'random'

export interface ContentSpec {
  readonly kind: ContentKind
}

export interface PageContent {
  readonly pageBytes: number
  /** Writes the bytes of this version of the page at `at`. */
  write(page: number, version: number, target: Uint8Array, at: number): void
  /** True when the bytes at `at` are exactly those of this version of the page. */
  matches(page: number, version: number, bytes: Uint8Array, at: number): boolean
  /** True when every byte of this version is zero, so that a scheme may send a flag in its place. */
  isZero(page: number, version: number): boolean
}

export function pageContent(spec: ContentSpec, pageBytes: number, seed: number): PageContent {
  switch (spec.kind) {
    case 'zero':
      return zeroContent(pageBytes)
    case 'random':
      return randomContent(pageBytes, seed)
    default:
      return unreachable(spec.kind)
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

const poolBytes = 2 ** 18
const stampBytes = 8

/**
 * Incompressible pages: slices of one random pool, at an offset that page and version choose, behind a stamp of
 * page and version. The stamp makes every version of every page different from all others; the slice makes a
 * rewritten page differ from its old version in all bytes.
 */
function randomContent(pageBytes: number, seed: number): PageContent {
  assert(pageBytes >= 2 * stampBytes, 'a page has room for its stamp')
  const pool = randomPool(seed, poolBytes + pageBytes)
  const offsetOf = (page: number, version: number): number =>
    ((Math.imul(page, 0x9e3779b1) + Math.imul(version, 0x85ebca77)) >>> 0) % poolBytes

  return {
    pageBytes,
    write: (page, version, target, at) => {
      const from = offsetOf(page, version)
      pool.copy(target, at + stampBytes, from, from + pageBytes - stampBytes)
      writeStamp(target, at, page, version)
    },
    matches: (page, version, bytes, at) => {
      if (readUint32(bytes, at) !== page || readUint32(bytes, at + 4) !== version) return false
      const from = offsetOf(page, version)
      return pool.compare(bytes, at + stampBytes, at + pageBytes, from, from + pageBytes - stampBytes) === 0
    },
    isZero: () => false,
  }
}

function randomPool(seed: number, bytes: number): Buffer {
  const numbers = random(seed, 0x706f6f6c)
  const words = Uint32Array.from({ length: Math.ceil(bytes / 4) }, () => numbers.uint32())
  return Buffer.from(words.buffer)
}

function writeStamp(target: Uint8Array, at: number, page: number, version: number): void {
  writeUint32(target, at, page)
  writeUint32(target, at + 4, version)
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
