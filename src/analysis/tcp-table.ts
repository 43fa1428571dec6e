/**
 * The TCP analysis of many connections, in constant time per segment.
 *
 * Two sets of words are kept apart. *Repeated* segments carry sequence space that was seen before in this capture: that
 * is what Pagewire calls a retransmission. The *expert* counts follow the rules of Wireshark 4's sequence analysis
 * (User's Guide, "TCP Analysis"), so that a reader finds the same figures there; where they differ on purpose, the
 * comparison test says so.
 *
 * A direction is a row in each of two tables and not an object: what every segment needs is in few cache lines, so that
 * ten thousand concurrent flows cost little more than one.
 */

import { flagAck, flagFin, flagRst, flagSyn } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import { paddedStamps, type SegmentBatch, segmentRow, segmentWidth } from '../capture/segment-batch.js'
import type { WasmArena } from '../support/wasm.js'
import type { AnswerList } from './answer-list.js'
import { DurationBuckets, durationBucket } from './duration-buckets.js'
import { FlightQueues } from './flight-queues.js'
import { OrdinarySegments, type TcpRows } from './ordinary-segments.js'
import { SequenceSet } from './sequence-set.js'
import {
  base,
  baseKnown,
  bucketShift,
  bytes,
  doubleWidth,
  dupAcksInRow,
  duplicateAcks,
  endsOther,
  firstNs,
  flagsOfConnection,
  flight,
  handshakeNs,
  handshakeOpen,
  hasData,
  histogramAt,
  holes,
  hotWidth,
  ignored,
  known,
  lastAck,
  lastAckNs,
  lastOtherNs,
  lastWindow,
  maxInFlight,
  maxSegmentSize,
  mostNewest,
  mostScale,
  newestRoundTrips,
  next,
  nextNs,
  opened,
  packets,
  payloadBytes,
  rareDoubleWidth,
  rareRowBytes,
  rareWidth,
  recoverEnd,
  recovering,
  repeatedBytes,
  roundTripMinNs,
  roundTripSumNs,
  rowBytes,
  sackBlocks,
  scaleKnown,
  scaleShift,
  seenFrom,
  stamp,
  stampedMinNs,
  stampedRoundTrips,
  stampedSumNs,
  stampNs,
  stampPending,
  state,
  synNs,
  syns,
  toBeAcked,
  toBeAckedKnown,
  was,
  wasKeepAlive,
  wasZeroWindowProbe,
  watched,
  windowEdge,
} from './tcp-row.js'

/** What a direction counts rarely; the order is that of the columns. */
export const rareCounters = [
  'retransmissions',
  'fast_retransmissions',
  'spurious_retransmissions',
  'out_of_order',
  'duplicate_acks',
  'lost_segments',
  'acked_unseen',
  'keep_alives',
  'zero_windows',
  'zero_window_probes',
  'window_full',
  'sack_blocks',
  'syns',
  'fins',
  'resets',
  'repeated_segments',
  'max_segment_size',
] as const
export type RareCounter = (typeof rareCounters)[number]

const retransmissions = 0
const fastRetransmissions = 1
const spuriousRetransmissions = 2
const outOfOrder = 3
const lostSegments = 5
const ackedUnseen = 6
const keepAlives = 7
const zeroWindows = 8
const zeroWindowProbes = 9
const windowFull = 10
const fins = 13
const resets = 14
const repeatedSegments = 15

const flagsOfEnds = flagSyn | flagFin

/** Directions that there is room for at first; what is not used yet takes up addresses but no memory. */
const firstRows = 65_536
/** How much more there is each time that they do not suffice. */
const growth = 4
/** A retransmission within this time of the duplicate acknowledgements is a fast one (Wireshark: 20 ms). */
const fastNs = 20e6
/** How late a segment may be and still count as reordered, as long as the handshake's round trip is unknown. */
const reorderedNs = 3e6

