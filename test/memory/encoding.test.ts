import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ContentKind, type ContentSpec, pageContent, recipes } from '../../src/memory/content.js'
import {
  type DeltaSpec,
  decodePage,
  Encoders,
  Encoding,
  type EncodingSpec,
  type PageEncoder,
} from '../../src/memory/encoding.js'
import { decodeLz, encodeLz } from '../../src/memory/lz.js'
import { decodeWkdm, encodeWkdm } from '../../src/memory/wkdm.js'
import { decodeXbrle, encodeXbrle } from '../../src/memory/xbrle.js'
import { decodeXbzrle, encodeXbzrle, overflow } from '../../src/memory/xbzrle.js'
import { type Random, random } from '../../src/support/random.js'
import { testSeeds } from '../support/seeds.js'

const pageBytes = 4096

test("XBZRLE gives the bytes of the example in QEMU's documentation", () => {
  // docs/devel/migration (xbzrle): 1001 equal bytes, then these, then equal bytes to the end of the page.
  const before = Buffer.alloc(pageBytes, 0x77)
  const after = Buffer.alloc(pageBytes, 0x77)
  Buffer.from('05060708090a0b0c0d0e0f101112136800006b006d', 'hex').copy(before, 1001)
  Buffer.from('0102030405060708090a0b0c0d0e0f680000670069', 'hex').copy(after, 1001)
  const out = Buffer.alloc(pageBytes)
  const length = encodeXbzrle(before, 0, after, 0, pageBytes, out, 0, pageBytes)
  assert.equal(length, 24)
  assert.equal(out.subarray(0, length).toString('hex'), 'e9070f0102030405060708090a0b0c0d0e0f030167010169')
})

type Delta = typeof encodeXbzrle
type Undelta = typeof decodeXbzrle
const deltas: readonly (readonly [string, Delta, Undelta])[] = [
  ['XBZRLE', encodeXbzrle, decodeXbzrle],
  ['XBRLE', encodeXbrle, decodeXbrle],
]

for (const [name, encode, decode] of deltas) {
  testSeeds(`${name}: any two pages, round trip`, 50, (seed) => {
    const numbers = random(seed)
    const before = randomBytes(numbers, pageBytes)
    const after = Buffer.from(before)
    for (let i = numbers.below(40); i > 0; i--) {
      const from = numbers.below(pageBytes)
      randomBytes(numbers, 1 + numbers.below(60)).copy(after, from)
    }
    const out = Buffer.alloc(pageBytes + 8)
    const length = encode(before, 0, after, 0, pageBytes, out, 3, pageBytes)
    if (length === overflow) return
    const page = Buffer.from(before)
    assert.ok(decode(out, 3, length, page, 0, pageBytes))
    assert.deepEqual(page, after)
  })

  test(`${name}: a page that did not change takes nothing, one that changed everywhere overflows`, () => {
    const before = randomBytes(random(1), pageBytes)
    const out = Buffer.alloc(pageBytes)
    assert.equal(encode(before, 0, before, 0, pageBytes, out, 0, pageBytes), 0)
    const every = before.map((byte, i) => (i % 2 === 0 ? byte ^ (1 + (i % 200)) : byte))
    assert.equal(encode(before, 0, every, 0, pageBytes, out, 0, pageBytes), overflow)
    const other = randomBytes(random(2), pageBytes)
    assert.equal(encode(before, 0, other, 0, pageBytes, out, 0, pageBytes - 1), overflow)
  })

  testSeeds(`${name}: hostile bytes neither crash nor write outside of the page`, 50, (seed) => {
    const numbers = random(seed)
    const encoded = randomBytes(numbers, numbers.below(64))
    const guarded = Buffer.alloc(96, 0xaa)
    decode(encoded, 0, encoded.length, guarded, 16, 64)
    assert.ok(guarded.subarray(0, 16).every((byte) => byte === 0xaa))
    assert.ok(guarded.subarray(80).every((byte) => byte === 0xaa))
  })
}

type Pack = typeof encodeLz
type Unpack = typeof decodeLz
const packers: readonly (readonly [string, Pack, Unpack])[] = [
  ['WKdm', encodeWkdm, decodeWkdm],
  ['LZ', encodeLz, decodeLz],
]
const kinds: readonly Exclude<ContentKind, 'mix'>[] = recipes

