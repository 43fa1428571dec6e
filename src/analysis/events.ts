/**
 * What happens in a capture, one event at a time while it is read: flows, what their TCP had to mend, marks that
 * change, and the steps of a migration. Its memory grows with flows, not with events.
 */

import { flagFin, flagRst } from '../capture/decode.js'
import { absent, type Frame } from '../capture/frame.js'
import { flowNames } from './analysis-document.js'
import type { CapturePass } from './capture-pass.js'
import { MigrationEvents } from './migration-events.js'
import { rareCounters } from './tcp-table.js'

/** One line of `analyze --events`. Which further fields there are depends on `event`; see event-meanings.ts. */
export interface CaptureEvent {
  /** Seconds since the capture's first frame. */
  readonly at_s: number
  readonly event: string
  readonly [field: string]: unknown
}

/** Counters of the TCP analysis that are an event each time they rise. */
const judged = new Map<string, string>([
  ['retransmissions', 'retransmission'],
  ['fast_retransmissions', 'fast-retransmission'],
  ['spurious_retransmissions', 'spurious-retransmission'],
  ['out_of_order', 'out-of-order'],
  ['lost_segments', 'lost-segment'],
  ['duplicate_acks', 'duplicate-ack'],
  ['window_full', 'window-full'],
  ['keep_alives', 'keep-alive'],
])
/** Those up to here are judgements about bytes that were perhaps seen before. */
const lastRepeating = rareCounters.indexOf('out_of_order')
const judgedCounters = rareCounters.flatMap((name, column) => {
  const event = judged.get(name)
  return event === undefined ? [] : [{ column, event, repeats: column <= lastRepeating }]
})

// One direction of a flow.
const seenMark = 0
const zeroSince = 1
const ended = 2
const firstCounter = 3
const width = firstCounter + judgedCounters.length
const never = -1
/** Value of `ended`: bit 0 and 1 are the FINs of both directions. */
const closed = 3

export class EventWatch {
  private rows = new Float64Array(64 * width)
  private flows = 0
  private readonly migrations: MigrationEvents[] = []

  /** `numbered`: the frames are counted from the file's first one, so that events can name them. */
  constructor(
    private readonly emit: (event: CaptureEvent) => void,
    private readonly numbered: boolean,
  ) {}

  /** After `pass` has taken the frame. */
  frame(frame: Frame, pass: CapturePass): void {
    const row = pass.flows.rowOf(frame)
    if (row === absent) return
    while (this.flows < pass.flows.count) this.beginFlow(frame, pass)
    this.mark(row, frame, pass)
    if (!frame.tcp) return
    this.judge(row, frame, pass)
    this.window(row, frame, pass)
    this.close(row, frame, pass)
    if (frame.payloadLength > 0) this.migrate(pass)
  }

  /** After the last frame: what is still open ends with the capture. */
  end(pass: CapturePass): void {
    if (pass.packets === 0) return
    this.migrate(pass)
    for (const migration of this.migrations) migration.end(pass.lastNs)
    for (let flow = 0; flow < this.flows; flow++) {
      if (this.rows[2 * flow * width + ended] !== closed) this.endFlow(flow, 'capture-end', pass.lastNs, pass)
    }
  }

  private beginFlow(frame: Frame, pass: CapturePass): void {
    const flow = this.flows++
    if (2 * this.flows * width > this.rows.length) {
      const larger = new Float64Array(2 * this.rows.length)
      larger.set(this.rows)
      this.rows = larger
    }
    for (const row of [2 * flow, 2 * flow + 1]) {
      this.rows[row * width + seenMark] = never
      this.rows[row * width + zeroSince] = never
    }
    this.tell('flow-begin', frame.timeNs, pass, {
      flow,
      ...flowNames(pass, flow),
      ...markDocument(markOf(frame)),
    })
  }

  private mark(row: number, frame: Frame, pass: CapturePass): void {
    const at = row * width + seenMark
    const before = this.rows[at]!
    const after = markOf(frame)
    if (after === before) return
    this.rows[at] = after
    if (before === never) return
    const change = { before: markDocument(before), after: markDocument(after) }
    this.tell('mark-change', frame.timeNs, pass, { ...this.direction(row, pass), ...change })
  }