/** Read-out of one direction. */
export interface DirectionCounts {
  readonly packets: number
  readonly bytes: number
  readonly payloadBytes: number
  readonly firstNs: number
  readonly lastNs: number
  readonly repeatedBytes: number
  readonly maxInFlightBytes: number
  readonly windowScale: number | undefined
  /** Undefined if the capture does not show it. */
  readonly handshakeNs: number | undefined
  readonly rare: Readonly<Record<RareCounter, number>>
  readonly roundTripNs: DurationSummary | undefined
  /** From time stamps. */
  readonly stampedRoundTripNs: { readonly min: number; readonly mean: number } | undefined
}

export interface DurationSummary {
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p99: number
}

/** Rows of directions; the two of a connection have neighbouring numbers that differ in the last bit. */
export class TcpTable {
  /** After `take`: payload bytes of the segment that were seen before, and the round trip it completed (or -1). */
  repeated = 0
  roundTripNs = -1

  private rowCount = 0
  private places: TcpRows
  private hot: Int32Array
  private doubles: Float64Array
  private rare: Int32Array
  private rareDoubles: Float64Array
  /** Sequence space of directions that have, or had, holes or repeats. */
  private readonly seen = new Map<number, SequenceSet>()
  private readonly queues: FlightQueues
  private readonly buckets: DurationBuckets
  private readonly ordinary: OrdinarySegments

  /** Batches must come from a reader with the same arena. */
  constructor(private readonly arena: WasmArena) {
    this.queues = new FlightQueues(arena)
    this.buckets = new DurationBuckets(arena)
    this.ordinary = new OrdinarySegments(arena, this.queues)
    this.places = {
      rows: arena.allocate(firstRows * rowBytes),
      rareRows: arena.allocate(firstRows * rareRowBytes),
    }
    const { rows, rareRows } = this.places
    this.hot = new Int32Array(arena.buffer, rows, firstRows * hotWidth)
    this.doubles = new Float64Array(arena.buffer, rows, firstRows * doubleWidth)
    this.rare = new Int32Array(arena.buffer, rareRows, firstRows * rareWidth)
    this.rareDoubles = new Float64Array(arena.buffer, rareRows, firstRows * rareDoubleWidth)
  }

  /** Rows for the two directions of a new connection; returns the even one. */
  add(): number {
    const row = this.rowCount
    if ((row + 2) * hotWidth > this.hot.length) this.grow()
    this.rowCount += 2
    this.begin(row)
    this.begin(row + 1)
    return row
  }

  /** Whether this SYN opens another connection than the one that `row` is about. */
  reopens(row: number, frame: Frame): boolean {
    if ((this.hot[row * hotWidth + state]! & baseKnown) === 0) return false
    return (
      frame.sequence !== this.rare[row * rareWidth + base] || this.hasEnded(row) || this.hasEnded(row ^ 1)
    )
  }

  /** Counts a frame of direction `row` that is not TCP, or whose TCP header is cut off. */
  count(row: number, frame: Frame): void {
    const times = row * doubleWidth
    this.repeated = 0
    this.roundTripNs = -1
    this.countFrame(row, frame)
    this.hot[row * hotWidth + state] = this.hot[row * hotWidth + state]! | endsOther
    this.rareDoubles[row * rareDoubleWidth + lastOtherNs] = frame.timeNs
    this.doubles[times + payloadBytes] = this.doubles[times + payloadBytes]! + frame.payloadLength
  }

  /** Takes the next segment of direction `row`. */
  take(row: number, frame: Frame): void {
    this.repeated = 0
    this.roundTripNs = -1
    this.takeAny(row, frame)
    if (this.roundTripNs >= 0) this.sample(row ^ 1, this.roundTripNs)
    const at = frame.transport + 20
    if (at < frame.payload && (frame.flags & flagSyn) === 0) this.readOptions(row, frame, at)
  }

