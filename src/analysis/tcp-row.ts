/**
 * What the TCP analysis keeps of a direction: where each number is in its row, and what the bits of its state mean. A row
 * is not an object but three cache lines beside each other, and the rows of a connection's two directions are neighbours:
 * with ten thousand concurrent flows most of the time goes into fetching them. Of the other direction, data need the first
 * line only, acknowledgements the first and the third.
 */

import { flagFin, flagRst, flagSyn } from '../capture/decode.js'

export const lineBytes = 64
/** Bytes of a row. */
export const rowBytes = 3 * lineBytes

// First line: what the segments of both directions look at. Integers, by their place in the row.
export const state = 0
export const next = 1
export const toBeAcked = 2
export const lastAck = 3
export const lastWindow = 4
export const dupAcksInRow = 5
/** First sequence number beyond the window that this direction last offered. */
export const windowEdge = 6
export const stamp = 7
/** The queue of segments in flight (see there): two numbers. */
export const flight = 8
export const recoverEnd = 10
export const maxInFlight = 11
export const packets = 12
export const segments = 13
/** A row in integers. */
export const hotWidth = rowBytes / 4

// Doubles, by their place in the row. The last of the first line:
export const stampNs = 7
// Second line: what only segments of this direction need.
export const nextNs = 8
export const lastAckNs = 9
export const bytes = 10
export const payloadBytes = 11
export const lastNs = 12
// Third line: what was measured on this direction's segments, when they are answered.
export const roundTripSumNs = 16
export const roundTripMinNs = 17
export const stampedSumNs = 18
export const stampedMinNs = 19
/** A row in doubles. */
export const doubleWidth = rowBytes / 8

// The rest of the third line, in integers.
export const roundTrips = 40
export const stampedRoundTrips = 41
/** Histogram of the round trips; 0 before the first. */
export const bucketsPlace = 42

// What a direction counts or notes rarely stands in a row of another table.
export const rareRowBytes = 2 * lineBytes
export const duplicateAcks = 4
export const sackBlocks = 11
// Doubles of it.
export const synNs = 12
/** From the SYN to the first acknowledgement after it, as Wireshark's initial round trip; both rows have it. */
export const handshakeNs = 13

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
export const ordinaryMask = ordinary | holes | was

export const flagsOfConnection = flagSyn | flagFin | flagRst
