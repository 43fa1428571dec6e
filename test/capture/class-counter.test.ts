/** Frames are counted under their own PCP and DSCP, whole, and once. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClassCounter } from '../../src/capture/class-counter.js'

function frame(tag: string, payload: string): Uint8Array {
  return Buffer.from(`ffffffffffff02000000000a${tag}${payload}`, 'hex')
}

/** 20 bytes of IPv4 header with this DS field. */
const ipv4 = (dsField: string): string =>
  `080045${dsField}0014000000000140000000000000000000${'00'.repeat(3)}`

test('tagged, untagged and not IP', () => {
  const counter = new ClassCounter()
  // As the library does: one buffer for all frames, larger than any of them, with leftovers behind.
  const buffer = new Uint8Array(256).fill(0xff)
  const frames = [
    frame('8100e064', ipv4('e0')),
    frame('81002064', ipv4('04')),
    frame('8100e064', ipv4('e3')),
    frame('', ipv4('b8')),
    frame('', '0806'),
  ]
  for (const bytes of frames) {
    buffer.set(bytes)
    counter.add(buffer, bytes.length)
  }
  assert.equal(counter.frames, 5)
  assert.deepEqual(counter.take(), [
    { pcp: 1, dscp: 1, frames: 1, bytes: frames[1]!.length },
    { pcp: 7, dscp: 56, frames: 2, bytes: 2 * frames[0]!.length },
    { pcp: null, dscp: 46, frames: 1, bytes: frames[3]!.length },
    { pcp: null, dscp: null, frames: 1, bytes: 14 },
  ])
  assert.deepEqual(counter.take(), [], 'counted once')
})