  /**
   * Takes the ordinary segments of a batch from `first` up to `end`, whose rows are known; returns the first that is not
   * ordinary. Between `beginBatch` and `endBatch` each segment is taken, in order, by this or by `takeOther`.
   */
  takeOrdinary(batch: SegmentBatch, first: number, end: number): number {
    let at = this.ordinary.take(batch, this.places, first, end)
    // It stops at a segment for which there is no room, too.
    while (at < end && this.queues.isDry) {
      this.queues.refill()
      at = this.ordinary.take(batch, this.places, at, end)
    }
    return at
  }

  /** Gets what the segments from `first` to `end`, which are of many flows, will need from memory. */
  fetch(batch: SegmentBatch, first: number, end: number): void {
    this.ordinary.fetch(batch, this.places, first, end)
  }

  /** Takes segment `i` of the batch, which is in `frame`. */
  takeOther(row: number, i: number, frame: Frame): void {
    this.take(row, frame)
    if (this.roundTripNs >= 0) this.answers.push(i, this.roundTripNs)
  }

  beginBatch(): void {
    this.ordinary.answers.clear()
    this.ordinary.late.clear()
  }

  /** Accounts for those round trips of a batch that `takeOrdinary` did not. */
  endBatch({ fields }: SegmentBatch): void {
    const { late } = this.ordinary
    for (let k = 0; k < late.count; k++) {
      this.addToHistogram(fields[segmentWidth * late.index(k) + segmentRow]! ^ 1, late.ns(k))
    }
  }

  /** Round trips that the segments of the batch at hand completed. */
  get answers(): AnswerList {
    return this.ordinary.answers
  }

  /** Whether nobody wants to see the payload of direction `row`. */
  ignoresPayload(row: number): boolean {
    return (this.hot[row * hotWidth + state]! & ignored) !== 0
  }

  /** Nobody wants to see it. */
  ignorePayload(row: number): void {
    const at = row * hotWidth + state
    this.hot[at] = (this.hot[at]! & ~watched) | ignored
  }

  /** Somebody wants to see it: segments that carry some are not ordinary. */
  watchPayload(row: number): void {
    const at = row * hotWidth + state
    this.hot[at] = (this.hot[at]! & ~ignored) | watched
  }

  /** Whether the first payload of direction `row` is the start of its stream. */
  startsStream(row: number): boolean {
    return (this.hot[row * hotWidth + state]! & opened) !== 0
  }

  /** Any segment, step by step in the order of Wireshark's analysis. */
  private takeAny(row: number, frame: Frame): void {
    const hot = this.hot
    const doubles = this.doubles
    const own = row * hotWidth
    const other = (row ^ 1) * hotWidth
    const times = row * doubleWidth
    const { flags, sequence, acknowledgement, payloadLength: length, timeNs, window } = frame

    this.countFrame(row, frame)
    let ends = 0
    if ((flags & flagsOfConnection) !== 0) ends = this.countEnds(row, flags, timeNs)
    let bits = hot[own + state]! & ~(was | endsOther)
    // A SYN that is repeated: what was sent behind a hole may never have been sent (Wireshark issue 17616).
    if ((flags & (flagSyn | flagAck)) === flagSyn && (bits & toBeAckedKnown) !== 0)
      hot[own + next] = hot[own + toBeAcked]!
    if ((bits & handshakeOpen) !== 0 && (flags & (flagSyn | flagAck)) === flagAck) {
      bits &= ~handshakeOpen
      this.endHandshake(row, timeNs)
    }
    if ((bits & baseKnown) === 0)
      bits |= this.noteBase(row, (flags & flagSyn) !== 0 ? sequence : (sequence - 1) | 0)
    const isAck = (flags & flagAck) !== 0
    if (isAck && (hot[other + state]! & baseKnown) === 0) {
      hot[other + state] = hot[other + state]! | this.noteBase(row ^ 1, (acknowledgement - 1) | 0)
    }

    const expected = (bits & known) !== 0 && sequence === hot[own + next]
    bits |= this.judge(row, frame, expected)
    if (acknowledgement !== hot[own + lastAck]) hot[own + dupAcksInRow] = 0
    if (isAck && (hot[other + state]! & toBeAckedKnown) !== 0) this.checkAcked(row, acknowledgement)

    const after = (sequence + length + ends) | 0
    if (length > 0 || ends === 1) {
      if ((bits & wasKeepAlive) === 0) this.judgeData(row, frame, expected)
      if (length > 0) {
        doubles[times + payloadBytes] = doubles[times + payloadBytes]! + length
        this.remember(row, frame, after, expected)
        bits = ((bits | hasData) & ~(holes | recovering)) | (hot[own + state]! & (holes | recovering))
      }
    }

    const isProbe = (bits & wasZeroWindowProbe) !== 0
    if (!isProbe) {
      if ((bits & known) === 0 || ((after - hot[own + next]!) | 0) > 0) {
        hot[own + next] = after
        doubles[times + nextNs] = timeNs
        bits |= known
      }
      if ((bits & toBeAckedKnown) === 0 || sequence === hot[own + toBeAcked]) {
        hot[own + toBeAcked] = hot[own + next]!
        bits |= toBeAckedKnown
      }
    }
    hot[own + lastWindow] = window
    hot[own + lastAck] = acknowledgement
    hot[own + windowEdge] = (acknowledgement + (window << (bits >>> scaleShift))) | 0
    doubles[times + lastAckNs] = timeNs
    hot[own + state] = bits

    if (isAck) {
      const acked = hot[other + lastAck]!
      const inFlight = (hot[own + next]! - acked) | 0
      if (length > 0 && acked !== 0 && inFlight > hot[own + maxInFlight]!) hot[own + maxInFlight] = inFlight
      if (hot[other + flight] !== hot[other + flight + 1]) {
        this.roundTripNs = this.answered(row ^ 1, acknowledgement, timeNs)
      }
    }
    if ((flags & flagSyn) !== 0) this.settleScale(row, frame)
  }

