import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageSet } from '../../src/memory/page-set.js'
import { random } from '../../src/support/random.js'
import { testSeeds } from '../support/seeds.js'

function members(set: PageSet): number[] {
  const found: number[] = []
  for (let page = set.next(0); page !== -1; page = set.next(page + 1)) found.push(page)
  return found
}

testSeeds('any sequence of operations leaves what a Set would hold', 60, (seed) => {
  const numbers = random(seed)
  const capacity = 1 + numbers.below(300)
  const set = new PageSet(capacity)
  const reference = new Set<number>()
  const other = (): [PageSet, Set<number>] => {
    const pages = Array.from({ length: numbers.below(60) }, () => numbers.below(capacity))
    return [PageSet.of(capacity, pages), new Set(pages)]
  }
  for (let step = 0; step < 300; step++) {
    const page = numbers.below(capacity)
    const [theirs, theirReference] = other()
    switch (numbers.below(7)) {
      case 0:
      case 1:
        set.add(page)
        reference.add(page)
        break
      case 2:
        set.delete(page)
        reference.delete(page)
        break
      case 3:
        set.addAll(theirs)
        for (const p of theirReference) reference.add(p)
        break
      case 4:
        set.deleteAll(theirs)
        for (const p of theirReference) reference.delete(p)
        break
      case 5:
        if (numbers.below(4) === 0) {
          set.retainAll(theirs)
          for (const p of [...reference]) if (!theirReference.has(p)) reference.delete(p)
        }
        break
      default:
        set.drainInto(theirs)
        for (const p of reference) theirReference.add(p)
        assert.deepEqual(
          members(theirs),
          [...theirReference].sort((a, b) => a - b),
        )
        assert.equal(theirs.count, theirReference.size)
        reference.clear()
    }
    assert.equal(set.count, reference.size)
    assert.equal(set.has(page), reference.has(page))
    assert.deepEqual(
      members(set),
      [...reference].sort((a, b) => a - b),
    )
  }
})

testSeeds('fill hands out all members in ascending order, whatever the batch size', 40, (seed) => {
  const numbers = random(seed)
  const capacity = 1 + numbers.below(500)
  const set = PageSet.of(
    capacity,
    Array.from({ length: numbers.below(capacity + 1) }, () => numbers.below(capacity)),
  )
  const out = new Uint32Array(1 + numbers.below(70))
  const found: number[] = []
  for (let from = 0; ; ) {
    const count = set.fill(from, out)
    if (count === 0) break
    found.push(...out.subarray(0, count))
    from = out[count - 1]! + 1
  }
  assert.deepEqual(found, members(set))
})

test('a full set holds exactly its capacity', () => {
  for (const capacity of [0, 1, 31, 32, 33, 4096, 4097]) {
    const set = PageSet.full(capacity)
    assert.equal(set.count, capacity)
    assert.equal(members(set).length, capacity)
  }
})

test('a clone does not follow its origin', () => {
  const set = PageSet.of(64, [1, 63])
  const copy = set.clone()
  set.add(2)
  copy.delete(1)
  assert.deepEqual([members(set), members(copy)], [[1, 2, 63], [63]])
})

test('the last page of the largest guest is a member like any other', () => {
  const set = new PageSet(2 ** 31 + 5)
  set.add(2 ** 31 + 4)
  assert.equal(set.next(0), 2 ** 31 + 4)
  assert.equal(set.next(2 ** 31 + 4), 2 ** 31 + 4)
  const out = new Uint32Array(2)
  assert.equal(set.fill(2 ** 31, out), 1)
  assert.equal(out[0], 2 ** 31 + 4)
})

test('page sets of two guests do not mix', () => {
  assert.throws(() => new PageSet(10).addAll(new PageSet(11)), /one capacity/)
})

testSeeds('takeFrom splits a list by membership and keeps its order', 40, (seed) => {
  const numbers = random(seed)
  const capacity = 40 + numbers.below(400)
  const pick = (): number[] => Array.from({ length: numbers.below(capacity) }, () => numbers.below(capacity))
  const among = PageSet.of(capacity, pick())
  const into = PageSet.of(capacity, pick())
  const before = new Set(members(into))
  const pages = [...new Set(pick())]
  const list = Uint32Array.from(pages)
  const kept = into.takeFrom(list, pages.length, among)
  assert.deepEqual(
    [...list.subarray(0, kept)],
    pages.filter((page) => !among.has(page)),
  )
  const expected = [...new Set([...before, ...pages.filter((page) => among.has(page))])].sort((a, b) => a - b)
  assert.deepEqual(members(into), expected)
  assert.equal(into.count, expected.length)
})

testSeeds('previous finds the last member up to a page', 40, (seed) => {
  const numbers = random(seed)
  const capacity = 1 + numbers.below(200)
  const set = PageSet.of(
    capacity,
    Array.from({ length: numbers.below(40) }, () => numbers.below(capacity)),
  )
  for (let from = -1; from < capacity + 3; from++) {
    let expected = Math.min(from, capacity - 1)
    while (expected >= 0 && !set.has(expected)) expected--
    assert.equal(set.previous(from), Math.max(-1, expected), `from ${from}`)
  }
})

testSeeds('the bitmap goes in parts and comes back, bits past the end mean nothing', 20, (seed) => {
  const numbers = random(seed)
  const capacity = 1 + numbers.below(500)
  const set = PageSet.of(
    capacity,
    Array.from({ length: numbers.below(300) }, () => numbers.below(capacity)),
  )
  const partBytes = 1 + numbers.below(9)
  const copy = new PageSet(capacity)
  for (let first = 0; first < capacity; first += 8 * partBytes) {
    const bits = set.toBits(first, partBytes)
    for (const [i, byte] of bits.entries()) {
      for (let bit = 0; bit < 8; bit++) {
        const page = first + 8 * i + bit
        assert.equal((byte >>> bit) & 1, page < capacity && set.has(page) ? 1 : 0)
      }
    }
    copy.addBits(first, bits)
    copy.addBits(first, bits)
  }
  assert.deepEqual(members(copy), members(set))
  assert.equal(copy.count, set.count)
  const all = new PageSet(capacity)
  all.addBits(0, new Uint8Array(100).fill(255))
  assert.equal(all.count, capacity)
  assert.deepEqual(all.words, PageSet.full(capacity).words)
})
