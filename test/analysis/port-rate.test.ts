/** The rate of a port is read off the times at which it was busy, and off nothing else. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PortRate } from '../../src/analysis/port-rate.js'

const frameBytes = 1518
/** One frame at 200 Mbit/s. */
const serviceNs = (frameBytes * 8 * 1e9) / 200e6

test('a backlogged port shows its rate', () => {
  const port = new PortRate()
  for (let i = 1; i <= 2000; i++) port.leave(0, i * serviceNs, frameBytes)
  const { bps, busyNs } = port.result()
  assert.ok(Math.abs(bps - 200e6) < 1, `${bps}`)
  assert.ok(busyNs > 100e6)
})

test('a port that is offered less than its rate says nothing', () => {
  const port = new PortRate()
  for (let i = 1; i <= 2000; i++) port.leave(3 * i * serviceNs, (3 * i + 1) * serviceNs, frameBytes)
  assert.deepEqual(port.result(), { busyNs: 0, bps: 0 })
})

test('idle times between two busy ones are not counted, nor the burst at their beginning', () => {
  const port = new PortRate()
  for (let round = 0; round < 10; round++) {
    const start = round * 1e9
    for (let i = 1; i <= 20; i++) port.leave(start, start + i, frameBytes)
    for (let i = 1; i <= 2000; i++) port.leave(start, start + 20 + i * serviceNs, frameBytes)
  }
  assert.ok(Math.abs(port.result().bps - 200e6) < 1)
})