  /** What was counted for direction `row`. */
  counts(row: number): DirectionCounts {
    const own = row * hotWidth
    const times = row * doubleWidth
    const extra = row * rareDoubleWidth
    const rare = this.rare.subarray(row * rareWidth, (row + 1) * rareWidth)
    this.emptyNewest(row)
    const place = this.histogramOf(row)
    const samples = this.buckets.total(place)
    const stamped = this.hot[own + stampedRoundTrips]!
    return {
      packets: this.hot[own + packets]!,
      bytes: this.doubles[times + bytes]!,
      payloadBytes: this.doubles[times + payloadBytes]!,
      firstNs: this.rareDoubles[extra + firstNs]!,
      lastNs:
        (this.hot[own + state]! & endsOther) === 0
          ? this.doubles[times + lastAckNs]!
          : this.rareDoubles[extra + lastOtherNs]!,
      repeatedBytes: this.rareDoubles[extra + repeatedBytes]!,
      maxInFlightBytes: this.hot[own + maxInFlight]!,
      windowScale:
        (this.hot[own + state]! & scaleKnown) === 0 ? undefined : this.hot[own + state]! >>> scaleShift,
      handshakeNs: this.rareDoubles[extra + handshakeNs]! || undefined,
      rare: namedCounters(rare),
      roundTripNs:
        samples === 0
          ? undefined
          : {
              min: this.doubles[times + roundTripMinNs]!,
              mean: this.doubles[times + roundTripSumNs]! / samples,
              p50: this.buckets.percentileNs(place, 0.5),
              p99: this.buckets.percentileNs(place, 0.99),
            },
      stampedRoundTripNs:
        stamped === 0
          ? undefined
          : {
              min: this.doubles[times + stampedMinNs]!,
              mean: this.doubles[times + stampedSumNs]! / stamped,
            },
    }
  }

  /** What direction `row` counts rarely, in the order of `rareCounters`; valid until the next row is added. */
  rareCounts(row: number): Int32Array {
    return this.rare.subarray(row * rareWidth, row * rareWidth + rareCounters.length)
  }

  /** Bytes on the wire of direction `row`. */
  bytesOf(row: number): number {
    return this.doubles[row * doubleWidth + bytes]!
  }

