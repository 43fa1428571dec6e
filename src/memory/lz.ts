/**
 * A byte-oriented LZ77 compressor in the block format of LZ4 (lz4_Block_format.md): literals and matches with 4-bit
 * lengths and 16-bit offsets. It stands where MECOM used LZO, which it resembles in speed and ratio.
 */

const hashBits = 12
const minMatch = 4
/** The format ends with literals: the last match starts 12 bytes before the end at the latest, the last 5 are literals. */
const matchMargin = 12
const lastLiterals = 5
const longestOffset = 0xffff

const table = new Int32Array(1 << hashBits)

/** Compresses a page and returns the length, or -1 when it would exceed `limit` bytes. */
export function encodeLz(
  page: Uint8Array,
  at: number,
  pageBytes: number,
  target: Uint8Array,
  targetAt: number,
  limit: number,
): number {
  table.fill(-1)
  const end = at + pageBytes
  const outEnd = targetAt + limit
  let out = targetAt
  let literalsFrom = at
  let i = at
  while (i < end - matchMargin) {
    const slot = hashOf(page, i)
    const candidate = table[slot]!
    table[slot] = i
    if (candidate < 0 || i - candidate > longestOffset || !sameFour(page, candidate, i)) {
      i++
      continue
    }
    let length = minMatch
    while (i + length < end - lastLiterals && page[candidate + length] === page[i + length]) length++
    const next = writeSequence(page, literalsFrom, i, i - candidate, length, target, out, outEnd)
    if (next === -1) return -1
    out = next
    i += length
    literalsFrom = i
  }
  const done = writeSequence(page, literalsFrom, end, 0, 0, target, out, outEnd)
  return done === -1 ? -1 : done - targetAt
}

/** Decompresses into a page. Returns false when the bytes do not make exactly one page. */
export function decodeLz(
  encoded: Uint8Array,
  at: number,
  length: number,
  page: Uint8Array,
  pageAt: number,
  pageBytes: number,
): boolean {
  const end = at + length
  const pageEnd = pageAt + pageBytes
  let i = at
  let out = pageAt
  while (i < end) {
    const token = encoded[i++]!
    let literals = token >>> 4
    if (literals === 15) {
      let byte = 255
      while (byte === 255) {
        if (i >= end) return false
        byte = encoded[i++]!
        literals += byte
      }
    }
    if (i + literals > end || out + literals > pageEnd) return false
    for (let j = 0; j < literals; j++) page[out++] = encoded[i++]!
    if (i === end) return out === pageEnd
    if (i + 2 > end) return false
    const offset = encoded[i]! | (encoded[i + 1]! << 8)
    i += 2
    let match = (token & 0xf) + minMatch
    if ((token & 0xf) === 15) {
      let byte = 255
      while (byte === 255) {
        if (i >= end) return false
        byte = encoded[i++]!
        match += byte
      }
    }
    if (offset === 0 || out - offset < pageAt || out + match > pageEnd) return false
    for (let j = 0; j < match; j++, out++) page[out] = page[out - offset]!
  }
  return false
}

/** Literals [from, to) and then a match (none when its length is 0). Returns the next place to write, or -1. */
function writeSequence(
  page: Uint8Array,
  from: number,
  to: number,
  offset: number,
  match: number,
  target: Uint8Array,
  at: number,
  end: number,
): number {
  const literals = to - from
  const matchCode = match === 0 ? 0 : match - minMatch
  const needed = 1 + extraBytes(literals) + literals + (match === 0 ? 0 : 2 + extraBytes(matchCode))
  if (at + needed > end) return -1
  let out = at
  target[out++] = (Math.min(literals, 15) << 4) | Math.min(matchCode, 15)
  out = writeExtra(target, out, literals)
  for (let j = from; j < to; j++) target[out++] = page[j]!
  if (match === 0) return out
  target[out++] = offset
  target[out++] = offset >>> 8
  return writeExtra(target, out, matchCode)
}

function extraBytes(value: number): number {
  return value < 15 ? 0 : Math.floor((value - 15) / 255) + 1
}

function writeExtra(target: Uint8Array, at: number, value: number): number {
  if (value < 15) return at
  let out = at
  let left = value - 15
  for (; left >= 255; left -= 255) target[out++] = 255
  target[out++] = left
  return out
}

function hashOf(page: Uint8Array, at: number): number {
  const word = page[at]! | (page[at + 1]! << 8) | (page[at + 2]! << 16) | (page[at + 3]! << 24)
  return Math.imul(word, 0x9e3779b1) >>> (32 - hashBits)
}

function sameFour(page: Uint8Array, one: number, other: number): boolean {
  return (
    page[one] === page[other] &&
    page[one + 1] === page[other + 1] &&
    page[one + 2] === page[other + 2] &&
    page[one + 3] === page[other + 3]
  )
}
