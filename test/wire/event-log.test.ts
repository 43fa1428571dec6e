import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePosition, decodeRecords, encodePosition, encodeRecords } from '../../src/wire/event-log.js'

const records = [
  { accesses: 0, payload: Uint8Array.of(7, 8) },
  { accesses: 2 ** 33, payload: new Uint8Array(0) },
  { accesses: 2 ** 33, payload: Uint8Array.of(9) },
]

test('a record is u64 accesses, u32 length and the input', () => {
  const bytes = encodeRecords(records)
  assert.equal(
    bytes.toString('hex'),
    [
      '0000000000000000',
      '00000002',
      '0708',
      '0000000200000000',
      '00000000',
      '0000000200000000',
      '00000001',
      '09',
    ].join(''),
  )
  assert.deepEqual(decodeRecords(bytes), records)
})

test('a log that is cut off, or goes back, is refused', () => {
  const bytes = encodeRecords(records)
  const ends = new Set([0, 14, 26, bytes.length])
  for (let length = 0; length <= bytes.length; length++) {
    if (ends.has(length)) decodeRecords(bytes.subarray(0, length))
    else assert.throws(() => decodeRecords(bytes.subarray(0, length)), /cut off/)
  }
  assert.throws(() => decodeRecords(encodeRecords([...records].reverse())), /out of order/)
})

test('a position keeps its numbers; one that no guest can reach is refused', () => {
  const position = { guestNs: 1234.5, accesses: 987_654_321 }
  assert.deepEqual(decodePosition(encodePosition(position)), position)
  assert.throws(() => decodePosition(Buffer.alloc(15)), /16 bytes/)
  assert.throws(() => decodePosition(encodePosition({ guestNs: Number.NaN, accesses: 0 })), /so far/)
})
