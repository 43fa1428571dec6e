/** One pass over one capture: totals, classes, flows and their TCP analysis. Memory grows with flows, not with frames. */

import { flagAck, flagSyn } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import { type SegmentBatch, segmentMarks, segmentRow, segmentWidth } from '../capture/segment-batch.js'
import { WasmArena } from '../support/wasm.js'
import { type ClassCounters, ClassTable } from './class-table.js'
import { FlowTable } from './flow-table.js'
import { MigrationWatch } from './migration-watch.js'
import { Series, SeriesClock } from './series.js'
import { TcpTable } from './tcp-table.js'

const none = -1
/** With fewer than one frame in so many of another flow than the one before, the cache has what is needed. */
const muchChange = 8

export interface PassOptions {
  /** Width of a bin of the time series. */
  readonly intervalNs: number
  /** Keep a time series of each flow as well. */
  readonly seriesOfFlows?: boolean | undefined
  /** Keep every guest page that a migration sent, for its picture. */
  readonly pageDots?: boolean | undefined
}

export class CapturePass {
  packets = 0
  firstNs = Number.POSITIVE_INFINITY
  lastNs = Number.NEGATIVE_INFINITY
  readonly clock: SeriesClock
  readonly classes: ClassTable
  readonly flows: FlowTable
  /** Counters of the two directions of flow n in rows 2 n and 2 n + 1. */
  readonly directions: TcpTable
  /** Series of each row of `directions`, if they were asked for. */
  readonly directionSeries: Series[] | undefined
  /** Looks into the payload of TCP streams for migrations. */
  readonly migrations: MigrationWatch
  private knownFlows = 0

  /** Batches must come from a reader with the same arena. */
  constructor({ intervalNs, seriesOfFlows = false, pageDots = false }: PassOptions, arena = new WasmArena()) {
    this.flows = new FlowTable(arena)
    this.directions = new TcpTable(arena)
    this.clock = new SeriesClock(intervalNs)
    this.classes = new ClassTable(this.clock, arena)
    this.directionSeries = seriesOfFlows ? [] : undefined
    this.migrations = new MigrationWatch(this.flows, this.directions, pageDots)
  }

  get bytes(): number {
    return this.classes.rows.reduce((sum, row) => sum + row.bytes, 0)
  }

  /** Says when the capture's first frame passed, counted or not: times of series, flows and events are since then. */
  begin(timeNs: number): void {
    if (Number.isNaN(this.clock.originNs)) this.clock.originNs = timeNs
  }

  /** Counts one decoded frame. */
  take(frame: Frame): void {
    const { timeNs, wireLength } = frame
    this.begin(timeNs)
    this.packets++
    if (timeNs < this.firstNs) this.firstNs = timeNs
    if (timeNs > this.lastNs) this.lastNs = timeNs
    const row = this.classes.of(frame)
    row.count(frame)
    const direction = this.flows.rowOf(frame)
    if (direction === none) return
    if (this.flows.count !== this.knownFlows) this.add()
    if (frame.tcp) {
      this.takeTcp(direction, frame)
      if (this.directions.repeated > 0) row.retransmits++
      if (this.directions.roundTripNs >= 0) row.roundTrips.add(this.directions.roundTripNs)
    } else {
      this.directions.count(direction, frame)
    }
    if (this.directionSeries !== undefined) this.directionSeries[direction]?.add(timeNs, wireLength)
  }

  /** Counts the frames of a batch; `frame` is where those that need a closer look are decoded. */
  takeBatch(batch: SegmentBatch, frame: Frame): void {
    const { count } = batch
    const { classes, directions } = this
    this.begin(batch.timeNs[0]!)
    this.packets += count
    classes.countBatch(batch)
    if (classes.earliestNs < this.firstNs) this.firstNs = classes.earliestNs
    if (classes.latestNs > this.lastNs) this.lastNs = classes.latestNs
    directions.beginBatch()
    for (let first = 0; first < count; ) first = this.takeFlows(batch, first, frame)
    directions.endBatch(batch)
    classes.addRoundTrips(batch, directions.answers)
  }

  /** The segments of a batch from `first` on, as far as their flows can be told; returns where to go on. */
  private takeFlows(batch: SegmentBatch, first: number, frame: Frame): number {
    const { directions, flows } = this
    const end = flows.findBatch(batch, first)
    while (this.knownFlows < flows.count) this.add()
    if (flows.changes > (end - first) / muchChange) directions.fetch(batch, first, end)
    for (
      let i = directions.takeOrdinary(batch, first, end);
      i < end;
      i = directions.takeOrdinary(batch, i + 1, end)
    ) {
      this.takeOther(batch, i, frame)
    }
    if (end === batch.count) return end
    // A SYN of a flow that is known: the segments before it tell what it is.
    batch.show(end, frame)
    batch.fields[segmentWidth * end + segmentRow] = this.connectionOf(flows.rowOf(frame), frame)
    this.takeOther(batch, end, frame)
    return end + 1
  }

  /** A segment of a batch that there is something to judge about, or to look into. */
  private takeOther(batch: SegmentBatch, i: number, frame: Frame): void {
    const row = batch.fields[segmentWidth * i + segmentRow]!
    batch.show(i, frame)
    this.directions.takeOther(row, i, frame)
    if (this.directions.repeated > 0) this.classOf(batch, i).retransmits++
    this.migrations.segment(row, frame)
  }

  private classOf(batch: SegmentBatch, i: number): ClassCounters {
    return this.classes.ofMarks(batch.fields[segmentWidth * i + segmentMarks]!)
  }

  private takeTcp(found: number, frame: Frame): void {
    const direction = this.connectionOf(found, frame)
    this.directions.take(direction, frame)
    this.migrations.segment(direction, frame)
  }

  /** The row for a segment of the flow that has row `found`: a new one for a SYN that opens another connection. */
  private connectionOf(found: number, frame: Frame): number {
    const opens = (frame.flags & (flagSyn | flagAck)) === flagSyn && this.directions.reopens(found, frame)
    if (!opens) return found
    const row = this.flows.reopen(frame)
    this.add()
    return row
  }

  private add(): void {
    this.knownFlows++
    this.directions.add()
    this.directionSeries?.push(new Series(this.clock), new Series(this.clock))
  }
}
