/**
 * WKdm (Wilson, Kaplan & Smaragdakis, USENIX 1999): words of a page against a dictionary of 16 recent words. A 2-bit
 * tag says zero, exact match, match of the upper 22 bits, or miss. Tags, dictionary indexes, low bits and missed words
 * are four streams, each packed by itself behind a header of three lengths.
 */

const dictionaryWords = 16
const lowBits = 10
const lowMask = (1 << lowBits) - 1
const Tag = { zero: 0, partial: 1, miss: 2, exact: 3 } as const
/** Numbers of low bits, indexes and missed words, 16 bits each. */
const headerBytes = 6

/** Fixed, spread table from 8 bits of a word to a place in the dictionary; the multiplier is odd, so all places are used alike. */
const places = Uint8Array.from({ length: 256 }, (_, i) => (Math.imul(i, 0x9d) >>> 3) % dictionaryWords)

/** Share of words, 0..1, that the dictionary finds fully or in their upper 22 bits; zero words are not counted. */
export function wkdmMatches(page: Uint8Array, at: number, pageBytes: number): number {
  dictionary.fill(1)
  let matched = 0
  for (let i = 0; i < pageBytes; i += 4) {
    const word = readWord(page, at + i)
    if (word === 0) continue
    const place = places[(word >>> lowBits) & 0xff]!
    const known = dictionary[place]!
    if (known >>> lowBits === word >>> lowBits) matched++
    dictionary[place] = word
  }
  return matched / (pageBytes / 4)
}

const longestPageWords = 2 ** 19
const dictionary = new Uint32Array(dictionaryWords)
let tags = new Uint8Array(1024)
let indexes = new Uint8Array(1024)
let lows = new Uint16Array(1024)
let misses = new Uint32Array(1024)

/** Encodes a page of whole words (at most 2 MiB) and returns the length, or -1 when it would exceed `limit` bytes. */
export function encodeWkdm(
  page: Uint8Array,
  at: number,
  pageBytes: number,
  target: Uint8Array,
  targetAt: number,
  limit: number,
): number {
  const words = pageBytes / 4
  makeRoom(words)
  dictionary.fill(1)
  let indexCount = 0
  let lowCount = 0
  let missCount = 0
  for (let i = 0; i < words; i++) {
    const word = readWord(page, at + 4 * i)
    if (word === 0) {
      tags[i] = Tag.zero
      continue
    }
    const place = places[(word >>> lowBits) & 0xff]!
    const known = dictionary[place]!
    if (known === word) {
      tags[i] = Tag.exact
      indexes[indexCount++] = place
    } else if (known >>> lowBits === word >>> lowBits) {
      tags[i] = Tag.partial
      indexes[indexCount++] = place
      lows[lowCount++] = word & lowMask
      dictionary[place] = word
    } else {
      tags[i] = Tag.miss
      misses[missCount++] = word
      dictionary[place] = word
    }
  }
  const lowGroups = Math.ceil(lowCount / 3)
  const bytes = headerBytes + Math.ceil(words / 4) + Math.ceil(indexCount / 2) + 4 * lowGroups + 4 * missCount
  if (bytes > limit || missCount > 0xffff || indexCount > 0xffff) return -1
  let out = targetAt
  for (const count of [lowCount, indexCount, missCount]) {
    target[out++] = count >>> 8
    target[out++] = count
  }
  for (let i = 0; i < words; i += 4) {
    target[out++] =
      tags[i]! |
      ((i + 1 < words ? tags[i + 1]! : 0) << 2) |
      ((i + 2 < words ? tags[i + 2]! : 0) << 4) |
      ((i + 3 < words ? tags[i + 3]! : 0) << 6)
  }
  for (let i = 0; i < indexCount; i += 2) {
    target[out++] = indexes[i]! | ((i + 1 < indexCount ? indexes[i + 1]! : 0) << 4)
  }
  for (let group = 0; group < lowGroups; group++) {
    const packed =
      lows[3 * group]! |
      ((3 * group + 1 < lowCount ? lows[3 * group + 1]! : 0) << lowBits) |
      ((3 * group + 2 < lowCount ? lows[3 * group + 2]! : 0) << (2 * lowBits))
    out = writeWord(target, out, packed)
  }
  for (let i = 0; i < missCount; i++) out = writeWord(target, out, misses[i]!)
  return out - targetAt
}

/** Decodes into a page. Returns false when the bytes are not an encoding of a page of this size. */
export function decodeWkdm(
  encoded: Uint8Array,
  at: number,
  length: number,
  page: Uint8Array,
  pageAt: number,
  pageBytes: number,
): boolean {
  const words = pageBytes / 4
  if (length < headerBytes) return false
  const lowCount = (encoded[at]! << 8) | encoded[at + 1]!
  const indexCount = (encoded[at + 2]! << 8) | encoded[at + 3]!
  const missCount = (encoded[at + 4]! << 8) | encoded[at + 5]!
  const tagsAt = at + headerBytes
  const indexesAt = tagsAt + Math.ceil(words / 4)
  const lowsAt = indexesAt + Math.ceil(indexCount / 2)
  const missesAt = lowsAt + 4 * Math.ceil(lowCount / 3)
  if (missesAt + 4 * missCount !== at + length) return false
  dictionary.fill(1)
  let index = 0
  let low = 0
  let miss = 0
  for (let i = 0; i < words; i++) {
    const tag = (encoded[tagsAt + (i >>> 2)]! >>> (2 * (i & 3))) & 3
    let word = 0
    if (tag === Tag.miss) {
      if (miss === missCount) return false
      word = readWord(encoded, missesAt + 4 * miss++)
      dictionary[places[(word >>> lowBits) & 0xff]!] = word
    } else if (tag !== Tag.zero) {
      if (index === indexCount) return false
      const place = (encoded[indexesAt + (index >>> 1)]! >>> (4 * (index & 1))) & 0xf
      index++
      word = dictionary[place]!
      if (tag === Tag.partial) {
        if (low === lowCount) return false
        const group = readWord(encoded, lowsAt + 4 * Math.floor(low / 3))
        word = ((word & ~lowMask) | ((group >>> (lowBits * (low % 3))) & lowMask)) >>> 0
        low++
        dictionary[place] = word
      }
    }
    writeWord(page, pageAt + 4 * i, word)
  }
  return index === indexCount && low === lowCount && miss === missCount
}

function makeRoom(words: number): void {
  if (words <= tags.length || words > longestPageWords) return
  tags = new Uint8Array(words)
  indexes = new Uint8Array(words)
  lows = new Uint16Array(words)
  misses = new Uint32Array(words)
}

/** Words are read as big-endian, like every number of the protocol. */
function readWord(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

function writeWord(bytes: Uint8Array, at: number, word: number): number {
  bytes[at] = word >>> 24
  bytes[at + 1] = word >>> 16
  bytes[at + 2] = word >>> 8
  bytes[at + 3] = word
  return at + 4
}