for (const [name, encode, decode] of packers) {
  test(`${name}: 10,000 pages of every recipe, round trip`, () => {
    const out = Buffer.alloc(2 * pageBytes)
    const source = Buffer.alloc(pageBytes)
    const page = Buffer.alloc(pageBytes)
    for (const kind of kinds) {
      const content = pageContent({ kind }, pageBytes, 11)
      for (let i = 0; i < 10_000; i++) {
        content.write(i, i % 9, source, 0)
        const length = encode(source, 0, pageBytes, out, 0, 2 * pageBytes)
        assert.ok(length > 0)
        assert.ok(decode(out, 0, length, page, 0, pageBytes), `${kind} ${i}`)
        assert.ok(content.matches(i, i % 9, page, 0), `${kind} ${i}`)
      }
    }
  })

  testSeeds(`${name}: pages of runs, and hostile bytes`, 100, (seed) => {
    const numbers = random(seed)
    const bytes = 64 * (1 + numbers.below(64))
    const source = Buffer.alloc(bytes)
    for (let at = 0; at < bytes; ) {
      const run = 1 + numbers.below(100)
      if (numbers.below(2) === 0) source.fill(numbers.below(256), at, Math.min(bytes, at + run))
      else randomBytes(numbers, Math.min(run, bytes - at)).copy(source, at)
      at += run
    }
    const out = Buffer.alloc(3 * bytes + 64)
    const length = encode(source, 0, bytes, out, 0, out.length)
    const page = Buffer.alloc(bytes)
    assert.ok(decode(out, 0, length, page, 0, bytes))
    assert.deepEqual(page, source)
    for (let cut = 0; cut < Math.min(length, 40); cut++) decode(out, 0, cut, page, 0, bytes)
    const guarded = Buffer.alloc(bytes + 32, 0xaa)
    for (let i = 0; i < 5; i++) out[numbers.below(length)] = numbers.below(256)
    decode(out, 0, length, guarded, 16, bytes)
    assert.ok(guarded.subarray(0, 16).every((byte) => byte === 0xaa))
    assert.ok(guarded.subarray(bytes + 16).every((byte) => byte === 0xaa))
  })
}

test('words of one region compress well with WKdm, repeated bytes with LZ', () => {
  const source = Buffer.alloc(pageBytes)
  const out = Buffer.alloc(2 * pageBytes)
  pageContent({ kind: 'pointer' }, pageBytes, 1).write(3, 0, source, 0)
  assert.ok(encodeWkdm(source, 0, pageBytes, out, 0, pageBytes) < 0.6 * pageBytes)
  pageContent({ kind: 'regular' }, pageBytes, 1).write(3, 0, source, 0)
  assert.ok(encodeLz(source, 0, pageBytes, out, 0, pageBytes) < 0.02 * pageBytes)
})

const specs: readonly (readonly [string, EncodingSpec])[] = [
  ['zero', { kind: 'zero' }],
  ['compress', { kind: 'compress', threads: 1, speedBps: 1e9 }],
  ['xbzrle', delta('xbzrle')],
  ['xbrle', delta('xbrle')],
]

function delta(format: DeltaSpec['format'], cachePages = 64): DeltaSpec {
  return { kind: 'delta', format, cacheBytes: cachePages * pageBytes, cache: 'update', age: 1 }
}

/** Sends versions of pages through an encoder to a destination that decodes them against what it has. */
class Wire {
  readonly #content: ReturnType<typeof pageContent>
  readonly #versions = new Map<number, number>()
  readonly #page = Buffer.alloc(pageBytes)
  readonly #payload = Buffer.alloc(2 * pageBytes)

  constructor(content: ReturnType<typeof pageContent>) {
    this.#content = content
  }

