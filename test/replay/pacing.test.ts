/** When frames are due: at their own times, at a rate, and over several passes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Pace, Pacing } from '../../src/replay/pacing.js'

const times = [5e9, 5.001e9, 5.001e9, 5.003e9]

function dues(pace: Pace, passes = 1, stamps = times): number[] {
  const pacing = new Pacing(pace)
  return Array.from({ length: passes }, (_, pass) => {
    if (pass > 0) pacing.nextPass()
    return stamps.map((timeNs) => pacing.due(timeNs, 1250))
  }).flat()
}

test('at its own speed, or a multiple of it', () => {
  assert.deepEqual(dues({ kind: 'speed', speed: 1 }), [0, 1e6, 1e6, 3e6])
  assert.deepEqual(dues({ kind: 'speed', speed: 2 }), [0, 0.5e6, 0.5e6, 1.5e6])
})

test('at a rate of bits or frames, whatever the time stamps say', () => {
  assert.deepEqual(dues({ kind: 'bps', bps: 10e6 }), [0, 1e6, 2e6, 3e6])
  assert.deepEqual(dues({ kind: 'pps', pps: 100 }, 2).slice(-1), [70e6])
})

test('a second pass begins one mean distance after the first', () => {
  assert.deepEqual(dues({ kind: 'speed', speed: 1 }, 3), [
    ...[0, 1e6, 1e6, 3e6],
    ...[4e6, 5e6, 5e6, 7e6],
    ...[8e6, 9e6, 9e6, 11e6],
  ])
})

test('a time stamp that runs backwards does not', () => {
  assert.deepEqual(dues({ kind: 'speed', speed: 1 }, 1, [5e9, 5.002e9, 5.001e9, 5.003e9]), [0, 2e6, 2e6, 3e6])
})
