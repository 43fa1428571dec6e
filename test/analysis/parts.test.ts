import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameMatcher } from '../../src/analysis/frame-matcher.js'
import { Histogram } from '../../src/analysis/histogram.js'
import { RoundTrip } from '../../src/analysis/round-trip.js'
import { SequenceSet } from '../../src/analysis/sequence-set.js'
import { random } from '../../src/support/random.js'

test('percentiles are within 0.3 % of the sorted values, from nanoseconds to hours', () => {
  const seed = 7
  const draw = random(seed)
  const values = Array.from({ length: 20_000 }, () => Math.floor(10 ** (draw.unit() * 13)))
  const histogram = new Histogram()
  for (const value of values) histogram.add(value)
  const sorted = values.toSorted((a, b) => a - b)
  for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = sorted[Math.ceil(share * sorted.length) - 1]!
    const got = histogram.percentileNs(share)!
    assert.ok(Math.abs(got - exact) <= exact * 0.003 + 0.5, `p${share}: ${got} for ${exact}, seed ${seed}`)
  }
  assert.equal(new Histogram().percentileNs(0.5), undefined)
})

test('overlap of random segments equals that of a plain set of bytes, also across the wrap', () => {
  const seed = 11
  const draw = random(seed)
  for (const origin of [0, 2 ** 31 - 500, 2 ** 32 - 500]) {
    const set = new SequenceSet()
    const plain = new Set<number>()
    for (let i = 0; i < 2000; i++) {
      const start = draw.below(3000)
      const length = 1 + draw.below(60)
      let expected = 0
      for (let byte = start; byte < start + length; byte++) {
        if (plain.has(byte)) expected++
        plain.add(byte)
      }
      assert.equal(set.add((origin + start) | 0, length), expected, `step ${i}, seed ${seed}`)
    }
  }
})

test('a stream beyond 4 GiB does not look like a retransmission', () => {
  const set = new SequenceSet()
  const segment = 1 << 20
  let repeated = 0
  for (let i = 0; i < 10_000; i++) repeated += set.add((i * segment) | 0, segment)
  assert.equal(repeated, 0)
  assert.equal(set.add((9_999 * segment) | 0, segment), segment)
})

test('no round trip is measured over a retransmission, and measuring goes on after it', () => {
  const trip = new RoundTrip()
  trip.sent(1000, 0)
  trip.sent(2000, 10)
  assert.equal(trip.acknowledged(1000, 500), 500)
  trip.resent()
  assert.equal(trip.acknowledged(2000, 9000), -1)
  trip.sent(3000, 10_000)
  assert.equal(trip.acknowledged(3000, 10_700), 700)
  assert.equal(trip.acknowledged(3000, 11_000), -1, 'a duplicate acknowledgement is no sample')
})

test('copies of one frame are matched one to one, in the order of their class', () => {
  const lost: number[] = []
  const matcher = new FrameMatcher(8, (owner) => lost.push(owner))
  const copy = { low: 1, high: 2 }
  const other = { low: 1, high: 3 }
  matcher.enter(copy, 100, 0) // lost
  matcher.enter(other, 200, 1)
  matcher.enter(copy, 300, 2)
  assert.equal(matcher.leave(other, 0), true)
  assert.equal(matcher.matchedTimeNs, 200)
  assert.equal(matcher.leave(copy, 0), true)
  assert.equal(matcher.matchedTimeNs, 300, 'the copy that went in after the frame that came out before it')
  assert.equal(matcher.leave({ low: 5, high: 5 }, 0), false)
  matcher.end()
  assert.deepEqual(lost, [0])
})

test('random loss among many copies is counted exactly, and no entry is matched twice', () => {
  const seed = 3
  const draw = random(seed)
  let lost = 0
  const matcher = new FrameMatcher(1, () => lost++)
  const queue: { low: number; high: number }[] = []
  let dropped = 0
  let matched = 0
  for (let i = 0; i < 50_000; i++) {
    const id = { low: draw.below(8), high: draw.below(2) }
    matcher.enter(id, i, i)
    if (draw.below(3) === 0) dropped++
    else queue.push(id)
    while (queue.length > 100) if (matcher.leave(queue.shift()!, 0)) matched++
  }
  for (const id of queue) if (matcher.leave(id, 0)) matched++
  matcher.end()
  assert.equal(lost, dropped, `seed ${seed}`)
  assert.equal(matched, 50_000 - dropped, `seed ${seed}`)
})
