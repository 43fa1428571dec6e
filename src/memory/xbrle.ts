/**
 * XBRLE (Svärd et al., VEE 2011): the exclusive-or of two versions of a page, run-length coded: pairs of count and
 * byte for runs of equal bytes, as plain RLE has them. The idea is theirs, the byte format ours.
 */

import { overflow } from './xbzrle.js'

/** Longest run that one pair can say. */
const longestRun = 255

/** As `encodeXbzrle`: the length of the difference, 0 when the page is unchanged, `overflow` beyond `limit`. */
export function encodeXbrle(
  before: Uint8Array,
  beforeAt: number,
  after: Uint8Array,
  afterAt: number,
  pageBytes: number,
  target: Uint8Array,
  at: number,
  limit: number,
): number {
  let filled = 0
  let changed = false
  for (let i = 0; i < pageBytes; ) {
    const byte = before[beforeAt + i]! ^ after[afterAt + i]!
    const from = i
    do i++
    while (i < pageBytes && i - from < longestRun && (before[beforeAt + i]! ^ after[afterAt + i]!) === byte)
    if (byte !== 0) changed = true
    if (filled + 2 > limit) return overflow
    target[at + filled] = i - from
    target[at + filled + 1] = byte
    filled += 2
  }
  return changed ? filled : 0
}

/** Applies a difference to a page in place. Returns false when the encoding is not one of this page size. */
export function decodeXbrle(
  encoded: Uint8Array,
  at: number,
  length: number,
  page: Uint8Array,
  pageAt: number,
  pageBytes: number,
): boolean {
  let filled = 0
  for (let i = at; i + 1 < at + length; i += 2) {
    const run = encoded[i]!
    const byte = encoded[i + 1]!
    if (run === 0 || filled + run > pageBytes) return false
    for (let j = 0; j < run; j++) page[pageAt + filled + j] = page[pageAt + filled + j]! ^ byte
    filled += run
  }
  return length % 2 === 0 && (filled === pageBytes || length === 0)
}