  private judge(row: number, frame: Frame, pass: CapturePass): void {
    const counters = pass.directions.rareCounts(row)
    const { repeated } = pass.directions
    let known = false
    for (const [i, { column, event, repeats }] of judgedCounters.entries()) {
      const at = row * width + firstCounter + i
      if (counters[column] === this.rows[at]) continue
      this.rows[at] = counters[column]!
      known ||= repeats
      const sizes = repeats ? { bytes: frame.payloadLength, repeated_bytes: repeated } : {}
      this.tell(event, frame.timeNs, pass, { ...this.direction(row, pass), ...sizes })
    }
    if (repeated === 0 || known) return
    const sizes = { bytes: frame.payloadLength, repeated_bytes: repeated }
    this.tell('repeated-segment', frame.timeNs, pass, { ...this.direction(row, pass), ...sizes })
  }

  private window(row: number, frame: Frame, pass: CapturePass): void {
    const at = row * width + zeroSince
    const since = this.rows[at]!
    const isZero = frame.window === 0 && (frame.flags & flagRst) === 0
    if (isZero === (since !== never)) return
    // Time stamps before the first frame's are negative; the distance from -1 ns is not to be taken for "never".
    this.rows[at] = isZero ? Math.max(frame.timeNs, 0) : never
    if (isZero) this.tell('zero-window', frame.timeNs, pass, this.direction(row, pass))
    else {
      const zeroMs = { zero_ms: (frame.timeNs - since) / 1e6 }
      this.tell('zero-window-end', frame.timeNs, pass, { ...this.direction(row, pass), ...zeroMs })
    }
  }

  /** A connection ends with a reset, or when both sides have said that they send no more. */
  private close(row: number, frame: Frame, pass: CapturePass): void {
    if ((frame.flags & (flagFin | flagRst)) === 0) return
    const at = 2 * (row >> 1) * width + ended
    const state = this.rows[at]!
    if (state === closed) return
    const reset = (frame.flags & flagRst) !== 0
    this.rows[at] = reset ? closed : state | (row % 2 === 0 ? 1 : 2)
    if (this.rows[at] === closed) this.endFlow(row >> 1, reset ? 'reset' : 'fin', frame.timeNs, pass)
  }

  private endFlow(flow: number, reason: string, timeNs: number, pass: CapturePass): void {
    const [there, back] = [pass.directions.counts(2 * flow), pass.directions.counts(2 * flow + 1)]
    const figures = { packets: there.packets + back.packets, bytes: there.bytes + back.bytes }
    this.tell('flow-end', timeNs, pass, { flow, reason, ...figures })
  }

  private migrate(pass: CapturePass): void {
    const { found } = pass.migrations
    while (this.migrations.length < found.length) {
      const migration = this.migrations.length
      this.migrations.push(
        new MigrationEvents(found[migration]!, (event, timeNs, fields) =>
          this.tell(event, timeNs, pass, { migration, ...fields }),
        ),
      )
    }
    for (const migration of this.migrations) migration.advance()
  }

  private direction(row: number, pass: CapturePass): { readonly flow: number; readonly from: string } {
    const flow = row >> 1
    const { a, b } = flowNames(pass, flow)
    return { flow, from: row % 2 === 0 ? a : b }
  }

  private tell(
    event: string,
    timeNs: number,
    pass: CapturePass,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    const frame = this.numbered ? { frame: pass.packets } : {}
    this.emit({ at_s: (timeNs - pass.clock.originNs) / 1e9, event, ...frame, ...fields })
  }
}

/** One number for VLAN, PCP and DSCP. */
function markOf({ vlan, pcp, dscp }: Frame): number {
  return ((vlan + 1) << 12) | ((pcp + 1) << 8) | (dscp + 1)
}

function markDocument(mark: number): Readonly<Record<'vlan' | 'pcp' | 'dscp', number | null>> {
  const known = (value: number): number | null => (value === absent ? null : value)
  return { vlan: known((mark >> 12) - 1), pcp: known(((mark >> 8) & 15) - 1), dscp: known((mark & 0xff) - 1) }
}