  send(encoder: PageEncoder, page: number, version: number): { code: number; bytes: number } {
    const bytes = encoder.encode(page, version, this.#payload, 5)
    const decoded = decodePage(encoder.code, this.#payload, 5, bytes, this.#page, (target) => {
      const have = this.#versions.get(page)
      if (have !== undefined) this.#content.write(page, have, target, 0)
      return have !== undefined
    })
    assert.ok(decoded, `page ${page} version ${version} as ${encoder.code}`)
    assert.ok(this.#content.matches(page, version, this.#page, 0), `page ${page} version ${version}`)
    assert.ok(bytes <= pageBytes)
    this.#versions.set(page, version)
    return { code: encoder.code, bytes }
  }
}

const contents: readonly ContentSpec[] = [
  ...kinds.map((kind) => ({ kind })),
  { kind: 'mix', shares: { zero: 2, regular: 1, pointer: 1, random: 1, 'sparse-update': 3 } },
]

for (const [name, spec] of specs) {
  testSeeds(
    `${name}: whatever is written in whatever order, the destination has the same bytes`,
    6,
    (seed) => {
      const numbers = random(seed)
      for (const contentSpec of contents) {
        const content = pageContent(contentSpec, pageBytes, seed)
        const encoders = new Encoders(content, 256)
        const wire = new Wire(content)
        const versions = new Uint32Array(256)
        for (let step = 0; step < 400; step++) {
          const age = 1 + Math.floor(step / 60)
          const encoder = encoders.for(spec.kind === 'delta' ? { ...spec, age } : spec)
          const page = numbers.below(256)
          versions[page]! += numbers.below(4)
          wire.send(encoder, page, versions[page]!)
        }
      }
    },
  )
}

test('each class of page gets its encoding', () => {
  const codeOf = (kind: ContentKind): number => {
    const content = pageContent({ kind }, pageBytes, 1)
    return new Wire(content).send(new Encoders(content, 16).for(specs[1]![1]), 3, 2).code
  }
  assert.equal(codeOf('zero'), Encoding.zero)
  assert.equal(codeOf('pointer'), Encoding.wkdm)
  assert.equal(codeOf('random'), Encoding.raw)
  assert.equal(codeOf('regular'), Encoding.lz)
})

test('a delta of a word is a few bytes; without a cache, and in the first sweep, pages go raw', () => {
  const content = pageContent({ kind: 'sparse-update' }, pageBytes, 1)
  const encoders = new Encoders(content, 64)
  const wire = new Wire(content)
  const send = (version: number, spec: DeltaSpec): { code: number; bytes: number } =>
    wire.send(encoders.for(spec), 3, version)
  const spec = delta('xbzrle')
  assert.equal(send(0, { ...spec, cache: 'idle' }).code, Encoding.raw)
  assert.equal(send(1, spec).code, Encoding.raw, 'a miss')
  const hit = send(2, spec)
  assert.equal(hit.code, Encoding.xbzrle)
  assert.ok(hit.bytes <= 8, `${hit.bytes}`)
  assert.equal(send(2, spec).code, Encoding.same)
  assert.equal(send(3, { ...spec, cache: 'frozen' }).code, Encoding.xbzrle)
  const none = new Encoders(content, 64)
  for (const version of [4, 5]) {
    assert.equal(wire.send(none.for(delta('xbzrle', 0)), 3, version).code, Encoding.raw)
  }
})

test('an entry that was used in the last two syncs is not replaced, an older one is', () => {
  const content = pageContent({ kind: 'sparse-update' }, pageBytes, 1)
  const encoders = new Encoders(content, 64)
  const wire = new Wire(content)
  const spec = delta('xbzrle', 8)
  // Pages 1 and 9 share a place in a cache of 8.
  const send = (page: number, version: number, age: number): number =>
    wire.send(encoders.for({ ...spec, age }), page, version).code
  send(1, 1, 1)
  send(9, 1, 2)
  assert.equal(send(9, 2, 2), Encoding.raw, 'page 1 keeps the place')
  assert.equal(send(1, 2, 2), Encoding.xbzrle)
  send(9, 3, 4)
  assert.equal(send(9, 4, 4), Encoding.xbzrle, 'page 9 has it now')
})

function randomBytes(numbers: Random, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => numbers.below(256)))
}

test('a page of few bytes is sent as their places and values', () => {
  const content = {
    pageBytes,
    write: (page: number, version: number, target: Uint8Array, at: number) => {
      target.fill(0, at, at + pageBytes)
      for (let i = 0; i < 100 + page; i++) target[at + ((i * 37 + version) % pageBytes)] = 1 + (i % 255)
    },
    matches: (page: number, version: number, bytes: Uint8Array, at: number) => {
      const expected = Buffer.alloc(pageBytes)
      content.write(page, version, expected, 0)
      return expected.equals(bytes.subarray(at, at + pageBytes))
    },
    isZero: () => false,
  }
  const encoder = new Encoders(content, 2000).for(specs[1]![1])
  const sent = new Wire(content).send(encoder, 3, 1)
  assert.deepEqual(sent, { code: Encoding.sparse, bytes: 3 * 103 })
  // More than a quarter of the page: another class.
  assert.notEqual(new Wire(content).send(encoder, 1500, 1).code, Encoding.sparse)
})
