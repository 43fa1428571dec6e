/** What a report says of where the time of an outage went. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moments, type OutageResult } from '../../src/experiment/result.js'
import { partsText } from '../../src/report/outage-section.js'

function outage(firstQuestionMs: number, change: Partial<OutageResult> = {}): OutageResult {
  return {
    client_ms: firstQuestionMs + 1 - 90,
    probes_sent: 3000,
    probes_lost: 40,
    from_ms: 90,
    to_ms: firstQuestionMs + 1,
    open: false,
    rate_per_s: 1000,
    class: 'best-effort',
    timeline: [
      { at_ms: 91, what: moments.suspended },
      { at_ms: 121, what: moments.running },
      { at_ms: firstQuestionMs, what: moments.firstQuestion },
    ],
    latency: [],
    wire: null,
    ...change,
  }
}

test('questions that come through at once blame nobody', () => {
  const text = partsText(outage(122))
  assert.match(text, /suspended for 30 ms, and .* took 1 ms to reach it/)
  assert.doesNotMatch(text, /class/)
})

test('questions that are kept out of the congested port name the port, the class and the ways out', () => {
  const text = partsText(outage(1650))
  assert.match(text, /took 1529 ms/)
  assert.match(text, /best-effort .*congested port.*post-copy.*client\.class/)
})

test('so does a gap that begins after the guest has moved, when the pages that follow it fill the link', () => {
  const text = partsText(outage(122, { from_ms: 140, to_ms: 840 }))
  assert.match(text, /ran at the destination all that time.*best-effort .*congested port/)
})

test('a gap that is not the handover’s is not explained by it', () => {
  assert.equal(partsText(outage(122, { from_ms: 10, to_ms: 80 })), '')
  assert.equal(partsText(outage(122, { open: true })), '')
  assert.equal(partsText(outage(122, { timeline: [] })), '')
})
