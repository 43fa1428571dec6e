/** One pass over one capture: totals, classes, flows and their TCP analysis. Memory grows with flows, not with frames. */

import { flagAck, flagSyn } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import { ClassTable } from './class-table.js'
import { FlowTable } from './flow-table.js'
import { MigrationWatch } from './migration-watch.js'
import { Series, SeriesClock } from './series.js'
import { TcpTable } from './tcp-table.js'

const none = -1

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
  // -0 makes the engine keep this as a double from the start; it passes 2^31 in any long capture.
  bytes = -0
  firstNs = Number.POSITIVE_INFINITY
  lastNs = Number.NEGATIVE_INFINITY
  readonly clock: SeriesClock
  readonly classes: ClassTable
  readonly flows = new FlowTable()
  /** Counters of the two directions of flow n in rows 2 n and 2 n + 1. */
  readonly directions = new TcpTable()
  /** Series of each row of `directions`, if they were asked for. */
  readonly directionSeries: Series[] | undefined
  /** Looks into the payload of TCP streams for migrations. */
  readonly migrations: MigrationWatch
  private knownFlows = 0

  constructor({ intervalNs, seriesOfFlows = false, pageDots = false }: PassOptions) {
    this.clock = new SeriesClock(intervalNs)
    this.classes = new ClassTable(this.clock)
    this.directionSeries = seriesOfFlows ? [] : undefined
    this.migrations = new MigrationWatch(this.flows, pageDots)
  }

  /** Counts one decoded frame. */
  take(frame: Frame): void {
    const { timeNs, wireLength } = frame
    if (this.packets === 0) this.clock.originNs = timeNs
    this.packets++
    this.bytes += wireLength
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

  private takeTcp(found: number, frame: Frame): void {
    let direction = found
    if ((frame.flags & (flagSyn | flagAck)) === flagSyn && this.directions.reopens(direction, frame)) {
      direction = this.flows.reopen(frame)
      this.add()
    }
    this.directions.take(direction, frame)
    this.migrations.segment(direction, frame)
  }

  private add(): void {
    this.knownFlows = this.flows.count
    this.directions.add()
    this.directionSeries?.push(new Series(this.clock), new Series(this.clock))
  }
}
