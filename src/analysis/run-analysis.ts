/**
 * From the four captures of a run to what each class got and lost: the `classes`, `marks` and `ledger` of
 * result.json. One pass over all captures in order of time, in memory bounded by flows and by frames in the queue.
 */

import { decode } from '../capture/decode.js'
import { absent, type Frame } from '../capture/frame.js'
import { type FrameReader, openCapture } from '../capture/read.js'
import { TimeBase } from '../capture/record-scanner.js'
import { TimeOrder } from '../capture/time-order.js'
import { defaultTable, type MarkingTable, pcpByDscp } from '../marking/traffic-class.js'
import { failure } from '../support/errors.js'
import { parseMac } from './addresses.js'
import { ClientWatch, type WireOutage } from './client-watch.js'
import { FrameMatcher } from './frame-matcher.js'
import { comparableBytes, Identity, identify } from './identity.js'
import { MarksAudit, type MarksResult } from './marks-audit.js'
import { PortRate } from './port-rate.js'
import { type ClassResult, type ClassRow, classResult, RowTable, type Window, within } from './run-classes.js'
import { Connections } from './run-connections.js'
import { type ExpectedFlow, FlowIndex, type FlowMatch } from './run-flows.js'
import {
  type FlowLedger,
  type FrameLedger,
  flowLedger,
  frameLedger,
  type QueueCounters,
} from './run-ledger.js'
import { type RunSeries, SeriesTable } from './run-series.js'

/** In the order in which one frame passes them; frames of equal time are taken in this order. */
export const capturePoints = ['source', 'switch-in', 'switch-out', 'destination'] as const
export type CapturePoint = (typeof capturePoints)[number]

export interface RunAnalysisInput {
  /** Path of the capture of each point. */
  readonly captures: Readonly<Record<CapturePoint, string>>
  readonly flows: readonly ExpectedFlow[]
  /** Whoever is behind the congested port. */
  readonly destinationMac: string
  /** The guest, which moves behind the congested port: its frames at `switch-in` are those that do go there. */
  readonly guestMac?: string
  /** Counters of the congested port over the time of the captures: per PCP, or one `all` without priorities. */
  readonly queues: readonly QueueCounters[]
  /** Nanoseconds since 1970 between which throughput and latencies count, such as start and end of the migration. */
  readonly windowUnixNs?: readonly [from: number, to: number]
  readonly table?: MarkingTable
}

export interface RunAnalysis {
  readonly classes: readonly ClassResult[]
  readonly marks: MarksResult
  readonly ledger: {
    readonly flows: readonly FlowLedger[]
    readonly frames: readonly FrameLedger[]
    /** True when every difference is 0. */
    readonly balanced: boolean
  }
  /** The congested port while it always had something to send. */
  readonly port: { readonly busyNs: number; readonly bps: number }
  /** What the guest's client met; null without a client or a window. */
  readonly outage: WireOutage | null
  /** Frames in each capture. */
  readonly frames: Readonly<Record<CapturePoint, number>>
  /** The same over time; no bins without a window. */
  readonly series: RunSeries
}

/**
 * Analyses the captures of a run. Failure (exit 1) when a capture is missing or cut off: a figure from it would be
 * wrong without showing it.
 */
export async function analyseRun(input: RunAnalysisInput): Promise<RunAnalysis> {
  const timeBase = new TimeBase()
  const readers: FrameReader[] = []
  try {
    for (const point of capturePoints) readers.push(await openCapture(input.captures[point], timeBase))
    const order = new TimeOrder(readers)
    let at = await order.first()
    const pass = new RunPass(input, readers, (timeBase.seconds ?? 0) * 1e9)
    for (; at !== -1; at = order.step() ? order.current : await order.refill()) {
      const { frame } = readers[at]!
      decode(frame)
      pass.take(at, frame)
    }
    for (const [i, point] of capturePoints.entries()) {
      const problem = readers[i]?.problem
      if (problem) {
        throw failure(`${input.captures[point]}: ${problem.message}`, { code: 'capture-truncated' })
      }
    }
    return pass.result()
  } finally {
    for (const reader of readers) await reader.close()
  }
}

/** Whole frames of the migration's lanes, both directions. */
export function laneBytes({ classes }: Pick<RunAnalysis, 'classes'>): number {
  return classes
    .filter(({ role }) => role.startsWith('migration '))
    .reduce((total, { bytes }) => total + bytes, 0)
}

const switchIn = capturePoints.indexOf('switch-in')
const switchOut = capturePoints.indexOf('switch-out')
const untaggedQueue = 0
const pcpValues = 8

/** Everything that is counted while the frames go by. */
class RunPass {
  private readonly input: RunAnalysisInput
  private readonly flows: FlowIndex
  private readonly match: FlowMatch = { flow: absent, toServer: true }
  private readonly rows: RowTable
  private readonly marks: MarksAudit
  private readonly connections: Connections
  private readonly portRate = new PortRate()
  private readonly identity = new Identity()
  private readonly comparable: number
  private readonly matcher: FrameMatcher
  /** The destination, and the guest where there is one. */
  private readonly behindPort: readonly number[]
  private readonly watch: ClientWatch | undefined
  private readonly window: Window
  private readonly frames = new Float64Array(capturePoints.length)
  private readonly enteredByPcp = new Float64Array(pcpValues)
  private readonly leftByPcp = new Float64Array(pcpValues)
  private readonly series: SeriesTable

