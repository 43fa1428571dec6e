import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientReport } from '../../../src/agent/client/outage.js'

const msNs = 1e6

/** A question every millisecond from 0 on; `rtt` is null where none is answered. */
function asked(count: number, rtt: (i: number) => number | null) {
  const sentNs = Array.from({ length: count }, (_, i) => i * msNs)
  const answeredNs = sentNs.map((ns, i) => {
    const ms = rtt(i)
    return ms === null ? 0 : ns + ms * msNs
  })
  return { sentNs, answeredNs }
}

test('the outage lasts from the last answer before it to the first one after', () => {
  const answers = asked(1000, (i) => (i >= 300 && i < 420 ? null : 0.25))
  const { asked: sent, unanswered, gap } = clientReport(answers, 100 * msNs)
  assert.deepEqual({ sent, unanswered }, { sent: 900, unanswered: 120 })
  assert.deepEqual(gap, { fromNs: 299.25 * msNs, toNs: 420.25 * msNs, open: false })
})

test('what was longer before the migration does not count', () => {
  const answers = asked(1000, (i) => (i < 200 || (i >= 500 && i < 510) ? null : 0.1))
  assert.equal(clientReport(answers, 300 * msNs).gap.fromNs, 499.1 * msNs)
  assert.equal(clientReport(answers, 0).gap.fromNs, 0)
})

test('a guest that never answers again leaves the outage open, up to the last question', () => {
  const answers = asked(500, (i) => (i < 200 ? 0.1 : null))
  assert.deepEqual(clientReport(answers, 0).gap, { fromNs: 199.1 * msNs, toNs: 499 * msNs, open: true })
})

test('answers that overtake each other leave no gap between them', () => {
  const answers = asked(100, (i) => (i === 50 ? 30 : 0.5))
  const { gap, unanswered } = clientReport(answers, 0)
  assert.equal(unanswered, 0)
  assert.equal(gap.toNs - gap.fromNs, 2 * msNs)
})

test('near the outage every question is told, in the middle of a long one none', () => {
  const answers = asked(3000, (i) => (i >= 1000 && i < 2000 ? null : 0.25))
  const { near } = clientReport(answers, 0)
  assert.ok(near.length <= 400)
  assert.equal(near[0]?.sentNs, 950 * msNs)
  assert.equal(near[0]?.roundTripNs, 0.25 * msNs)
  assert.ok(near.some(({ sentNs, roundTripNs }) => sentNs === 1001 * msNs && roundTripNs === null))
  assert.equal(near.at(-1)?.sentNs, 2050 * msNs)
})
