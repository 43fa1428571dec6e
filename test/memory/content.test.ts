import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { pageContent } from '../../src/memory/content.js'
import { random } from '../../src/support/random.js'

const pageBytes = 4096

function bytesOf(content: ReturnType<typeof pageContent>, page: number, version: number): Buffer {
  const bytes = Buffer.alloc(pageBytes, 0xee)
  content.write(page, version, bytes, 0)
  return bytes
}

test('both ends make the same bytes of a page and version, and no other version matches them', () => {
  const here = pageContent({ kind: 'random' }, pageBytes, 7)
  const there = pageContent({ kind: 'random' }, pageBytes, 7)
  const numbers = random(3)
  for (let i = 0; i < 200; i++) {
    const page = numbers.below(2 ** 24)
    const version = numbers.below(1000)
    const bytes = bytesOf(here, page, version)
    assert.ok(there.matches(page, version, bytes, 0))
    assert.ok(!there.matches(page, version + 1, bytes, 0))
    assert.ok(!there.matches(page + 1, version, bytes, 0))
  }
})

for (const kind of ['regular', 'pointer', 'sparse-update'] as const) {
  test(`${kind}: both ends make the same bytes, and each version differs from the others`, () => {
    const here = pageContent({ kind }, pageBytes, 7)
    const there = pageContent({ kind }, pageBytes, 7)
    for (let page = 0; page < 40; page++) {
      for (let version = 0; version < 12; version++) {
        const bytes = bytesOf(here, page, version)
        assert.ok(there.matches(page, version, bytes, 0))
        assert.ok(!there.matches(page, version + 1, bytes, 0))
        assert.ok(!there.matches(page + 1, version, bytes, 0))
      }
    }
  })
}

test('a sparse update changes one word of the page', () => {
  const content = pageContent({ kind: 'sparse-update' }, pageBytes, 1)
  for (let version = 0; version < 30; version++) {
    const before = bytesOf(content, 5, version)
    const after = bytesOf(content, 5, version + 1)
    const changed = after.filter((byte, i) => byte !== before[i]).length
    assert.ok(changed >= 1 && changed <= 4, `version ${version}: ${changed} bytes`)
  }
})

test('a mix deals pages out by weight, each page always to one recipe', () => {
  const content = pageContent({ kind: 'mix', shares: { zero: 1, random: 3 } }, pageBytes, 1)
  const zeros = Array.from({ length: 4000 }, (_, page) => content.isZero(page, 0)).filter(Boolean).length
  assert.ok(zeros > 900 && zeros < 1100, `${zeros} of 4000`)
  for (let page = 0; page < 100; page++) assert.equal(content.isZero(page, 0), content.isZero(page, 5))
})

test('one flipped bit anywhere in a page is found', () => {
  const content = pageContent({ kind: 'random' }, pageBytes, 1)
  const bytes = bytesOf(content, 12, 3)
  for (const at of [0, 7, 8, 2048, pageBytes - 1]) {
    bytes[at] = bytes[at]! ^ 1
    assert.ok(!content.matches(12, 3, bytes, 0), `byte ${at}`)
    bytes[at] = bytes[at]! ^ 1
  }
  assert.ok(content.matches(12, 3, bytes, 0))
})

test('random pages do not compress, and another seed makes other pages', () => {
  const content = pageContent({ kind: 'random' }, pageBytes, 1)
  const bytes = bytesOf(content, 5, 0)
  assert.ok(deflateRawSync(bytes).length > 0.99 * pageBytes)
  assert.notDeepEqual(bytes, bytesOf(pageContent({ kind: 'random' }, pageBytes, 2), 5, 0))
})

test('a zero page is zero, says so, and is written where asked only', () => {
  const content = pageContent({ kind: 'zero' }, pageBytes, 1)
  assert.ok(content.isZero(4, 9))
  const target = Buffer.alloc(pageBytes + 2, 1)
  content.write(4, 9, target, 1)
  assert.deepEqual([target[0], target[1], target[pageBytes], target[pageBytes + 1]], [1, 0, 0, 1])
  assert.ok(content.matches(4, 9, target, 1))
  assert.ok(!content.matches(4, 9, target, 2))
})
