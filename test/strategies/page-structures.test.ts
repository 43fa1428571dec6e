import assert from 'node:assert/strict'
import { HeldPages } from '../../src/strategies/deferral.js'
import { RecentPages } from '../../src/strategies/recent-pages.js'
import { ReuseDistances } from '../../src/strategies/reuse-distances.js'
import { random } from '../../src/support/random.js'
import { testSeeds } from '../support/seeds.js'

testSeeds('the list holds the most recently accessed pages, and the tree the same ones', 40, (seed) => {
  const numbers = random(seed)
  const totalPages = 10 + numbers.below(200)
  const capacity = 1 + numbers.below(totalPages)
  const recent = new RecentPages(totalPages, capacity)
  let reference: number[] = []
  for (let step = 0; step < 600; step++) {
    const page = numbers.below(numbers.below(2) === 0 ? totalPages : Math.ceil(totalPages / 5))
    recent.access(page)
    reference = [page, ...reference.filter((other) => other !== page)].slice(0, capacity)
    assert.equal(recent.count, reference.length)
  }
  assert.deepEqual(recent.newestFirst(), reference)
  assert.deepEqual(
    recent.inOrder(),
    reference.toSorted((a, b) => a - b),
  )
  for (let page = 0; page < totalPages; page++) assert.equal(recent.pages.has(page), reference.includes(page))
})

testSeeds('reuse distances are those of counting by hand', 30, (seed) => {
  const numbers = random(seed)
  const totalPages = 2 + numbers.below(40)
  const distances = new ReuseDistances(totalPages)
  const writes: number[] = []
  for (let step = 0; step < 500; step++) {
    const page = numbers.below(totalPages)
    const before = writes.lastIndexOf(page)
    const expected = before === -1 ? undefined : new Set(writes.slice(before + 1)).size
    assert.equal(distances.write(page), expected)
    writes.push(page)
  }
})

testSeeds('of too many pages the coldest are released', 30, (seed) => {
  const numbers = random(seed)
  const totalPages = 64
  const most = numbers.below(20)
  const held = new HeldPages(totalPages, most)
  const heat = Uint8Array.from({ length: totalPages }, () => numbers.below(6))
  const pages = [...new Set(Array.from({ length: 40 }, () => numbers.below(totalPages)))]
  for (const page of pages) held.add(page)
  held.releaseCold(heat)
  assert.equal(held.pages.count, Math.min(most, pages.length))
  const kept = pages.filter((page) => held.pages.has(page)).map((page) => heat[page]!)
  const released = pages.filter((page) => !held.pages.has(page)).map((page) => heat[page]!)
  assert.ok(Math.min(...kept, 99) >= Math.max(...released, 0))
})
