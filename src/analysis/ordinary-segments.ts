/**
 * Takes the segments of a batch that there is little to judge about: the two SYNs of a connection, the next data in order,
 * news in an acknowledgement, and the same acknowledgement again, with or without SACK. Does to the rows what
 * `TcpTable.takeAny` would do, without its other questions, and leaves round trips to whoever keeps account of them.
 */

import { flagAck, flagSyn } from '../capture/decode.js'
import {
  optionsOther,
  optionsSackShift,
  optionsStamps,
  type SegmentBatch,
  segmentEcho,
  segmentEnd,
  segmentRow,
  segmentStamp,
  segmentWireLength,
} from '../capture/segment-batch.js'
import {
  again,
  againFrom,
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
import { AnswerList } from './answer-list.js'
import { addDurations, durationBucketCode } from './duration-buckets.js'
import {
  chunkBytes,
  chunkHead,
  chunkNext,
  entryBytes,
  entrySinceNs,
  type FlightQueues,
  sinceLimitNs,
} from './flight-queues.js'
import { takeSyn } from './opening-segments.js'
import { pagewireMagic } from './pagewire-stream.js'
import { qemuMagic } from './qemu-stream.js'
import { findRows, segmentRegisters } from './segment-registers.js'
import * as tcp from './tcp-row.js'

/** Where the rows of the directions begin. */
export interface TcpRows {
  readonly rows: number
  readonly rareRows: number
}

export class OrdinarySegments {
  /** Round trips from data to their acknowledgement. */
  readonly answers: AnswerList
  /** Those of them that are counted, but in no histogram yet. */
  readonly late: AnswerList
  private run: ((...args: number[]) => number) | undefined
  private fetchRows: ((...args: number[]) => number) | undefined

  constructor(
    private readonly arena: WasmArena,
    private readonly queues: FlightQueues,
  ) {
    this.answers = new AnswerList(arena)
    this.late = new AnswerList(arena)
  }

  /** Takes segments from `first` on; returns the first that is not ordinary, or `end`. */
  take(batch: SegmentBatch, { rows, rareRows }: TcpRows, first: number, end: number): number {
    this.run ??= this.compile(batch)
    return this.run(rows, rareRows, first, end)
  }

  /**
   * Reads what the segments from `first` to `end` will need, without waiting for any of it: with thousands of flows, whose
   * rows and queues are not in the cache, this saves more than it costs.
   */
  fetch(batch: SegmentBatch, { rows }: TcpRows, first: number, end: number): void {
    this.fetchRows ??= this.compileFetch(batch)
    this.fetchRows(rows, first, end)
  }

  private compile(batch: SegmentBatch): (...args: number[]) => number {
    const code = new WasmFunction()
    const registers = segmentRegisters(code, batch)
    const {
      i,
      end,
      own,
      other,
      sequence,
      acknowledgement,
      length,
      flags,
      options,
      window,
      after,
      now,
      scratch,
      at,
      ns,
      value,
      echo,
      of,
      read,
      write,
      readNs,
      writeNs,
      raise,
      raiseNs,
      has,
      rareRow,
      otherRareRow,
      big,
      load,
      findTransport,
      payloadAt,
      moveWindowEdge,
      readStamps,
    } = registers
    const isFirst = code.local('i32')
    const repeats = code.local('i32')
    const acked = code.local('i32')
    const head = code.local('i32')
    const tail = code.local('i32')
    const chunk = code.local('i32')
    const answered = code.local('i32')
    const bucket = code.local('i32')
    const newest = code.local('i32')
    const n = i32.constant
    const chunkOf = (at: Local): Code => has(at.get, -chunkBytes)
    const isChunkEnd = (at: Local): Code => i32.equal(has(at.get, chunkBytes - 1), n(0))
    const free = n(this.queues.free)
    const append = (list: AnswerList): readonly Code[] => list.pushCode(i, ns, scratch)

    const leaveUnlessQueueTakesIt = when(
      isChunkEnd(tail),
      [leaveIf(i32.equal(i32.load(free), n(0)), 2)],
      [
        when(i32.unequal(tail.get, read(own, tcp.flight)), [
          ns.set(f64.subtract(now.get, f64.load(chunkOf(tail)))),
          leaveIf(f64.less(ns.get, f64.constant(0)), 3),
          leaveIf(f64.atLeast(ns.get, f64.constant(sinceLimitNs)), 3),
        ]),
      ],
    )
    const leaveUnlessFirstDataAreOfNoInterest = [
      leaveIf(
        i32.unequal(
          has(read(own, tcp.state), tcp.ignored | tcp.watched | tcp.hasData | tcp.opened),
          n(tcp.opened),
        ),
        2,
      ),
      findTransport,
      at.set(payloadAt),
      leaveIf(i32.greater(i32.add(at.get, n(4)), of(segmentEnd)), 2),
      value.set(big(at.get)),
      leaveIf(i32.equal(value.get, n(pagewireMagic)), 2),
      leaveIf(i32.equal(value.get, n(qemuMagic)), 2),
      isFirst.set(n(1)),
    ]
    const leaveUnlessOrdinary = [
      leaveIf(i32.unequal(has(read(own, tcp.state), tcp.ordinaryMask), n(tcp.ordinary))),
      leaveIf(i32.unequal(has(flags.get, (tcp.flagsOfConnection | flagAck) << 16), n(flagAck << 16))),
      leaveIf(i32.equal(options.get, n(optionsOther))),
      leaveIf(i32.unequal(sequence.get, read(own, tcp.next))),
      leaveIf(i32.equal(window.get, n(0))),
      leaveIf(i32.greater(i32.subtract(acknowledgement.get, read(other, tcp.toBeAcked)), n(0))),
      leaveIf(i32.equal(has(read(other, tcp.state), tcp.toBeAckedKnown), n(0))),
      when(
        i32.equal(length.get, n(0)),
        [
          repeats.set(
            i32.and(
              i32.equal(acknowledgement.get, read(own, tcp.lastAck)),
              i32.equal(window.get, read(own, tcp.lastWindow)),
            ),
          ),
          // The same acknowledgement again may be the answer to a probe.
          when(repeats.get, [leaveIf(has(read(other, tcp.state), tcp.wasKeepAlive), 2)]),
        ],
        [
          leaveIf(i32.less(length.get, n(2)), 1),
          when(
            i32.unequal(has(read(own, tcp.state), tcp.ignored | tcp.hasData), n(tcp.ignored | tcp.hasData)),
            leaveUnlessFirstDataAreOfNoInterest,
          ),
          // Data that were acknowledged before, and data up to the edge of the window.
          leaveIf(
            i32.and(i32.unequal(acked.get, n(0)), i32.atMost(i32.subtract(after.get, acked.get), n(0))),
            1,
          ),
          leaveIf(i32.equal(after.get, read(other, tcp.windowEdge)), 1),
          tail.set(read(own, tcp.flight + 1)),
          leaveUnlessQueueTakesIt,
        ],
      ),
    ]
    const endHandshake = when(has(read(own, tcp.state), tcp.handshakeOpen), [
      write(own, tcp.state, has(read(own, tcp.state), ~tcp.handshakeOpen)),
      write(other, tcp.state, has(read(other, tcp.state), ~tcp.handshakeOpen)),
      scratch.set(rareRow),
      when(f64.equal(readNs(scratch, tcp.handshakeNs), f64.constant(0)), [
        ns.set(f64.subtract(now.get, readNs(scratch, tcp.synNs))),
        writeNs(scratch, tcp.handshakeNs, ns.get),
        scratch.set(otherRareRow),
        writeNs(scratch, tcp.handshakeNs, ns.get),
      ]),
    ])
    const countIt = [
      raise(own, tcp.packets, n(1)),
      raiseNs(own, tcp.bytes, f64.fromSigned(of(segmentWireLength))),
      writeNs(own, tcp.lastAckNs, now.get),
      when(i32.unequal(acknowledgement.get, read(own, tcp.lastAck)), [
        write(own, tcp.dupAcksInRow, n(0)),
        write(own, tcp.lastAck, acknowledgement.get),
      ]),
      when(repeats.get, [
        // -1, which stands for unseen ones, is followed by 1.
        raise(own, tcp.dupAcksInRow, i32.add(n(1), i32.equal(read(own, tcp.dupAcksInRow), n(-1)))),
        scratch.set(rareRow),
        raise(scratch, tcp.duplicateAcks, n(1)),
      ]),
      write(own, tcp.lastWindow, window.get),
      moveWindowEdge,
    ]
    const queueIt = [
      when(
        isChunkEnd(tail),
        [
          chunk.set(i32.load(free)),
          i32.store(free, 0, i32.load(chunk.get, chunkNext)),
          when(
            tail.get,
            [i32.store(i32.subtract(tail.get, n(chunkBytes)), chunkNext, chunk.get)],
            [write(own, tcp.flight, i32.add(chunk.get, n(chunkHead)))],
          ),
          tail.set(i32.add(chunk.get, n(chunkHead))),
          f64.store(chunk.get, 0, now.get),
        ],
        [
          chunk.set(chunkOf(tail)),
          when(i32.equal(tail.get, read(own, tcp.flight)), [f64.store(chunk.get, 0, now.get)]),
        ],
      ),
      i32.store(tail.get, 0, after.get),
      i32.store(tail.get, entrySinceNs, f64.toUnsigned(f64.subtract(now.get, f64.load(chunk.get)))),
      write(own, tcp.flight + 1, i32.add(tail.get, n(entryBytes))),
    ]
    const takeData = when(length.get, [
      raiseNs(own, tcp.payloadBytes, f64.fromSigned(length.get)),
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
      queueIt,
      when(isFirst.get, [
        write(own, tcp.state, i32.or(read(own, tcp.state), n(tcp.ignored | tcp.hasData))),
        scratch.set(rareRow),
        write(scratch, tcp.seenFrom, sequence.get),
      ]),
    ])
    const releaseChunk = [
      chunk.set(i32.subtract(head.get, n(chunkBytes))),
      when(
        i32.equal(head.get, tail.get),
        [head.set(n(0)), tail.set(n(0)), write(other, tcp.flight + 1, n(0))],
        [head.set(i32.add(i32.load(chunk.get, chunkNext), n(chunkHead)))],
      ),
      i32.store(chunk.get, chunkNext, i32.load(free)),
      i32.store(free, 0, chunk.get),
    ]
    const beginNewest = write(
      other,
      tcp.newestRoundTrips,
      i32.or(i32.shiftLeft(bucket.get, n(tcp.bucketShift)), n(1)),
    )
    const countRoundTrip = [
      append(this.answers),
      raiseNs(other, tcp.roundTripSumNs, ns.get),
      when(f64.less(ns.get, readNs(other, tcp.roundTripMinNs)), [writeNs(other, tcp.roundTripMinNs, ns.get)]),
      durationBucketCode(ns, bucket, scratch),
      newest.set(read(other, tcp.newestRoundTrips)),
      when(
        i32.and(
          i32.equal(i32.shiftRight(newest.get, n(tcp.bucketShift)), bucket.get),
          i32.unequal(has(newest.get, tcp.mostNewest), n(tcp.mostNewest)),
        ),
        [raise(other, tcp.newestRoundTrips, n(1))],
        [
          when(
            has(newest.get, tcp.mostNewest),
            [
              chunk.set(i32.add(otherRareRow, n(tcp.histogramAt))),
              addDurations(
                chunk.get,
                i32.shiftRight(newest.get, n(tcp.bucketShift)),
                has(newest.get, tcp.mostNewest),
                scratch,
                beginNewest,
                append(this.late),
              ),
            ],
            [beginNewest],
          ),
        ],
      ),
    ]
    const takeAnswer = [
      head.set(read(other, tcp.flight)),
      tail.set(read(other, tcp.flight + 1)),
      answered.set(n(0)),
      loop(
        leaveIf(i32.equal(head.get, tail.get)),
        leaveIf(i32.less(i32.subtract(acknowledgement.get, i32.load(head.get)), n(0))),
        answered.set(n(1)),
        ns.set(f64.add(f64.load(chunkOf(head)), f64.fromUnsigned(i32.load(head.get, entrySinceNs)))),
        head.set(i32.add(head.get, n(entryBytes))),
        when(isChunkEnd(head), releaseChunk),
        again,
      ),
      when(answered.get, [
        write(other, tcp.flight, head.get),
        when(
          i32.equal(has(read(other, tcp.state), tcp.recovering), n(0)),
          [ns.set(f64.subtract(now.get, ns.get)), when(f64.atLeast(ns.get, f64.constant(0)), countRoundTrip)],
          [
            scratch.set(otherRareRow),
            when(i32.atLeast(i32.subtract(acknowledgement.get, read(scratch, tcp.recoverEnd)), n(0)), [
              write(other, tcp.state, has(read(other, tcp.state), ~tcp.recovering)),
            ]),
          ],
        ),
      ]),
    ]
    const takeStamps = when(has(options.get, optionsStamps), [
      value.set(of(segmentStamp)),
      echo.set(of(segmentEcho)),
      readStamps,
    ])
    const takeSack = when(i32.shiftRight(options.get, n(optionsSackShift)), [
      scratch.set(rareRow),
      raise(scratch, tcp.sackBlocks, i32.shiftRight(options.get, n(optionsSackShift))),
    ])
    return code.compile(
      this.arena,
      loop(
        leaveIf(i32.atLeast(i.get, end.get)),
        load,
        when(has(flags.get, flagSyn << 16), [
          takeSyn(code, registers),
          i.set(i32.add(i.get, n(1))),
          againFrom(1),
        ]),
        acked.set(read(other, tcp.lastAck)),
        repeats.set(n(0)),
        isFirst.set(n(0)),
        leaveUnlessOrdinary,
        endHandshake,
        countIt,
        takeData,
        takeAnswer,
        takeStamps,
        takeSack,
        i.set(i32.add(i.get, n(1))),
        again,
      ),
      i.get,
    )
  }

  private compileFetch(batch: SegmentBatch): (...args: number[]) => number {
    const code = new WasmFunction()
    const rows = code.parameter()
    const first = code.parameter()
    const end = code.parameter()
    const i = code.local('i32')
    const row = code.local('i32')
    const own = code.local('i32')
    const other = code.local('i32')
    const address = code.local('i32')
    const touched = code.local('i32')
    const n = i32.constant
    const touch = (at: Code, offset = 0): Code => touched.set(i32.xor(touched.get, i32.load(at, offset)))
    const each = (...body: readonly Code[]): Code => [
      i.set(first.get),
      loop(
        leaveIf(i32.atLeast(i.get, end.get)),
        row.set(i32.load(batch.rowCode(i), 4 * segmentRow)),
        findRows({ rows, row, own, other }),
        body,
        i.set(i32.add(i.get, n(1))),
        again,
      ),
    ]
    return code.compile(
      this.arena,
      each(touch(own.get), touch(own.get, tcp.lineBytes), touch(other.get), touch(other.get, tcp.lineBytes)),
      each(
        // The newest and the oldest segment in flight; address 0 can be read like any other.
        address.set(i32.load(own.get, 4 * (tcp.flight + 1))),
        when(address.get, [touch(i32.subtract(address.get, n(entryBytes)))]),
        touch(i32.load(other.get, 4 * tcp.flight)),
      ),
      // What was read must seem to be wanted.
      touched.get,
    )
  }
}
