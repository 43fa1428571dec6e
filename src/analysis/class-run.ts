/** Adds up what follows each other in a batch: the frames of one class and one bin of time, and the round trips of one class. */

import {
  type SegmentBatch,
  segmentMarks,
  segmentPayload,
  segmentWidth,
  segmentWireLength,
} from '../capture/segment-batch.js'
import { again, f64, i32, leaveIf, loop, type WasmArena, WasmFunction, when } from '../support/wasm.js'
import type { AnswerList } from './answer-list.js'
import { type Histogram, histogramBucket, histogramLimitNs } from './histogram.js'

// What stands where, in doubles.
const binFromNs = 0
const binToNs = 1
const bytes = 2
const payloadBytes = 3
const earliestNs = 4
const latestNs = 5

export class ClassRun {
  private readonly place: number
  private readonly values: Float64Array
  private run: ((...args: number[]) => number) | undefined

  constructor(private readonly arena: WasmArena) {
    this.values = arena.array(Float64Array, 8)
    this.place = this.values.byteOffset
  }

  /** Adds up the frames from `first` on that have its marks and a time within the bin; returns where that ends. */
  take(batch: SegmentBatch, first: number, fromNs: number, toNs: number): number {
    this.values[binFromNs] = fromNs
    this.values[binToNs] = toNs
    this.run ??= this.compile(batch)
    return this.run(first, batch.count)
  }

  /** What the last run came to. */
  get bytes(): number {
    return this.values[bytes]!
  }
  get payloadBytes(): number {
    return this.values[payloadBytes]!
  }
  get earliestNs(): number {
    return this.values[earliestNs]!
  }
  get latestNs(): number {
    return this.values[latestNs]!
  }

  private compile(batch: SegmentBatch): (...args: number[]) => number {
    const code = new WasmFunction()
    const i = code.parameter()
    const count = code.parameter()
    const segment = code.local('i32')
    const marks = code.local('i32')
    const now = code.local('f64')
    const from = code.local('f64')
    const to = code.local('f64')
    const earliest = code.local('f64')
    const latest = code.local('f64')
    const wire = code.local('f64')
    const payload = code.local('f64')
    const n = i32.constant
    const at = n(this.place)
    return code.compile(
      this.arena,
      segment.set(batch.rowCode(i)),
      marks.set(i32.load(segment.get, 4 * segmentMarks)),
      from.set(f64.load(at, 8 * binFromNs)),
      to.set(f64.load(at, 8 * binToNs)),
      earliest.set(batch.timeCode(i)),
      latest.set(earliest.get),
      loop(
        now.set(batch.timeCode(i)),
        leaveIf(i32.unequal(i32.load(segment.get, 4 * segmentMarks), marks.get)),
        leaveIf(f64.less(now.get, from.get)),
        leaveIf(f64.atLeast(now.get, to.get)),
        when(f64.less(now.get, earliest.get), [earliest.set(now.get)]),
        when(f64.less(latest.get, now.get), [latest.set(now.get)]),
        wire.set(f64.add(wire.get, f64.fromSigned(i32.load(segment.get, 4 * segmentWireLength)))),
        payload.set(f64.add(payload.get, f64.fromSigned(i32.load(segment.get, 4 * segmentPayload)))),
        segment.set(i32.add(segment.get, n(4 * segmentWidth))),
        i.set(i32.add(i.get, n(1))),
        leaveIf(i32.equal(i.get, count.get)),
        again,
      ),
      f64.store(at, 8 * bytes, wire.get),
      f64.store(at, 8 * payloadBytes, payload.get),
      f64.store(at, 8 * earliestNs, earliest.get),
      f64.store(at, 8 * latestNs, latest.get),
      i.get,
    )
  }
}

export class AnswerRun {
  private readonly place: number
  /** The least and the largest duration of the last run. */
  private readonly range: Float64Array
  private run: ((...args: number[]) => number) | undefined

  constructor(private readonly arena: WasmArena) {
    this.range = arena.array(Float64Array, 2)
    this.place = this.range.byteOffset
  }

  /** Adds the answers from `first` on to `histogram`, as far as they have the same marks; returns where that ends. */
  take(batch: SegmentBatch, answers: AnswerList, first: number, histogram: Histogram): number {
    this.run ??= this.compile(batch, answers)
    const end = this.run(first, answers.count, histogram.place, histogram.size)
    if (end > first) {
      histogram.added(end - first, this.range[0]!, this.range[1]!)
      return end
    }
    // One that has no bucket yet, or is out of all measure.
    histogram.add(answers.ns(first))
    return first + 1
  }

  private compile(batch: SegmentBatch, answers: AnswerList): (...args: number[]) => number {
    const code = new WasmFunction()
    const k = code.parameter()
    const count = code.parameter()
    const place = code.parameter()
    const size = code.parameter()
    const marks = code.local('i32')
    const bucket = code.local('i32')
    const octave = code.local('i32')
    const word = code.local('i32')
    const ns = code.local('f64')
    const least = code.local('f64')
    const most = code.local('f64')
    const n = i32.constant
    const marksOfAnswer = i32.load(
      i32.multiply(answers.indexCode(k), n(4 * segmentWidth)),
      batch.rows + 4 * segmentMarks,
    )
    return code.compile(
      this.arena,
      marks.set(marksOfAnswer),
      least.set(f64.constant(Number.POSITIVE_INFINITY)),
      loop(
        leaveIf(i32.equal(k.get, count.get)),
        leaveIf(i32.unequal(marksOfAnswer, marks.get)),
        ns.set(answers.nsCode(k)),
        leaveIf(f64.atLeast(ns.get, f64.constant(histogramLimitNs))),
        histogramBucket(ns, bucket, octave, word),
        leaveIf(i32.atLeast(bucket.get, size.get)),
        word.set(i32.add(place.get, i32.shiftLeft(bucket.get, n(2)))),
        i32.store(word.get, 0, i32.add(i32.load(word.get), n(1))),
        when(f64.less(ns.get, least.get), [least.set(ns.get)]),
        when(f64.less(most.get, ns.get), [most.set(ns.get)]),
        k.set(i32.add(k.get, n(1))),
        again,
      ),
      f64.store(n(this.place), 0, least.get),
      f64.store(n(this.place), 8, most.get),
      k.get,
    )
  }
}