  private countFrame(row: number, frame: Frame): void {
    const hot = row * hotWidth
    const times = row * doubleWidth
    if (this.hot[hot + packets] === 0) this.rareDoubles[row * rareDoubleWidth + firstNs] = frame.timeNs
    this.hot[hot + packets] = this.hot[hot + packets]! + 1
    this.doubles[times + bytes] = this.doubles[times + bytes]! + frame.wireLength
  }

  private hasEnded(row: number): boolean {
    return this.rare[row * rareWidth + fins]! > 0 || this.rare[row * rareWidth + resets]! > 0
  }

  private note(row: number, counter: number): void {
    const at = row * rareWidth + counter
    this.rare[at] = this.rare[at]! + 1
  }

  /** Returns 1 if the segment takes a sequence number beside its payload's. */
  private countEnds(row: number, flags: number, timeNs: number): number {
    if ((flags & flagSyn) !== 0) {
      this.note(row, syns)
      this.hot[row * hotWidth + state] = this.hot[row * hotWidth + state]! | opened
    }
    if ((flags & (flagSyn | flagAck)) === flagSyn) {
      this.openHandshake(row, timeNs)
      this.openHandshake(row ^ 1, timeNs)
    }
    if ((flags & flagFin) !== 0) this.note(row, fins)
    if ((flags & flagRst) !== 0) this.note(row, resets)
    return (flags & flagsOfEnds) !== 0 ? 1 : 0
  }

  private openHandshake(row: number, timeNs: number): void {
    const at = row * hotWidth + state
    this.hot[at] = this.hot[at]! | handshakeOpen
    this.rareDoubles[row * rareDoubleWidth + synNs] = timeNs
  }

  private endHandshake(row: number, timeNs: number): void {
    const other = (row ^ 1) * hotWidth + state
    this.hot[other] = this.hot[other]! & ~handshakeOpen
    const extra = row * rareDoubleWidth
    if (this.rareDoubles[extra + handshakeNs] !== 0) return
    const ns = timeNs - this.rareDoubles[extra + synNs]!
    this.rareDoubles[extra + handshakeNs] = ns
    this.rareDoubles[(row ^ 1) * rareDoubleWidth + handshakeNs] = ns
  }

  /** Notes the sequence number that a direction began with; returns the bit that says so. */
  private noteBase(row: number, sequence: number): number {
    this.rare[row * rareWidth + base] = sequence
    return baseKnown
  }

  /** Windows, holes, keep-alives and duplicate acknowledgements. Returns the bits that say what this segment was. */
  private judge(row: number, frame: Frame, expected: boolean): number {
    const hot = this.hot
    const own = row * hotWidth
    const other = (row ^ 1) * hotWidth
    const { flags, payloadLength: length, window } = frame
    const plain = (flags & flagsOfConnection) === 0
    if (length === 1 && expected && hot[other + lastWindow] === 0) {
      this.note(row, zeroWindowProbes)
      return wasZeroWindowProbe
    }
    if (window === 0 && plain) this.note(row, zeroWindows)
    let bits = 0
    if (!expected && (hot[own + state]! & known) !== 0) {
      const ahead = (frame.sequence - hot[own + next]!) | 0
      if (ahead > 0 && (flags & flagRst) === 0) this.note(row, lostSegments)
      if (ahead === -1 && length <= 1 && plain) {
        this.note(row, keepAlives)
        bits = wasKeepAlive
      }
    }
    if (length > 0) {
      if (plain && ((frame.sequence + length) | 0) === hot[other + windowEdge]) this.checkWindow(row)
      return bits
    }
    // The same acknowledgement again, with nothing new in it, and no answer to a probe.
    if (!expected || !plain || window === 0) return bits
    if (frame.acknowledgement !== hot[own + lastAck] || window !== hot[own + lastWindow]) return bits
    if ((hot[other + state]! & wasKeepAlive) !== 0) return bits
    hot[own + dupAcksInRow] = hot[own + dupAcksInRow] === -1 ? 1 : hot[own + dupAcksInRow]! + 1
    this.note(row, duplicateAcks)
    return bits
  }

