/**
 * A probe and its answer, one layout for both (big endian; the reflector fills the lower half):
 *
 *      0         4          8        9      10    11      12         16             24
 *      | magic   | session  | stream | dscp | pcp | kind  | sequence | sent s, ns   |
 *     24                 32                 40            44          48            49    52
 *      | received s, ns   | replied s, ns    | received so far | clock | dscp seen | zeros |
 */

import { assert } from '../../support/assert.js'

const magic = 0x70777231
/** Bytes of payload that mean something; a probe may be longer. */
export const probeHeadBytes = 52

const kind = { request: 0, reply: 1 } as const

export interface ProbeRequest {
  /** Random number of one probing process. */
  readonly session: number
  /** Which of its classes. */
  readonly stream: number
  /** The mark that the request was sent with, and that the answer is asked to have. */
  readonly dscp: number
  readonly pcp: number
  readonly sequence: number
  /** On the prober's clock. */
  readonly sentNs: number
}

export interface ProbeReply extends ProbeRequest {
  /** On the reflector's clock. */
  readonly receivedNs: number
  readonly repliedNs: number
  /** Requests of this stream that the reflector saw, this one included. */
  readonly receivedCount: number
  /** Names the reflector's clock: equal numbers mean one clock. */
  readonly clock: number
  /** The DSCP that the request arrived with. */
  readonly dscpSeen: number
}

export function writeRequest(payload: Buffer, request: ProbeRequest): void {
  assert(payload.length >= probeHeadBytes, 'a probe has room for its head')
  payload.writeUInt32BE(magic, 0)
  payload.writeUInt32BE(request.session, 4)
  payload.writeUInt8(request.stream, 8)
  payload.writeUInt8(request.dscp, 9)
  payload.writeUInt8(request.pcp, 10)
  payload.writeUInt8(kind.request, 11)
  payload.writeUInt32BE(request.sequence, 12)
  writeTime(payload, 16, request.sentNs)
}

export function writeReply(payload: Buffer, reply: ProbeReply): void {
  writeRequest(payload, reply)
  payload.writeUInt8(kind.reply, 11)
  writeTime(payload, 24, reply.receivedNs)
  writeTime(payload, 32, reply.repliedNs)
  payload.writeUInt32BE(reply.receivedCount, 40)
  payload.writeUInt32BE(reply.clock, 44)
  payload.writeUInt8(reply.dscpSeen, 48)
}

/** The request in a datagram of `length` bytes, of which `payload` has the beginning; undefined for anything else. */
export function readRequest(payload: Buffer, length: number): ProbeRequest | undefined {
  if (!isProbe(payload, length, kind.request)) return undefined
  const request = requestOf(payload)
  return request.dscp <= 63 && request.pcp <= 7 ? request : undefined
}

export function readReply(payload: Buffer, length: number): ProbeReply | undefined {
  if (!isProbe(payload, length, kind.reply)) return undefined
  return {
    ...requestOf(payload),
    receivedNs: readTime(payload, 24),
    repliedNs: readTime(payload, 32),
    receivedCount: payload.readUInt32BE(40),
    clock: payload.readUInt32BE(44),
    dscpSeen: payload.readUInt8(48),
  }
}

function isProbe(payload: Buffer, length: number, wanted: number): boolean {
  const whole = Math.min(length, payload.length)
  return whole >= probeHeadBytes && payload.readUInt32BE(0) === magic && payload.readUInt8(11) === wanted
}

function requestOf(payload: Buffer): ProbeRequest {
  return {
    session: payload.readUInt32BE(4),
    stream: payload.readUInt8(8),
    dscp: payload.readUInt8(9),
    pcp: payload.readUInt8(10),
    sequence: payload.readUInt32BE(12),
    sentNs: readTime(payload, 16),
  }
}

function writeTime(payload: Buffer, at: number, ns: number): void {
  payload.writeUInt32BE(Math.floor(ns / 1e9), at)
  payload.writeUInt32BE(ns % 1e9, at + 4)
}

function readTime(payload: Buffer, at: number): number {
  return payload.readUInt32BE(at) * 1e9 + payload.readUInt32BE(at + 4)
}
