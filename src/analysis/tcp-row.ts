/**
 * What the TCP analysis keeps of a direction: where each number is in its row, and what the bits of its state mean. A row
 * is not an object: what every segment needs is one cache line of integers and one of doubles beside each other, and the
 * rows of a connection's two directions are neighbours: with ten thousand concurrent flows most of the time goes into
 * fetching them.
 */

import { flagFin, flagRst, flagSyn } from '../capture/decode.js'

/** Bytes of a row; a power of two, so that the other direction of a row is one exclusive or away. */
export const rowBytes = 128

// Integers that every segment needs, by their place in the row.
export const state = 0
export const next = 1
export const toBeAcked = 2
export const lastAck = 3
export const lastWindow = 4
export const dupAcksInRow = 5
/** First sequence number beyond the window that this direction last offered. */
export const windowEdge = 6
export const stamp = 7
export const ringPlace = 8
export const ringSize = 9
export const ringHead = 10
export const ringCount = 11
export const recoverEnd = 12
export const maxInFlight = 13
export const packets = 14
export const segments = 15
/** A row in integers. */
export const hotWidth = rowBytes / 4

// Doubles that every segment needs: they follow the integers.
export const nextNs = 8
export const lastAckNs = 9
export const stampNs = 10
export const bytes = 11
export const payloadBytes = 12
export const lastNs = 13
export const roundTripSumNs = 14
export const roundTripMinNs = 15
/** A row in doubles. */
export const doubleWidth = rowBytes / 8

// Bits of `state`.
export const known = 1
export const toBeAckedKnown = 2
export const baseKnown = 4
export const stampPending = 8
export const recovering = 16
export const wasKeepAlive = 32
export const wasZeroWindowProbe = 64
export const holes = 128
export const scaleKnown = 256
export const handshakeOpen = 512
/** Nobody looks into the payload. */
export const ignored = 1024
export const scaleShift = 16

export const was = wasKeepAlive | wasZeroWindowProbe

/** State of a direction in mid-connection that nothing special happened to. */
export const ordinary = known | toBeAckedKnown | baseKnown
export const ordinaryMask = ordinary | handshakeOpen | holes | was

export const flagsOfConnection = flagSyn | flagFin | flagRst