  /** Counts a segment that goes all the way to the edge of the other side's window. */
  private checkWindow(row: number): void {
    if ((this.hot[(row ^ 1) * hotWidth + state]! & scaleKnown) !== 0) this.note(row, windowFull)
  }

  /** An acknowledgement beyond the contiguous bytes that this capture showed of the other direction. */
  private checkAcked(row: number, acknowledgement: number): void {
    const hot = this.hot
    const other = (row ^ 1) * hotWidth
    if (((acknowledgement - hot[other + toBeAcked]!) | 0) <= 0) return
    if (((hot[other + toBeAcked]! - hot[other + next]!) | 0) < 0) {
      hot[other + toBeAcked] = hot[other + next]!
      this.note(row, ackedUnseen)
    } else {
      if (hot[other + dupAcksInRow] === 0) this.note(row, ackedUnseen)
      hot[other + dupAcksInRow] = -1
    }
  }

  /** Sorts a segment with data, SYN or FIN that is not the next one: retransmission of which kind, or reordering. */
  private judgeData(row: number, frame: Frame, expected: boolean): void {
    const hot = this.hot
    const own = row * hotWidth
    const other = (row ^ 1) * hotWidth
    const { sequence, payloadLength: length, timeNs } = frame
    const acked = hot[other + lastAck]!
    if (length > 0 && acked !== 0 && ((sequence + length - acked) | 0) <= 0) {
      this.note(row, spuriousRetransmissions)
      return
    }
    if (expected || (hot[own + state]! & known) === 0) return
    const behind = (sequence - hot[own + next]!) | 0
    if (behind >= 0 || (length > 1 && behind === -1)) return
    const sinceAckNs = timeNs - this.doubles[(row ^ 1) * doubleWidth + lastAckNs]!
    // -1 stands for duplicates that the capture does not show, and counts as enough of them.
    const enough = hot[other + dupAcksInRow]! >= 2 || hot[other + dupAcksInRow] === -1
    if (enough && acked === sequence && sinceAckNs < fastNs) {
      this.note(row, fastRetransmissions)
      return
    }
    const firstRoundTripNs = this.rareDoubles[row * rareDoubleWidth + handshakeNs]!
    const limitNs = firstRoundTripNs === 0 ? reorderedNs : firstRoundTripNs
    if (timeNs - this.doubles[row * doubleWidth + nextNs]! < limitNs) {
      const ends = (frame.flags & flagsOfEnds) !== 0 ? 1 : 0
      const fillsUp = ((sequence + length + ends) | 0) === hot[own + next]
      if (!fillsUp) {
        this.note(row, outOfOrder)
        return
      }
    }
    this.note(row, retransmissions)
  }

  /** Keeps account of the sequence space of a segment with payload. */
  private remember(row: number, frame: Frame, after: number, expected: boolean): void {
    const own = row * hotWidth
    const { sequence, payloadLength: length } = frame
    let set = this.seen.get(row)
    if (set === undefined) {
      const isFirst = (this.hot[own + state]! & hasData) === 0
      if (isFirst) this.rare[row * rareWidth + seenFrom] = sequence
      if (isFirst || expected) {
        this.sent(own, after, frame)
        return
      }
      set = new SequenceSet()
      const from = this.rare[row * rareWidth + seenFrom]!
      set.add(from, (this.hot[own + next]! - from) >>> 0)
      this.seen.set(row, set)
      this.hot[own + state] = this.hot[own + state]! | holes
    }
    this.repeated = set.add(sequence, length)
    if (set.isWhole) this.forget(row, set)
    if (this.repeated === 0) {
      this.sent(own, after, frame)
      return
    }
    this.note(row, repeatedSegments)
    const at = row * rareDoubleWidth + repeatedBytes
    this.rareDoubles[at] = this.rareDoubles[at]! + this.repeated
    this.rare[row * rareWidth + recoverEnd] = this.hot[own + next]!
    this.hot[own + state] = this.hot[own + state]! | recovering
  }

