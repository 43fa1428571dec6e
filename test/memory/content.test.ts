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
