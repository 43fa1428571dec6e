/** What the receiver tells from sequence numbers, against a count with a set. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arrivals } from '../../../src/agent/traffic/arrivals.js'
import { random } from '../../../src/support/random.js'

test('losses, duplicates and reordering are told apart', () => {
  const arrivals = new Arrivals()
  for (const sequence of [0, 1, 3, 2, 3, 6, 6, 5]) arrivals.observe(sequence)
  assert.equal(arrivals.unique, 6)
  assert.equal(arrivals.lost, 1)
  assert.equal(arrivals.duplicates, 2)
  assert.equal(arrivals.reordered, 2)
})

test('a million packets through a bad network', () => {
  const seed = 3
  const dice = random(seed)
  const arrivals = new Arrivals()
  const seen = new Set<number>()
  let duplicates = 0
  const late: number[] = []
  const observe = (sequence: number): void => {
    if (seen.has(sequence)) duplicates++
    seen.add(sequence)
    arrivals.observe(sequence)
  }
  for (let sequence = 0; sequence < 1_000_000; sequence++) {
    const fate = dice.below(100)
    if (fate === 0) continue
    if (fate === 1) late.push(sequence)
    else observe(sequence)
    if (fate === 2) observe(sequence)
    if (late.length > 0 && dice.below(50) === 0) observe(late.shift()!)
  }
  observe(1_000_000)
  assert.equal(arrivals.unique, seen.size, `seed ${seed}`)
  assert.equal(arrivals.duplicates, duplicates, `seed ${seed}`)
  assert.equal(arrivals.lost, 1_000_001 - seen.size, `seed ${seed}`)
})

test('a gap longer than the memory, and a packet older than it', () => {
  const arrivals = new Arrivals()
  for (const sequence of [0, 1, 500_000, 2, 500_001]) arrivals.observe(sequence)
  assert.equal(arrivals.unique, 4)
  assert.equal(arrivals.tooLate, 1)
  assert.equal(arrivals.duplicates, 0)
})