  /** All holes are filled: from here on the sequence space is again what lies between two numbers. */
  private forget(row: number, set: SequenceSet): void {
    this.seen.delete(row)
    this.rare[row * rareWidth + seenFrom] = set.firstRaw
    const at = row * hotWidth + state
    this.hot[at] = this.hot[at]! & ~holes
  }

  /** A segment with new payload is in flight until `after` is acknowledged. `own` is where the row begins. */
  private sent(own: number, after: number, frame: Frame): void {
    const hot = this.hot
    if (((after - hot[own + next]!) | 0) <= 0 && (hot[own + state]! & known) !== 0) return
    this.queues.append(hot, own + flight, after, frame.timeNs)
  }

  /**
   * What an acknowledgement of direction `row` covers arrived: returns how long ago the newest segment that it covers was
   * sent, or -1 if there is no round trip to take. There is none after a retransmission until all that was in flight then is
   * acknowledged (Karn's rule; and what waited behind a hole did not wait for the network), and none if time ran backwards.
   */
  private answered(row: number, acknowledgement: number, timeNs: number): number {
    const hot = this.hot
    const own = row * hotWidth
    const sentNs = this.queues.take(hot, own + flight, acknowledgement)
    if (Number.isNaN(sentNs)) return -1
    if ((hot[own + state]! & recovering) === 0) return timeNs >= sentNs ? timeNs - sentNs : -1
    if (((acknowledgement - this.rare[row * rareWidth + recoverEnd]!) | 0) >= 0)
      hot[own + state] = hot[own + state]! & ~recovering
    return -1
  }

  private sample(row: number, ns: number): void {
    const { doubles } = this
    const times = row * doubleWidth
    doubles[times + roundTripSumNs] = doubles[times + roundTripSumNs]! + ns
    if (ns < doubles[times + roundTripMinNs]!) doubles[times + roundTripMinNs] = ns
    this.addToHistogram(row, ns)
  }

  private addToHistogram(row: number, ns: number): void {
    const at = row * hotWidth + newestRoundTrips
    const bucket = durationBucket(ns)
    const newest = this.hot[at]!
    if (newest >>> bucketShift !== bucket || (newest & mostNewest) === mostNewest) this.emptyNewest(row)
    this.hot[at] = ((bucket << bucketShift) | (this.hot[at]! & mostNewest)) + 1
  }

  /** Moves the newest round trips of a row, which are in one bucket, into its histogram. */
  private emptyNewest(row: number): void {
    const at = row * hotWidth + newestRoundTrips
    const newest = this.hot[at]!
    this.hot[at] = 0
    const count = newest & mostNewest
    if (count > 0) this.buckets.add(this.histogramOf(row), newest >>> bucketShift, count)
  }

  private histogramOf(row: number): number {
    return this.places.rareRows + row * rareRowBytes + histogramAt
  }

  private readOptions(row: number, frame: Frame, at: number): void {
    const { view } = frame
    const end = Math.min(frame.payload, frame.end)
    if (at + 12 <= end && view.getInt32(at) === paddedStamps) {
      this.readStampsAt(row, frame, at + 4)
      if (at + 12 < end) this.readOptionList(row, frame, at + 12, end)
    } else {
      this.readOptionList(row, frame, at, end)
    }
  }

  private readOptionList(row: number, frame: Frame, from: number, end: number): void {
    const { view } = frame
    for (let at = from; at < end; ) {
      const kind = view.getUint8(at)
      if (kind === 0) return
      if (kind === 1) {
        at++
        continue
      }
      const length = at + 1 < end ? view.getUint8(at + 1) : 0
      if (length < 2 || at + length > end) return
      this.readOption(row, frame, kind, length, at)
      at += length
    }
  }

