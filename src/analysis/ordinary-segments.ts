/**
 * Takes the segments of a batch that there is nothing to judge about: the next data in order, or news in an
 * acknowledgement. Does to the rows what `TcpTable.takeAny` would do, without its questions, and leaves round trips to
 * whoever keeps account of them.
 */

import { flagAck } from '../capture/decode.js'
import {
  batchFrames,
  optionsOther,
  optionsStamps,
  type SegmentBatch,
  segmentAcknowledgement,
  segmentEcho,
  segmentFlags,
  segmentPayload,
  segmentRow,
  segmentSequence,
  segmentStamp,
  segmentWidth,
  segmentWireLength,
} from '../capture/segment-batch.js'
import {
  again,
  type Code,
  f64,
  i32,
  type Local,
  leaveIf,
  loop,
  type WasmArena,
  WasmFunction,
  when,
} from '../support/wasm.js'
import * as tcp from './tcp-row.js'

/** Durations that segments of a batch have completed. */
export class AnswerList {
  readonly place: number
  private readonly counted: Int32Array
  private readonly indices: Int32Array
  private readonly durations: Float64Array

  constructor(arena: WasmArena) {
    this.place = arena.allocate(durationsAt + 8 * batchFrames)
    this.counted = new Int32Array(arena.buffer, this.place, 1)
    this.indices = new Int32Array(arena.buffer, this.place + indicesAt, batchFrames)
    this.durations = new Float64Array(arena.buffer, this.place + durationsAt, batchFrames)
  }

  get count(): number {
    return this.counted[0]!
  }

  clear(): void {
    this.counted[0] = 0
  }

  push(index: number, ns: number): void {
    const at = this.count
    this.indices[at] = index
    this.durations[at] = ns
    this.counted[0] = at + 1
  }

  /** Which segment of the batch completed the `k`th one. */
  index(k: number): number {
    return this.indices[k]!
  }

  ns(k: number): number {
    return this.durations[k]!
  }
}

const indicesAt = 8
const durationsAt = indicesAt + 4 * batchFrames

export class OrdinarySegments {
  /** Round trips from data to their acknowledgement, and from time stamps to their echo. */
  readonly answers: AnswerList
  readonly stampAnswers: AnswerList
  private run: ((...args: number[]) => number) | undefined

  constructor(private readonly arena: WasmArena) {
    this.answers = new AnswerList(arena)
    this.stampAnswers = new AnswerList(arena)
  }

  /**
   * Takes segments from `first` on; returns the first that is not ordinary. The rows of directions begin at address
   * `rows`.
   */
  take(batch: SegmentBatch, rows: number, first: number): number {
    this.run ??= this.compile(batch)
    return this.run(rows, first, batch.count)
  }

