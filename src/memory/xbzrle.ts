/**
 * XBZRLE as QEMU does it (migration/xbzrle.c): the difference between two versions of a page as alternating runs, of
 * bytes that stay and of new bytes, lengths in ULEB128; a run of bytes that stay at the end is left out.
 */

/** Longest encoding that is worth it; more is an overflow. */
export const overflow = -1

/**
 * Writes the difference from `before` to `after` (both `pageBytes` long, at their offsets) and returns its length:
 * 0 when the page is unchanged, `overflow` when it would be longer than `limit` bytes.
 */
export function encodeXbzrle(
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
  for (let i = 0; i < pageBytes; ) {
    const sameFrom = i
    while (i < pageBytes && before[beforeAt + i] === after[afterAt + i]) i++
    if (i === pageBytes) return filled
    const newFrom = i
    while (i < pageBytes && before[beforeAt + i] !== after[afterAt + i]) i++
    const same = newFrom - sameFrom
    const changed = i - newFrom
    if (filled + lengthBytes(same) + lengthBytes(changed) + changed > limit) return overflow
    filled += writeLength(target, at + filled, same)
    filled += writeLength(target, at + filled, changed)
    for (let j = 0; j < changed; j++) target[at + filled + j] = after[afterAt + newFrom + j]!
    filled += changed
  }
  return filled
}

/** Applies a difference to a page in place. Returns false when the encoding is not one of this page size. */
export function decodeXbzrle(
  encoded: Uint8Array,
  at: number,
  length: number,
  page: Uint8Array,
  pageAt: number,
  pageBytes: number,
): boolean {
  const end = at + length
  let filled = 0
  for (let i = at; i < end; ) {
    const same = readLength(encoded, i, end)
    if (same === undefined) return false
    // A first run may be empty; a later one of no length would have been one run.
    if (same.value === 0 && i !== at) return false
    i = same.next
    const changed = readLength(encoded, i, end)
    if (changed === undefined || changed.value === 0) return false
    i = changed.next
    filled += same.value
    if (filled + changed.value > pageBytes || i + changed.value > end) return false
    for (let j = 0; j < changed.value; j++) page[pageAt + filled + j] = encoded[i + j]!
    filled += changed.value
    i += changed.value
  }
  return true
}

function lengthBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : 3
}

function writeLength(target: Uint8Array, at: number, value: number): number {
  let left = value
  let bytes = 0
  for (; left >= 0x80; left >>>= 7) target[at + bytes++] = (left & 0x7f) | 0x80
  target[at + bytes++] = left
  return bytes
}

/** ULEB128 of at most three bytes, which is more than the largest page needs. */
function readLength(bytes: Uint8Array, at: number, end: number): { value: number; next: number } | undefined {
  let value = 0
  for (let i = 0; i < 3 && at + i < end; i++) {
    const byte = bytes[at + i]!
    value |= (byte & 0x7f) << (7 * i)
    if (byte < 0x80) return { value, next: at + i + 1 }
  }
  return undefined
}
