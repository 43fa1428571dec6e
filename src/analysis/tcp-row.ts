/**
 * What the TCP analysis keeps of a direction: where each number is in its row, and what the bits of its state mean. A row
 * is not an object but two cache lines beside each other, and the rows of a connection's two directions are neighbours:
 * with ten thousand concurrent flows most of the time goes into fetching them. What is rarely needed stands in a row of
 * another table.
 */

import { flagFin, flagRst, flagSyn } from '../capture/decode.js'

export const lineBytes = 64
/** Bytes of a row. */
export const rowBytes = 2 * lineBytes
/** A row in integers, and in doubles. */
export const hotWidth = rowBytes / 4
export const doubleWidth = rowBytes / 8

// First line: what data of the other direction look at. Integers, by their place in the row.
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
export const maxInFlight = 10
export const packets = 11
export const stampedRoundTrips = 12
/**
 * Bucket of the newest round trips in the upper 8 bits, and how many of them are not in the histogram yet: it is fetched
 * only when their bucket changes.
 */
export const newestRoundTrips = 13
export const bucketShift = 24
export const mostNewest = 2 ** bucketShift - 1
// Doubles, by their place in the row.
export const stampNs = 7
// Second line.
export const nextNs = 8
/** Of the last segment. */
export const lastAckNs = 9
export const bytes = 10
export const payloadBytes = 11
export const roundTripSumNs = 12
export const roundTripMinNs = 13
export const stampedSumNs = 14
export const stampedMinNs = 15

/** Bytes of the other row: two lines, and one for a histogram. */
export const rareRowBytes = 3 * lineBytes
/** Such a row in integers, and in doubles. */
export const rareWidth = rareRowBytes / 4
export const rareDoubleWidth = rareRowBytes / 8
// Some of the counters that begin it.
export const duplicateAcks = 4
export const sackBlocks = 11
export const syns = 12
export const maxSegmentSize = 16
export const base = 17
export const seenFrom = 18
export const recoverEnd = 19
// Doubles.
export const firstNs = 10
export const repeatedBytes = 11
export const synNs = 12
/** From the SYN to the first acknowledgement after it, as Wireshark's initial round trip; both rows have it. */
export const handshakeNs = 13
/** Of the last frame, if that is no segment, or has not all of its TCP header. */
export const lastOtherNs = 14
/** The histogram of round trips, in bytes from the row's start. */
export const histogramAt = 2 * lineBytes

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
/** The last frame was no segment. */
export const endsOther = 2048
/** There was payload. */
export const hasData = 4096
/** Its SYN was seen, and none of its payload was looked at yet. */
export const opened = 8192
/** Somebody looks into the payload. */
export const watched = 16_384
export const scaleShift = 16
/** The largest shift there is (RFC 7323 section 2.3). */
export const mostScale = 14

export const was = wasKeepAlive | wasZeroWindowProbe

/** State of a direction in mid-connection that nothing special happened to. */
export const ordinary = known | toBeAckedKnown | baseKnown
export const ordinaryMask = ordinary | holes | was | endsOther

export const flagsOfConnection = flagSyn | flagFin | flagRst