  private compile(batch: SegmentBatch): (...args: number[]) => number {
    const code = new WasmFunction()
    const rows = code.parameter()
    const i = code.parameter()
    const count = code.parameter()
    const segment = code.local('i32')
    const row = code.local('i32')
    const own = code.local('i32')
    const other = code.local('i32')
    const sequence = code.local('i32')
    const acknowledgement = code.local('i32')
    const length = code.local('i32')
    const flags = code.local('i32')
    const window = code.local('i32')
    const after = code.local('i32')
    const acked = code.local('i32')
    const now = code.local('f64')
    const ring = code.local('i32')
    const mask = code.local('i32')
    const head = code.local('i32')
    const inRing = code.local('i32')
    const newest = code.local('i32')
    const n = i32.constant
    const of = (field: number): Code => i32.load(segment.get, 4 * field)
    const read = (at: Local, field: number): Code => i32.load(at.get, 4 * field)
    const write = (at: Local, field: number, value: Code): Code => i32.store(at.get, 4 * field, value)
    const readNs = (at: Local, field: number): Code => f64.load(at.get, 8 * field)
    const writeNs = (at: Local, field: number, value: Code): Code => f64.store(at.get, 8 * field, value)
    const has = (a: Code, bits: number): Code => i32.and(a, n(bits))
    const place = (a: Code): Code => i32.add(rows.get, i32.shiftLeft(a, n(Math.log2(tcp.rowBytes))))
    /** Where entry `number` of the ring of direction `at` is. */
    const entry = (at: Local, number: Code): Code =>
      i32.add(
        i32.shiftLeft(read(at, tcp.ringPlace), n(3)),
        i32.shiftLeft(i32.and(number, i32.subtract(read(at, tcp.ringSize), n(1))), n(4)),
      )
    const append = (list: AnswerList, ns: Code): Code => [
      head.set(i32.load(n(list.place))),
      i32.store(i32.shiftLeft(head.get, n(2)), list.place + indicesAt, i.get),
      f64.store(i32.shiftLeft(head.get, n(3)), list.place + durationsAt, ns),
      i32.store(n(list.place), 0, i32.add(head.get, n(1))),
    ]

    const load = [
      segment.set(i32.add(n(batch.rows), i32.shiftLeft(i.get, n(Math.log2(4 * segmentWidth))))),
      row.set(of(segmentRow)),
      own.set(place(row.get)),
      other.set(place(i32.xor(row.get, n(1)))),
      sequence.set(of(segmentSequence)),
      acknowledgement.set(of(segmentAcknowledgement)),
      length.set(of(segmentPayload)),
      flags.set(of(segmentFlags)),
      window.set(has(flags.get, 0xffff)),
      after.set(i32.add(sequence.get, length.get)),
      acked.set(read(other, tcp.lastAck)),
    ]
    const leaveUnlessOrdinary = [
      leaveIf(i32.unequal(has(read(own, tcp.state), tcp.ordinaryMask), n(tcp.ordinary))),
      leaveIf(i32.unequal(has(flags.get, (tcp.flagsOfConnection | flagAck) << 16), n(flagAck << 16))),
      leaveIf(i32.equal(i32.shiftRight(flags.get, n(28)), n(optionsOther))),
      leaveIf(i32.unequal(sequence.get, read(own, tcp.next))),
      leaveIf(i32.equal(window.get, n(0))),
      leaveIf(i32.greater(i32.subtract(acknowledgement.get, read(other, tcp.toBeAcked)), n(0))),
      leaveIf(i32.equal(has(read(other, tcp.state), tcp.toBeAckedKnown), n(0))),
      when(
        i32.equal(length.get, n(0)),
        [
          // The same acknowledgement again.
          leaveIf(
            i32.and(
              i32.equal(acknowledgement.get, read(own, tcp.lastAck)),
              i32.equal(window.get, read(own, tcp.lastWindow)),
            ),
            1,
          ),
        ],
        [
          leaveIf(i32.less(length.get, n(2)), 1),
          leaveIf(i32.equal(has(read(own, tcp.state), tcp.ignored), n(0)), 1),
          // Data that were acknowledged before, and data up to the edge of the window.
          leaveIf(
            i32.and(i32.unequal(acked.get, n(0)), i32.atMost(i32.subtract(after.get, acked.get), n(0))),
            1,
          ),
          leaveIf(i32.equal(after.get, read(other, tcp.windowEdge)), 1),
          // A full ring has to grow first.
          leaveIf(i32.equal(read(own, tcp.ringCount), read(own, tcp.ringSize)), 1),
        ],
      ),
    ]
    const countIt = [
      now.set(f64.load(i32.shiftLeft(i.get, n(3)), batch.times)),
      write(own, tcp.packets, i32.add(read(own, tcp.packets), n(1))),
      writeNs(own, tcp.bytes, f64.add(readNs(own, tcp.bytes), f64.fromSigned(of(segmentWireLength)))),
      writeNs(own, tcp.lastNs, now.get),
      writeNs(own, tcp.lastAckNs, now.get),
      when(i32.unequal(acknowledgement.get, read(own, tcp.lastAck)), [
        write(own, tcp.dupAcksInRow, n(0)),
        write(own, tcp.lastAck, acknowledgement.get),
      ]),
      write(own, tcp.lastWindow, window.get),
      write(
        own,
        tcp.windowEdge,
        i32.add(
          acknowledgement.get,
          i32.shiftLeft(window.get, i32.shiftRight(read(own, tcp.state), n(tcp.scaleShift))),
        ),
      ),
    ]
    const takeData = when(length.get, [
      write(own, tcp.segments, i32.add(read(own, tcp.segments), n(1))),
      writeNs(own, tcp.payloadBytes, f64.add(readNs(own, tcp.payloadBytes), f64.fromSigned(length.get))),
      when(i32.equal(sequence.get, read(own, tcp.toBeAcked)), [write(own, tcp.toBeAcked, after.get)]),
      write(own, tcp.next, after.get),
      writeNs(own, tcp.nextNs, now.get),
      when(
        i32.and(
          i32.unequal(acked.get, n(0)),
          i32.greater(i32.subtract(after.get, acked.get), read(own, tcp.maxInFlight)),
        ),
        [write(own, tcp.maxInFlight, i32.subtract(after.get, acked.get))],
      ),
      inRing.set(read(own, tcp.ringCount)),
      ring.set(entry(own, i32.add(read(own, tcp.ringHead), inRing.get))),
      f64.store(ring.get, 0, f64.fromSigned(after.get)),
      f64.store(ring.get, 8, now.get),
      write(own, tcp.ringCount, i32.add(inRing.get, n(1))),
    ])
    const takeAnswer = [
      inRing.set(read(other, tcp.ringCount)),
      when(inRing.get, [
        head.set(read(other, tcp.ringHead)),
        mask.set(i32.subtract(read(other, tcp.ringSize), n(1))),
        newest.set(n(0)),
        loop(
          leaveIf(i32.equal(inRing.get, n(0))),
          ring.set(entry(other, head.get)),
          leaveIf(i32.less(i32.subtract(acknowledgement.get, f64.toSigned(f64.load(ring.get))), n(0))),
          newest.set(ring.get),
          head.set(i32.and(i32.add(head.get, n(1)), mask.get)),
          inRing.set(i32.subtract(inRing.get, n(1))),
          again,
        ),
        when(newest.get, [
          write(other, tcp.ringHead, head.get),
          write(other, tcp.ringCount, inRing.get),
          when(
            i32.equal(has(read(other, tcp.state), tcp.recovering), n(0)),
            [append(this.answers, f64.subtract(now.get, f64.load(newest.get, 8)))],
            [
              when(i32.atLeast(i32.subtract(acknowledgement.get, read(other, tcp.recoverEnd)), n(0)), [
                write(other, tcp.state, has(read(other, tcp.state), ~tcp.recovering)),
              ]),
            ],
          ),
        ]),
      ]),
    ]
    const takeStamps = when(i32.equal(i32.shiftRight(flags.get, n(28)), n(optionsStamps)), [
      when(has(read(other, tcp.state), tcp.stampPending), [
        when(i32.atLeast(i32.subtract(of(segmentEcho), read(other, tcp.stamp)), n(0)), [
          write(other, tcp.state, has(read(other, tcp.state), ~tcp.stampPending)),
          append(this.stampAnswers, f64.subtract(now.get, readNs(other, tcp.stampNs))),
        ]),
      ]),
      when(i32.equal(has(read(own, tcp.state), tcp.stampPending), n(0)), [
        when(i32.unequal(of(segmentStamp), read(own, tcp.stamp)), [
          write(own, tcp.state, i32.or(read(own, tcp.state), n(tcp.stampPending))),
          write(own, tcp.stamp, of(segmentStamp)),
          writeNs(own, tcp.stampNs, now.get),
        ]),
      ]),
    ])
    // Reads that nothing waits for go on side by side: with thousands of flows, whose rows and rings are not in the cache,
    // this saves more than it costs with one.
    const ahead = code.local('i32')
    const touched = code.local('i32')
    const touch = (address: Code): Code => touched.set(i32.xor(touched.get, i32.load(address)))
    const eachAhead = (...body: readonly Code[]): Code => [
      ahead.set(n(0)),
      loop(
        leaveIf(i32.atLeast(ahead.get, count.get)),
        row.set(
          i32.load(
            i32.add(n(batch.rows), i32.shiftLeft(ahead.get, n(Math.log2(4 * segmentWidth)))),
            4 * segmentRow,
          ),
        ),
        own.set(place(row.get)),
        other.set(place(i32.xor(row.get, n(1)))),
        body,
        ahead.set(i32.add(ahead.get, n(1))),
        again,
      ),
    ]
    const fetch = when(i32.equal(i.get, n(0)), [
      eachAhead(
        touch(own.get),
        touch(i32.add(own.get, n(tcp.rowBytes / 2))),
        touch(other.get),
        touch(i32.add(other.get, n(tcp.rowBytes / 2))),
      ),
      eachAhead(
        touch(entry(own, i32.add(read(own, tcp.ringHead), read(own, tcp.ringCount)))),
        touch(entry(other, read(other, tcp.ringHead))),
      ),
      // What was read must seem to be wanted.
      i32.store(n(this.answers.place), 4, touched.get),
    ])
    return code.compile(
      this.arena,
      fetch,
      loop(
        leaveIf(i32.atLeast(i.get, count.get)),
        load,
        leaveUnlessOrdinary,
        countIt,
        takeData,
        takeAnswer,
        takeStamps,
        i.set(i32.add(i.get, n(1))),
        again,
      ),
      i.get,
    )
  }
}
