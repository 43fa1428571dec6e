/** Proves to the other agent that this one knows the run's secret, and judges the other's proof. */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { failure } from '../support/errors.js'
import { protocolVersion } from '../wire/frame.js'
import {
  challengeBytes,
  claimBytes,
  decodeChallenge,
  decodeClaim,
  decodeVerdict,
  encodeChallenge,
  encodeClaim,
  encodeVerdict,
  nonceBytes,
  proofText,
  VerdictStatus,
  verdictBytes,
} from '../wire/handshake.js'
import type { Expectation } from './inbound.js'

type Send = (bytes: Buffer) => void

/** A fresh secret for one run. */
export function newSecret(): Buffer {
  return randomBytes(32)
}

/** The source's side of one lane: answers the challenge, checks the verdict, then expects what `then` says. */
export function claimLane(secret: Buffer, lane: number, send: Send, then: () => Expectation): Expectation {
  return {
    exactly: challengeBytes,
    step: (bytes) => {
      const { nonce } = decodeChallenge(bytes)
      const destinationNonce = Buffer.from(nonce)
      const mine = randomBytes(nonceBytes)
      send(encodeClaim(lane, mine, prove(secret, 'source', lane, destinationNonce, mine)))
      return {
        exactly: verdictBytes,
        step: (answer) => {
          const { status, proof } = decodeVerdict(answer)
          if (status !== VerdictStatus.ok) throw refused(status)
          const expected = prove(secret, 'destination', lane, destinationNonce, mine)
          if (!timingSafeEqual(proof, expected)) throw refused(VerdictStatus.badProof)
          return then()
        },
      }
    },
  }
}

/**
 * The destination's side: sends the challenge at once, judges the claim. `accept` gets the lane that the peer may
 * have and says what comes next, or returns undefined when the lane is not to be had.
 */
export function judgeLane(
  secret: Buffer,
  send: Send,
  accept: (lane: number) => Expectation | undefined,
): { readonly begin: () => void; readonly expectation: Expectation } {
  const nonce = randomBytes(nonceBytes)
  const refuse = (status: number): never => {
    send(encodeVerdict(status, Buffer.alloc(nonceBytes)))
    throw refused(status)
  }
  return {
    begin: () => send(encodeChallenge(nonce)),
    expectation: {
      exactly: claimBytes,
      step: (bytes) => {
        const claim = decodeClaim(bytes)
        if (claim.version !== protocolVersion) return refuse(VerdictStatus.badVersion)
        const expected = prove(secret, 'source', claim.lane, nonce, claim.nonce)
        if (!timingSafeEqual(claim.proof, expected)) return refuse(VerdictStatus.badProof)
        const next = accept(claim.lane)
        if (next === undefined) return refuse(VerdictStatus.badLane)
        send(encodeVerdict(VerdictStatus.ok, prove(secret, 'destination', claim.lane, nonce, claim.nonce)))
        return next
      },
    },
  }
}

/** Shows knowledge of the secret for one lane and two nonces. */
export function prove(
  secret: Buffer,
  who: 'source' | 'destination',
  lane: number,
  destinationNonce: Buffer,
  sourceNonce: Buffer,
): Buffer {
  return createHmac('sha256', secret)
    .update(proofText(who, lane, destinationNonce, sourceNonce))
    .digest()
}

function refused(status: number): Error {
  const reasons: Readonly<Record<number, string>> = {
    [VerdictStatus.badProof]: 'the peer does not know the secret of this run',
    [VerdictStatus.badVersion]: 'the peer speaks another protocol version',
    [VerdictStatus.badLane]: 'the lane does not exist or is already open',
  }
  return failure(`handshake refused: ${reasons[status] ?? `status ${status}`}`, {
    code: 'handshake',
    next: 'Start both agents with the same secret, scenario and Pagewire version.',
  })
}
