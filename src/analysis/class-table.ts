/** Counters per traffic class: what carries one VLAN number, PCP and DSCP. */

import type { Frame } from '../capture/frame.js'
import { type SegmentBatch, segmentMarks, segmentWidth } from '../capture/segment-batch.js'
import type { WasmArena } from '../support/wasm.js'
import type { AnswerList } from './answer-list.js'
import { AnswerRun, ClassRun } from './class-run.js'
import { Histogram } from './histogram.js'
import { Series, type SeriesClock } from './series.js'

export class ClassCounters {
  packets = 0
  // -0 makes the engine keep these as doubles from the start; they pass 2^31 in any long capture.
  bytes = -0
  payloadBytes = -0
  firstNs = -0
  lastNs = -0
  /** TCP segments whose sequence space was seen before in this capture. */
  retransmits = 0
  /** Round trips whose acknowledgement is in this class. */
  readonly roundTrips: Histogram
  readonly series: Series

  constructor(
    readonly vlan: number,
    readonly pcp: number,
    readonly dscp: number,
    clock: SeriesClock,
    arena: WasmArena,
  ) {
    this.series = new Series(clock)
    this.roundTrips = new Histogram((size) => arena.array(Uint32Array, size))
  }

  count(frame: Frame): void {
    if (this.packets === 0) this.firstNs = frame.timeNs
    this.packets++
    this.bytes += frame.wireLength
    this.payloadBytes += frame.payloadLength
    this.lastNs = frame.timeNs
    this.series.add(frame.timeNs, frame.wireLength)
  }

  /** Counts the frames of a batch from `first` on, as far as they are of one class and bin; returns where that ends. */
  countRun(batch: SegmentBatch, first: number, run: ClassRun): number {
    const { series } = this
    const firstNs = batch.timeNs[first]!
    if (this.packets === 0) this.firstNs = firstNs
    series.turnTo(firstNs)
    const end = run.take(batch, first, series.binFromNs, series.binToNs)
    this.packets += end - first
    this.bytes += run.bytes
    this.payloadBytes += run.payloadBytes
    this.lastNs = batch.timeNs[end - 1]!
    series.addToBin(run.bytes, end - first)
    return end
  }
}

const vlanValues = 4097
const pcpValues = 9
const dscpValues = 65
const none = -1

/** Finds the counters of a class in two array reads; each of the three numbers may be `absent`. */
export class ClassTable {
  readonly rows: ClassCounters[] = []
  /** Where the block of a VLAN begins in `numbers`. */
  private readonly blocks = new Int32Array(vlanValues).fill(none)
  private numbers = new Int32Array(0)

  private readonly run: ClassRun
  private readonly answerRun: AnswerRun
  /** Of the last batch. */
  earliestNs = Number.POSITIVE_INFINITY
  latestNs = Number.NEGATIVE_INFINITY

  /** Batches must come from a reader with the same arena. */
  constructor(
    private readonly clock: SeriesClock,
    private readonly arena: WasmArena,
  ) {
    this.run = new ClassRun(arena)
    this.answerRun = new AnswerRun(arena)
  }

  of(frame: Frame): ClassCounters {
    return this.find(frame.vlan, frame.pcp, frame.dscp)
  }

  /** The class of a row of a batch. */
  ofMarks(marks: number): ClassCounters {
    return this.find((marks >> 16) - 1, ((marks >> 8) & 0xff) - 1, (marks & 0xff) - 1)
  }

  /** Counts the frames of a batch, a run of one class after the other. */
  countBatch(batch: SegmentBatch): void {
    const { count, fields } = batch
    const { run } = this
    this.earliestNs = Number.POSITIVE_INFINITY
    this.latestNs = Number.NEGATIVE_INFINITY
    for (let i = 0; i < count; ) {
      const row = this.ofMarks(fields[segmentWidth * i + segmentMarks]!)
      i = row.countRun(batch, i, run)
      if (run.earliestNs < this.earliestNs) this.earliestNs = run.earliestNs
      if (run.latestNs > this.latestNs) this.latestNs = run.latestNs
    }
  }

  /** Adds the round trips that segments of a batch completed to the classes of those segments. */
  addRoundTrips(batch: SegmentBatch, answers: AnswerList): void {
    for (let k = 0; k < answers.count; ) {
      const row = this.ofMarks(batch.fields[segmentWidth * answers.index(k) + segmentMarks]!)
      k = this.answerRun.take(batch, answers, k, row.roundTrips)
    }
  }

  private find(vlan: number, pcp: number, dscp: number): ClassCounters {
    const block = this.blocks[vlan + 1]!
    const number = this.numbers[block + (pcp + 1) * dscpValues + dscp + 1]
    if (block !== none && number !== undefined && number !== none) return this.rows[number]!
    return this.add(vlan, pcp, dscp)
  }

  private add(vlan: number, pcp: number, dscp: number): ClassCounters {
    const size = pcpValues * dscpValues
    if (this.blocks[vlan + 1] === none) {
      const larger = new Int32Array(this.numbers.length + size).fill(none)
      larger.set(this.numbers)
      this.blocks[vlan + 1] = this.numbers.length
      this.numbers = larger
    }
    const block = this.blocks[vlan + 1]!
    this.numbers[block + (pcp + 1) * dscpValues + dscp + 1] = this.rows.length
    const row = new ClassCounters(vlan, pcp, dscp, this.clock, this.arena)
    this.rows.push(row)
    return row
  }
}