  private readOption(row: number, frame: Frame, kind: number, length: number, at: number): void {
    const { view } = frame
    const rare = row * rareWidth
    const isSyn = (frame.flags & flagSyn) !== 0
    if (kind === 2 && length === 4) this.rare[rare + maxSegmentSize] = view.getUint16(at + 2)
    else if (kind === 3 && length === 3 && isSyn)
      this.setScale(row, Math.min(mostScale, view.getUint8(at + 2)))
    else if (kind === 5) this.rare[rare + sackBlocks] = this.rare[rare + sackBlocks]! + ((length - 2) >> 3)
    else if (kind === 8 && length === 10) {
      this.readStampsAt(row, frame, at + 2)
    }
  }

  private setScale(row: number, shift: number): void {
    const at = row * hotWidth + state
    this.hot[at] = (this.hot[at]! & ((1 << scaleShift) - 1)) | scaleKnown | (shift << scaleShift)
  }

  /** A SYN without the option on either side means that neither scales (RFC 7323 section 2.2). */
  private settleScale(row: number, frame: Frame): void {
    if (frame.transport + 20 < frame.payload) this.readOptions(row, frame, frame.transport + 20)
    if ((this.hot[row * hotWidth + state]! & scaleKnown) !== 0) return
    this.setScale(row, 0)
    this.setScale(row ^ 1, 0)
  }

  private readStampsAt(row: number, frame: Frame, at: number): void {
    this.readStamps(row, frame.view.getInt32(at), frame.view.getInt32(at + 4), frame.timeNs)
  }

  /** One measurement at a time: a value when it first appears, and its first echo. */
  private readStamps(row: number, value: number, echo: number, timeNs: number): void {
    const hot = this.hot
    const own = row * hotWidth
    const other = (row ^ 1) * hotWidth
    if ((hot[other + state]! & stampPending) !== 0 && ((echo - hot[other + stamp]!) | 0) >= 0) {
      hot[other + state] = hot[other + state]! & ~stampPending
      this.stampAnswered(row ^ 1, timeNs - this.doubles[(row ^ 1) * doubleWidth + stampNs]!)
    }
    if ((hot[own + state]! & stampPending) === 0 && value !== hot[own + stamp]) {
      hot[own + state] = hot[own + state]! | stampPending
      hot[own + stamp] = value
      this.doubles[row * doubleWidth + stampNs] = timeNs
    }
  }

  private stampAnswered(row: number, ns: number): void {
    const { hot, doubles } = this
    const own = row * hotWidth
    const times = row * doubleWidth
    hot[own + stampedRoundTrips] = hot[own + stampedRoundTrips]! + 1
    doubles[times + stampedSumNs] = doubles[times + stampedSumNs]! + ns
    if (ns < doubles[times + stampedMinNs]!) doubles[times + stampedMinNs] = ns
  }

  private begin(row: number): void {
    this.hot[row * hotWidth + lastWindow] = -1
    this.doubles[row * doubleWidth + roundTripMinNs] = Number.POSITIVE_INFINITY
    this.doubles[row * doubleWidth + stampedMinNs] = Number.POSITIVE_INFINITY
  }

  private grow(): void {
    const { arena, hot, rare, places: left } = this
    const size = (growth * hot.length) / hotWidth
    this.places = { rows: arena.allocate(size * rowBytes), rareRows: arena.allocate(size * rareRowBytes) }
    const { rows, rareRows } = this.places
    this.hot = new Int32Array(arena.buffer, rows, size * hotWidth)
    this.doubles = new Float64Array(arena.buffer, rows, size * doubleWidth)
    this.rare = new Int32Array(arena.buffer, rareRows, size * rareWidth)
    this.rareDoubles = new Float64Array(arena.buffer, rareRows, size * rareDoubleWidth)
    this.hot.set(hot)
    this.rare.set(rare)
    arena.giveBack(left.rareRows, 4 * rare.length)
    arena.giveBack(left.rows, 4 * hot.length)
  }
}

function namedCounters(values: Int32Array): Record<RareCounter, number> {
  const named: Partial<Record<RareCounter, number>> = {}
  for (const [i, name] of rareCounters.entries()) named[name] = values[i] ?? 0
  return named as Record<RareCounter, number>
}