  constructor(input: RunAnalysisInput, readers: readonly FrameReader[], baseNs: number) {
    this.input = input
    this.flows = new FlowIndex(input.flows)
    this.rows = new RowTable()
    this.marks = new MarksAudit(input.flows, pcpByDscp(input.table ?? defaultTable), capturePoints)
    this.comparable = comparableBytes(readers.map((reader) => reader.snapLength))
    // Owners below 0 are frames that did not have to pass the congested port; not seeing them again is no loss.
    this.matcher = new FrameMatcher(pcpValues, (owner) => {
      if (owner >= 0) this.rows.at(owner).lost++
    })
    const guest = input.guestMac === undefined ? [] : [parseMac(input.guestMac)]
    this.behindPort = [parseMac(input.destinationMac), ...guest]
    const [from, to] = input.windowUnixNs ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
    this.window = { fromNs: from - baseNs, toNs: to - baseNs }
    this.series = new SeriesTable(this.window)
    this.connections = new Connections(this.window, this.series)
    const [guestMac] = guest
    if (guestMac !== undefined && input.windowUnixNs !== undefined)
      this.watch = new ClientWatch(guestMac, this.window.fromNs)
  }

  take(point: number, frame: Frame): void {
    this.frames[point] = this.frames[point]! + 1
    this.flows.find(frame, this.match)
    const row = this.rows.find(this.match, frame)
    row.add(point, frame, this.window)
    if (frame.ipVersion === 4) this.marks.check(frame, this.match, point, this.frames[point]!)
    if (frame.tcp && this.match.flow !== absent) this.connections.take(point, frame, this.match, row)
    this.watch?.take(point, frame, this.input.flows[this.match.flow]?.roams === true, this.match)
    if (point === switchIn) this.enter(frame, row)
    else if (point === switchOut) this.leave(frame, row)
  }

  result(): RunAnalysis {
    this.matcher.end()
    this.connections.end()
    const flows = flowLedger(this.input.flows, this.connections)
    const frames = frameLedger(this.enteredByPcp, this.leftByPcp, this.input.queues)
    const balanced =
      flows.every((entry) => entry.difference === 0) && frames.every((entry) => entry.difference === 0)
    const hasWindow = this.input.windowUnixNs !== undefined
    return {
      classes: this.rows
        .all()
        .filter((row) => row.reported)
        .map((row) => classResult(row, this.input.flows, hasWindow ? this.window : undefined, capturePoints)),
      marks: this.marks.result(),
      ledger: { flows, frames, balanced },
      port: this.portRate.result(),
      outage: this.watch?.result() ?? null,
      frames: {
        source: this.frames[0]!,
        'switch-in': this.frames[1]!,
        'switch-out': this.frames[2]!,
        destination: this.frames[3]!,
      },
      series: this.series.result(
        this.rows.all().filter((row) => row.reported),
        this.input.flows,
      ),
    }
  }

  private enter(frame: Frame, row: ClassRow): void {
    const mustPass = this.mustPass(frame)
    identify(frame, this.comparable, this.identity)
    this.matcher.enter(this.identity, frame.timeNs, mustPass ? row.number : ~row.number)
    if (!mustPass) return
    this.countEntered(frame.pcp, row, frame.wireLength)
    this.series.entered(row.number, frame.timeNs)
  }

  private leave(frame: Frame, row: ClassRow): void {
    const queue = frame.pcp === absent ? untaggedQueue : frame.pcp
    this.leftByPcp[queue] = this.leftByPcp[queue]! + 1
    row.leave(frame, this.window)
    this.series.left(row.number, frame.timeNs, frame.wireLength)
    identify(frame, this.comparable, this.identity)
    if (!this.matcher.leave(this.identity, queue)) {
      row.unmatched++
      return
    }
    const owner = this.matcher.matchedOwner
    if (owner < 0) this.countEntered(frame.pcp, this.rows.at(~owner), frame.wireLength)
    if (within(this.window, frame.timeNs)) row.queueDelay.add(frame.timeNs - this.matcher.matchedTimeNs)
    if (owner >= 0) this.series.matched(row.number, this.matcher.matchedTimeNs, frame.timeNs)
    const flow = this.input.flows[this.match.flow]
    if (flow?.besidePort) return
    this.portRate.leave(this.matcher.matchedTimeNs, frame.timeNs, frame.wireLength, flow?.path)
  }

  private countEntered(pcp: number, row: ClassRow, bytes: number): void {
    const queue = pcp === absent ? untaggedQueue : pcp
    this.enteredByPcp[queue] = this.enteredByPcp[queue]! + 1
    row.entered++
    row.enteredBytes += bytes
  }

  /** Whether the switch must forward this frame to the congested port: it is addressed to somebody behind it, or to all. */
  private mustPass(frame: Frame): boolean {
    if (frame.capLength < 12) return false
    const { view, start } = frame
    // What is for all comes from another port, or it would not be seen here.
    return (view.getUint8(start) & 1) === 1 || this.behindPort.includes(mac(view, start))
  }
}

function mac(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2)
}
