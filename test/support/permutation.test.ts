import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Permutation } from '../../src/support/permutation.js'
import { random } from '../../src/support/random.js'
import { testSeeds } from './seeds.js'

const sizes = [1, 2, 3, 5, 16, 17, 100, 1000, 4096, 5000]

testSeeds('each number has one place, whatever the size', 20, (seed) => {
  for (const size of sizes) {
    const list = new Permutation(size, random(seed)).list()
    assert.deepEqual(
      [...list].sort((a, b) => a - b),
      Array.from({ length: size }, (_, i) => i),
    )
  }
})

test('the numbers of a stretch are those of the whole', () => {
  const order = new Permutation(1000, random(3))
  const part = new Uint32Array(100)
  order.fill(417, part, 83)
  assert.deepEqual(part.subarray(0, 83), order.list().subarray(417, 500))
})

// For a random order: mean of the distance between neighbours n / 3, ascents in half of them, and about one number in place.
test('it looks random: no run, no trend, no number at home more often than by chance', () => {
  const size = 10_000
  const seeds = 50
  let [distance, ascents, athome, front] = [0, 0, 0, 0]
  for (let seed = 0; seed < seeds; seed++) {
    const list = new Permutation(size, random(seed)).list()
    for (let i = 1; i < size; i++) {
      distance += Math.abs(list[i]! - list[i - 1]!)
      if (list[i]! > list[i - 1]!) ascents++
      if (list[i] === i) athome++
    }
    // Of the first tenth of places, how many have a number of the first tenth.
    for (let i = 0; i < size / 10; i++) if (list[i]! < size / 10) front++
  }
  const pairs = seeds * (size - 1)
  close(distance / pairs, size / 3, 0.01)
  close(ascents / pairs, 0.5, 0.01)
  close(front / (seeds * (size / 10)), 0.1, 0.05)
  assert.ok(athome > 0.4 * seeds && athome < 2 * seeds, `${athome} at home in ${seeds}`)
})

test('every number is first about as often', () => {
  const size = 8
  const runs = 16_000
  const first = new Array<number>(size).fill(0)
  for (let seed = 0; seed < runs; seed++) first[new Permutation(size, random(seed)).list()[0]!]!++
  for (const count of first) close(count, runs / size, 0.1)
})

function close(value: number, expected: number, share: number): void {
  assert.ok(Math.abs(value - expected) <= share * expected, `${value}, expected ${expected}`)
}
