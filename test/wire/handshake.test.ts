import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  challengeBytes,
  claimBytes,
  decodeChallenge,
  decodeClaim,
  decodeVerdict,
  encodeChallenge,
  encodeClaim,
  encodeVerdict,
  proofText,
  VerdictStatus,
  verdictBytes,
} from '../../src/wire/handshake.js'

const nonce = Buffer.alloc(32, 0x11)
const other = Buffer.alloc(32, 0x22)
const proof = Buffer.alloc(32, 0x33)

test('the three messages are these bytes', () => {
  const [ones, twos, threes] = ['11', '22', '33'].map((byte) => byte.repeat(32))
  assert.equal(encodeChallenge(nonce).toString('hex'), `504757520001${'0000'}${ones}`)
  assert.equal(encodeClaim(0x0102, other, proof).toString('hex'), `504757520001${'0102'}${twos}${threes}`)
  assert.equal(encodeVerdict(VerdictStatus.badLane, proof).toString('hex'), `504757520001${'0003'}${threes}`)
})

test('what was encoded is decoded', () => {
  assert.deepEqual(decodeChallenge(encodeChallenge(nonce)).nonce, nonce)
  assert.deepEqual(decodeClaim(encodeClaim(7, other, proof)), { version: 1, lane: 7, nonce: other, proof })
  assert.deepEqual(decodeVerdict(encodeVerdict(VerdictStatus.ok, proof)), { status: 0, proof })
})

test('a message of any other length is refused', () => {
  const messages = [
    [encodeChallenge(nonce), decodeChallenge, challengeBytes],
    [encodeClaim(0, nonce, proof), decodeClaim, claimBytes],
    [encodeVerdict(0, proof), decodeVerdict, verdictBytes],
  ] as const
  for (const [bytes, decode, length] of messages) {
    assert.equal(bytes.length, length)
    for (let cut = 0; cut < length; cut++) {
      assert.throws(() => decode(bytes.subarray(0, cut)), { code: 'protocol' }, `${cut} bytes`)
    }
    assert.throws(() => decode(Buffer.concat([bytes, Buffer.of(0)])), { code: 'protocol' })
  }
})

test('a peer that speaks something else, or another version, is told apart', () => {
  const http = Buffer.from('HTTP/1.1 400 Bad Request\r\nServer: somebody else'.slice(0, challengeBytes))
  assert.throws(() => decodeChallenge(http), /does not speak the Pagewire protocol/)
  const newer = encodeChallenge(nonce)
  newer.writeUInt16BE(2, 4)
  assert.throws(() => decodeChallenge(newer), /speaks protocol version 2, this is 1/)
  const claim = encodeClaim(0, nonce, proof)
  claim.writeUInt16BE(9, 4)
  assert.equal(decodeClaim(claim).version, 9, 'the judge names the version in its verdict')
})

test('a proof covers the role, the lane and both nonces, and no two of them run together', () => {
  const texts = [
    proofText('source', 0, nonce, other),
    proofText('destination', 0, nonce, other),
    proofText('source', 1, nonce, other),
    proofText('source', 10, nonce, other),
    proofText('source', 0, other, nonce),
    proofText('source', 0, nonce, nonce),
  ].map((text) => text.toString('hex'))
  assert.equal(new Set(texts).size, texts.length)
})
