/** A migration that reaches its time limit in the middle of a copy is aborted with all its figures, and never crashes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { strategyNamed } from '../../src/strategies/index.js'
import { migrateOverLoopback } from './loopback.js'

test('a limit between two milliseconds, reached in mid-copy, ends as aborted', async () => {
  const strategy = strategyNamed('pre-copy').create({})
  // 8 GiB: no machine moves them in 0.6 s.
  for (let i = 0; i < 6; i++) {
    // Timers count whole milliseconds: one that is rounded down gives the lane up before the limit is there.
    const maxTotalNs = 600e6 + 0.95e6 + i * 3_010_000
    const { source } = await migrateOverLoopback(strategy, { pages: 2_097_152, maxTotalNs })
    assert.equal(source.record.outcome, 'aborted', source.record.reason)
    assert.ok(source.record.totalNs >= maxTotalNs, 'not before its time')
  }
})
