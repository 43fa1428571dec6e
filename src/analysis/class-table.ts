/** Counters per traffic class: what carries one VLAN number, PCP and DSCP. */

import type { Frame } from '../capture/frame.js'
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
  readonly roundTrips = new Histogram()
  readonly series: Series

  constructor(
    readonly vlan: number,
    readonly pcp: number,
    readonly dscp: number,
    clock: SeriesClock,
  ) {
    this.series = new Series(clock)
  }

  count(frame: Frame): void {
    if (this.packets === 0) this.firstNs = frame.timeNs
    this.packets++
    this.bytes += frame.wireLength
    this.payloadBytes += frame.payloadLength
    this.lastNs = frame.timeNs
    this.series.add(frame.timeNs, frame.wireLength)
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

  constructor(private readonly clock: SeriesClock) {}

  of(frame: Frame): ClassCounters {
    const block = this.blocks[frame.vlan + 1]!
    const number = this.numbers[block + (frame.pcp + 1) * dscpValues + frame.dscp + 1]
    if (block !== none && number !== undefined && number !== none) return this.rows[number]!
    return this.add(frame)
  }

  private add(frame: Frame): ClassCounters {
    const size = pcpValues * dscpValues
    if (this.blocks[frame.vlan + 1] === none) {
      const larger = new Int32Array(this.numbers.length + size).fill(none)
      larger.set(this.numbers)
      this.blocks[frame.vlan + 1] = this.numbers.length
      this.numbers = larger
    }
    const block = this.blocks[frame.vlan + 1]!
    this.numbers[block + (frame.pcp + 1) * dscpValues + frame.dscp + 1] = this.rows.length
    const row = new ClassCounters(frame.vlan, frame.pcp, frame.dscp, this.clock)
    this.rows.push(row)
    return row
  }
}
