/** Probes on the wire: byte for byte, there and back, and nothing else taken for one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  probeHeadBytes,
  readReply,
  readRequest,
  writeReply,
  writeRequest,
} from '../../../src/agent/probe/packet.js'

const request = { session: 0xcafe0001, stream: 3, dscp: 46, pcp: 5, sequence: 70_000, sentNs: 12_000_000_345 }
const reply = {
  ...request,
  receivedNs: 13_000_000_001,
  repliedNs: 13_999_999_999,
  receivedCount: 69_999,
  clock: 0xfedcba98,
  dscpSeen: 10,
}

test('a request and its answer have this layout', () => {
  const payload = Buffer.alloc(probeHeadBytes)
  writeRequest(payload, request)
  assert.equal(
    payload.toString('hex', 0, 24),
    ['70777231', 'cafe0001', '032e0500', '00011170', '0000000c', '00000159'].join(''),
  )
  assert.deepEqual(readRequest(payload, payload.length), request)
  assert.equal(readReply(payload, payload.length), undefined)
  writeReply(payload, reply)
  assert.equal(
    payload.toString('hex', 24),
    ['0000000d', '00000001', '0000000d', '3b9ac9ff', '0001116f', 'fedcba98', '0a000000'].join(''),
  )
  assert.deepEqual(readReply(payload, payload.length), reply)
  assert.equal(readRequest(payload, payload.length), undefined)
})

test('short, foreign and impossible datagrams are no probes', () => {
  const payload = Buffer.alloc(probeHeadBytes)
  writeRequest(payload, request)
  for (let length = 0; length < probeHeadBytes; length++) {
    assert.equal(readRequest(payload, length), undefined)
    assert.equal(readRequest(payload.subarray(0, length), probeHeadBytes), undefined)
  }
  for (const [at, value] of [
    [0, 0x71],
    [9, 64],
    [10, 8],
    [11, 2],
  ] as const) {
    const broken = Buffer.from(payload)
    broken.writeUInt8(value, at)
    assert.equal(readRequest(broken, broken.length), undefined, `byte ${at}`)
  }
})
