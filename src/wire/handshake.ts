/**
 * The first bytes of every lane: a challenge, and a proof by each side that it knows the run's secret, before any
 * frame is read. Fixed lengths, so that an unknown peer cannot make us wait for more or allocate.
 *
 *   destination -> source   challenge: "PGWR" u16 version u16 0      nonce[32]
 *   source -> destination   claim:     "PGWR" u16 version u16 lane   nonce[32] proof[32]
 *   destination -> source   verdict:   "PGWR" u16 version u16 status           proof[32]
 *
 * A proof is HMAC-SHA-256 with the secret over proofText(); who computes it is not this file's business.
 */

import { protocolVersion } from './frame.js'
import { protocolError } from './frame-reader.js'

export const nonceBytes = 32
export const proofBytes = 32
export const challengeBytes = 8 + nonceBytes
export const claimBytes = 8 + nonceBytes + proofBytes
export const verdictBytes = 8 + proofBytes

const magic = 0x50475752

export const VerdictStatus = { ok: 0, badProof: 1, badVersion: 2, badLane: 3 } as const

export function encodeChallenge(nonce: Uint8Array): Buffer {
  return Buffer.concat([preamble(protocolVersion, 0), nonce])
}

export function encodeClaim(lane: number, nonce: Uint8Array, proof: Uint8Array): Buffer {
  return Buffer.concat([preamble(protocolVersion, lane), nonce, proof])
}

export function encodeVerdict(status: number, proof: Uint8Array): Buffer {
  return Buffer.concat([preamble(protocolVersion, status), proof])
}

/** Throws when the bytes are not a challenge of this protocol version. */
export function decodeChallenge(bytes: Buffer): { readonly nonce: Buffer } {
  checkPreamble(bytes, challengeBytes)
  return { nonce: bytes.subarray(8, 8 + nonceBytes) }
}

/** Throws when the bytes are not a claim. The version is the caller's to judge: the verdict names it. */
export function decodeClaim(bytes: Buffer): {
  readonly version: number
  readonly lane: number
  readonly nonce: Buffer
  readonly proof: Buffer
} {
  checkMagic(bytes, claimBytes)
  return {
    version: bytes.readUInt16BE(4),
    lane: bytes.readUInt16BE(6),
    nonce: bytes.subarray(8, 8 + nonceBytes),
    proof: bytes.subarray(8 + nonceBytes, claimBytes),
  }
}

export function decodeVerdict(bytes: Buffer): { readonly status: number; readonly proof: Buffer } {
  checkPreamble(bytes, verdictBytes)
  return { status: bytes.readUInt16BE(6), proof: bytes.subarray(8, verdictBytes) }
}

/** What a proof covers: who proves, the version, the lane and both nonces. */
export function proofText(
  who: 'source' | 'destination',
  lane: number,
  destinationNonce: Uint8Array,
  sourceNonce: Uint8Array,
): Buffer {
  const text = Buffer.from(`pagewire ${protocolVersion} ${who} ${lane}\0`)
  return Buffer.concat([text, destinationNonce, sourceNonce])
}

function preamble(version: number, last: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(magic, 0)
  bytes.writeUInt16BE(version, 4)
  bytes.writeUInt16BE(last, 6)
  return bytes
}

function checkMagic(bytes: Buffer, length: number): void {
  if (bytes.length !== length)
    throw protocolError(`a handshake message has ${bytes.length} bytes, not ${length}`)
  if (bytes.readUInt32BE(0) !== magic) throw protocolError('the peer does not speak the Pagewire protocol')
}

function checkPreamble(bytes: Buffer, length: number): void {
  checkMagic(bytes, length)
  const version = bytes.readUInt16BE(4)
  if (version !== protocolVersion) {
    throw protocolError(`the peer speaks protocol version ${version}, this is ${protocolVersion}`)
  }
}
