/**
 * TCP connections of a run: per direction and capture point which sequence space was seen, and round-trip times.
 * A round trip is data and acknowledgement at one point, or, for hosts that nobody captured, data at the switch's
 * entry and the acknowledgement at the destination.
 */

import { flagAck, flagSyn } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import { RoundTrip } from './round-trip.js'
import { type ClassRow, type Window, within } from './run-classes.js'
import type { FlowMatch } from './run-flows.js'
import type { SeriesTable } from './run-series.js'
import { SequenceSet } from './sequence-set.js'

const source = 0
const switchIn = 1
const switchOut = 2
const destination = 3

/** Which capture points a round trip is measured between: where the data passes, and where its acknowledgement. */
const roundTripPoints: readonly { readonly data: number; readonly answer: number }[] = [
  { data: source, answer: source },
  { data: switchIn, answer: switchIn },
  { data: switchIn, answer: destination },
  { data: destination, answer: destination },
]

/** Payload of one flow and direction at one point. */
export interface PayloadTally {
  segments: number
  bytes: number
  retransmittedBytes: number
}

class Direction {
  readonly seen: readonly SequenceSet[] = Array.from({ length: 4 }, () => new SequenceSet())
  readonly roundTrips: readonly RoundTrip[] = roundTripPoints.map(() => new RoundTrip())
  /** Beyond the newest data that was sent, and the oldest that nobody acknowledged; once there was data. */
  sentTo = 0
  acknowledgedTo = 0
  /** Where data enters the network: the source's card, or the switch for hosts that nobody captured. */
  entry: number | undefined
  /** Row of the newest data; acknowledgements of the other direction report round trips there. */
  row: ClassRow | undefined
}

class Connection {
  readonly toServer = new Direction()
  readonly toClient = new Direction()
}

export class Connections {
  private readonly connections = new Map<string, Connection>()
  private readonly tallies = new Map<number, PayloadTally>()
  private lastKey = { flow: -1, address: 0, port: 0 }
  private last: Connection | undefined

  /** Round trips count when they end within the window. */
  constructor(
    private readonly window: Window,
    private readonly series: Pick<SeriesTable, 'segment'>,
  ) {}

  take(point: number, frame: Frame, match: FlowMatch, row: ClassRow): void {
    const connection = this.find(frame, match)
    const [own, other] = match.toServer
      ? [connection.toServer, connection.toClient]
      : [connection.toClient, connection.toServer]
    if (frame.payloadLength > 0) this.data(point, frame, match, row, own)
    if (point !== switchOut && (frame.flags & (flagAck | flagSyn)) === flagAck) {
      this.answer(point, frame, other)
    }
  }

  /** Payload of one flow and direction at `point`. */
  payload(flow: number, toServer: boolean, point: number): PayloadTally | undefined {
    return this.tallies.get(tallyKey(flow, toServer, point))
  }

  /** Frees what is needed only while frames come. */
  end(): void {
    this.connections.clear()
    this.last = undefined
  }

  private data(point: number, frame: Frame, match: FlowMatch, row: ClassRow, own: Direction): void {
    const seenBefore = own.seen[point]!.add(frame.sequence, frame.payloadLength)
    const tally = this.tally(match.flow, match.toServer, point)
    tally.segments++
    tally.bytes += frame.payloadLength
    tally.retransmittedBytes += seenBefore
    if (seenBefore > 0) row.retransmits[point] = row.retransmits[point]! + 1
    own.row = row
    this.flight(point, frame, row, own, seenBefore > 0)
    for (const [i, points] of roundTripPoints.entries()) {
      if (points.data !== point) continue
      if (seenBefore > 0) own.roundTrips[i]!.resent()
      else own.roundTrips[i]!.sent((frame.sequence + frame.payloadLength) | 0, frame.timeNs)
    }
  }

  /** What is under way, as it grows by this segment. */
  private flight(point: number, frame: Frame, row: ClassRow, own: Direction, again: boolean): void {
    if (own.entry === undefined) {
      own.entry = point
      own.acknowledgedTo = frame.sequence
      own.sentTo = frame.sequence
    }
    if (point !== own.entry) return
    const end = (frame.sequence + frame.payloadLength) | 0
    if (((end - own.sentTo) | 0) > 0) own.sentTo = end
    this.series.segment(row.number, frame.timeNs, (own.sentTo - own.acknowledgedTo) | 0, again)
  }

  private answer(point: number, frame: Frame, data: Direction): void {
    if (!data.row) return
    const seenBySender = point === (data.entry === switchIn ? destination : data.entry)
    if (seenBySender && ((frame.acknowledgement - data.acknowledgedTo) | 0) > 0) {
      data.acknowledgedTo = frame.acknowledgement
    }
    const counts = within(this.window, frame.timeNs)
    for (const [i, points] of roundTripPoints.entries()) {
      if (points.answer !== point) continue
      const ns = data.roundTrips[i]!.acknowledged(frame.acknowledgement, frame.timeNs)
      if (ns >= 0 && counts) data.row.roundTrips[i]!.add(ns)
    }
  }

  private tally(flow: number, toServer: boolean, point: number): PayloadTally {
    const key = tallyKey(flow, toServer, point)
    let tally = this.tallies.get(key)
    if (!tally) {
      tally = { segments: 0, bytes: 0, retransmittedBytes: 0 }
      this.tallies.set(key, tally)
    }
    return tally
  }

  private find(frame: Frame, match: FlowMatch): Connection {
    const address = match.toServer ? frame.sourceAddress : frame.destinationAddress
    const port = match.toServer ? frame.sourcePort : frame.destinationPort
    const key = this.lastKey
    if (this.last && key.flow === match.flow && key.address === address && key.port === port) return this.last
    const name = `${match.flow} ${address} ${port}`
    let connection = this.connections.get(name)
    if (!connection) {
      connection = new Connection()
      this.connections.set(name, connection)
    }
    this.lastKey = { flow: match.flow, address, port }
    this.last = connection
    return connection
  }
}

function tallyKey(flow: number, toServer: boolean, point: number): number {
  return (flow * 2 + (toServer ? 1 : 0)) * 4 + point
}
