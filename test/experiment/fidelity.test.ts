/** What makes a run invalid. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FidelityInput, fidelityOf } from '../../src/experiment/fidelity.js'

const good: FidelityInput = {
  flood: { lossAtSwitch: 1 / 3, lostAtSender: 0 },
  framesDroppedByCapture: 0,
  framesWrong: 0,
  frameLedgerDifference: 0,
  byteLedgerDifference: 0,
  port: { busyNs: 1e9, bps: 200e6 },
  linkBps: 200e6,
  sourceCpuShare: 0.2,
  sourceEventLoopDelayMs: 6,
  dirtyPagesPerSecond: { asked: 3000, achieved: 3000 },
  traffic: [],
}

function broken(change: Partial<FidelityInput>): readonly string[] {
  const { valid, checks } = fidelityOf({ ...good, ...change })
  const names = checks.filter(({ ok }) => !ok).map(({ name }) => name)
  assert.equal(valid, names.length === 0)
  return names
}

test('an outage that client and captures tell differently is of a box that held answers up', () => {
  assert.deepEqual(broken({}), [])
  assert.deepEqual(broken({ outage: { clientMs: 33.53, wireMs: 33.52 } }), [])
  assert.deepEqual(broken({ outage: { clientMs: 230, wireMs: 38 } }), ['outage_difference'])
  // Of a long one, what the same moment of hold-up is a small part of.
  assert.deepEqual(broken({ outage: { clientMs: 1010, wireMs: 1000 } }), [])
})
