import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageVersions } from '../../src/memory/page-versions.js'
import { random } from '../../src/support/random.js'
import { testSeeds } from '../support/seeds.js'

const pages = 40

testSeeds('any sequence of writes and settings leaves what a list would hold', 20, (seed) => {
  const numbers = random(seed)
  const versions = new PageVersions(pages)
  const expected = new Uint32Array(pages)
  for (let step = 0; step < 3000; step++) {
    const page = numbers.below(pages)
    if (step % 500 === 499) {
      const version = numbers.uint32() >>> numbers.below(32)
      versions.set(page, version)
      expected[page] = version
    } else if (step % 2 === 0) {
      versions.countUp(page)
      expected[page]!++
    } else {
      // The same few pages again and again, past what one byte counts.
      const list = Uint32Array.from({ length: 8 }, () => numbers.below(4))
      versions.countUpAll(list, 1, 7)
      for (const one of list.subarray(1, 7)) expected[one]!++
    }
  }
  assert.deepEqual(versions.list(), expected)
  assert.deepEqual(versions.clone().list(), expected)
})

test('a version counts on from 2^32 - 1 to 0', () => {
  const versions = new PageVersions(2)
  versions.set(1, 2 ** 32 - 1)
  versions.countUp(1)
  assert.deepEqual([...versions.list()], [0, 0])
})

for (const least of [0, 300]) {
  test(`versions from ${least} on are followed, and one that goes back is told`, () => {
    const there = new PageVersions(pages)
    const here = new PageVersions(pages)
    const all = Uint32Array.from({ length: pages }, (_, page) => page)
    there.setAll(all.map((page) => page + least))
    assert.ok(here.follow(there, all, 0, 30))
    assert.deepEqual(
      here.list(),
      there.list().map((version, page) => (page < 30 ? version : 0)),
    )
    there.set(7, 6)
    assert.ok(here.follow(there, all, 8, pages))
    assert.ok(!here.follow(there, all, 0, 8))
  })
}
