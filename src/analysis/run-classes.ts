/**
 * One row per role, direction and mark seen on the wire: what it sent, got, lost and waited.
 *
 * Throughput is whole frames, Ethernet header and tag included and without FCS, in bits per second, where they left
 * the congested port (or, on a path without it, where they were last seen). Loss is frames seen at the entry point of
 * the congested port and never at its exit point. Retransmits are TCP segments whose sequence space was seen before.
 * Queueing delays are those of frames that left the congested port, round trips those of acknowledgements that were
 * seen, within the window: what the row met while the guest was being migrated, not what came before and after.
 */

import { absent, type Frame } from '../capture/frame.js'
import { Histogram } from './histogram.js'
import type { ExpectedFlow, FlowMatch } from './run-flows.js'

/** A row of `classes` in result.json. */
export interface ClassResult {
  readonly role: string
  readonly direction: 'client-to-server' | 'server-to-client' | 'any'
  /** Null: the frames carry no tag. */
  readonly vlan: number | null
  readonly pcp: number | null
  /** Null: not IP. */
  readonly dscp: number | null
  /** Where `packets` and `bytes` were counted, and where what was delivered; null if only one point saw the row. */
  readonly entry: string
  readonly exit: string | null
  readonly packets: number
  readonly bytes: number
  readonly packets_delivered: number
  readonly bytes_delivered: number
  readonly throughput_mbps: number
  /** Null without an exit point. */
  readonly packets_lost: number | null
  readonly loss_ratio: number | null
  readonly retransmits: number
  readonly rtt_ms_p50: number | null
  readonly rtt_ms_p99: number | null
  readonly queue_delay_ms_p50: number | null
  readonly queue_delay_ms_p99: number | null
}

/** From `fromNs` on and before `toNs`. */
export interface Window {
  readonly fromNs: number
  readonly toNs: number
}

export function within({ fromNs, toNs }: Window, timeNs: number): boolean {
  return timeNs >= fromNs && timeNs < toNs
}

interface Tally {
  frames: number
  bytes: number
  windowBytes: number
  firstNs: number
  lastNs: number
}

/** Counters of one row. Which points matter is known only at the end, so all are kept. */
export class ClassRow {
  readonly queueDelay = new Histogram()
  /** Round-trip times by where they were measured; see `run-connections.ts`. */
  readonly roundTrips: readonly Histogram[] = Array.from({ length: 4 }, () => new Histogram())
  readonly retransmits = new Float64Array(4)
  readonly points: readonly Tally[] = Array.from({ length: 4 }, emptyTally)
  /** At the congested port. */
  readonly left = emptyTally()
  entered = 0
  enteredBytes = 0
  lost = 0
  /** Frames that came out of the congested port and were not seen going in. */
  unmatched = 0
  payloadBytes = 0
  isTcp = true

  constructor(
    readonly number: number,
    readonly flow: number,
    readonly toServer: boolean,
    readonly vlan: number,
    readonly pcp: number,
    readonly dscp: number,
  ) {}

  /** A direction that carries nothing but acknowledgements is audited, but has no row in the result. */
  get reported(): boolean {
    return this.flow === absent || this.payloadBytes > 0 || !this.isTcp
  }

  add(point: number, frame: Frame, window: Window): void {
    count(this.points[point]!, frame, window)
    this.payloadBytes += frame.payloadLength
    this.isTcp &&= frame.tcp
  }

  leave(frame: Frame, window: Window): void {
    count(this.left, frame, window)
  }
}

/** The rows, found by role, direction and mark. */
export class RowTable {
  private readonly rows: ClassRow[] = []
  private readonly byKey = new Map<number, ClassRow>()

  at(number: number): ClassRow {
    return this.rows[number]!
  }

  all(): readonly ClassRow[] {
    return this.rows
  }

  find(match: FlowMatch, frame: Frame): ClassRow {
    const { flow, toServer } = match
    const { vlan, pcp, dscp } = frame
    // 13 bits of VLAN, 4 of PCP, 7 of DSCP (each with room for `absent`) and the direction, below the flow.
    const mark = ((vlan + 1) << 12) | ((pcp + 1) << 8) | ((dscp + 1) << 1) | (toServer ? 1 : 0)
    const key = (flow + 1) * 2 ** 25 + mark
    let row = this.byKey.get(key)
    if (!row) {
      row = new ClassRow(this.rows.length, flow, toServer, vlan, pcp, dscp)
      this.rows.push(row)
      this.byKey.set(key, row)
    }
    return row
  }
}

/** The row as the result shows it. `pointNames` are the capture points in the order of `row.points`. */
export function classResult(
  row: ClassRow,
  flows: readonly ExpectedFlow[],
  window: Window | undefined,
  pointNames: readonly string[],
): ClassResult {
  const roams = flows[row.flow]?.roams === true
  const path =
    row.entered > 0 || row.left.frames > 0
      ? congestedPath(row)
      : roams
        ? ownHosts(row)
        : hostPath(row, pointNames)
  const rtt = nearestSender(row)
  return {
    role: flows[row.flow]?.role ?? 'other',
    direction: row.flow === absent ? 'any' : row.toServer ? 'client-to-server' : 'server-to-client',
    vlan: known(row.vlan),
    pcp: known(row.pcp),
    dscp: known(row.dscp),
    entry: path.entry,
    exit: path.exit,
    packets: path.packets,
    bytes: path.bytes,
    packets_delivered: path.delivered.frames,
    bytes_delivered: path.delivered.bytes,
    throughput_mbps: throughputMbps(path.delivered, window),
    packets_lost: path.lost,
    loss_ratio: path.lost === null ? null : path.packets === 0 ? 0 : path.lost / path.packets,
    retransmits: Math.max(...row.retransmits),
    rtt_ms_p50: milliseconds(rtt, 0.5),
    rtt_ms_p99: milliseconds(rtt, 0.99),
    queue_delay_ms_p50: milliseconds(row.queueDelay, 0.5),
    queue_delay_ms_p99: milliseconds(row.queueDelay, 0.99),
  }
}

interface Path {
  readonly entry: string
  readonly exit: string | null
  readonly packets: number
  readonly bytes: number
  readonly delivered: Tally
  readonly lost: number | null
}

function congestedPath(row: ClassRow): Path {
  return {
    entry: 'switch-in',
    exit: 'switch-out',
    packets: row.entered,
    bytes: row.enteredBytes,
    delivered: row.left,
    lost: row.lost,
  }
}

/** A way that does not lead through the congested port: from the point that saw its first frame first to the last one. */
function hostPath(row: ClassRow, names: readonly string[]): Path {
  const seen = [...row.points.entries()]
    .filter(([, tally]) => tally.frames > 0)
    .sort(([, a], [, b]) => a.firstNs - b.firstNs)
  const [entryAt, entry] = seen[0] ?? [0, emptyTally()]
  const [exitAt, exit] = seen.at(-1) ?? [0, emptyTally()]
  const two = seen.length > 1
  return {
    entry: names[entryAt] ?? '',
    exit: two ? (names[exitAt] ?? null) : null,
    packets: entry.frames,
    bytes: entry.bytes,
    delivered: exit,
    lost: two ? Math.max(0, entry.frames - exit.frames) : null,
  }
}

/** What the guest sent from one host and then from the other: seen where it left, and nowhere after. */
function ownHosts(row: ClassRow): Path {
  const [first = emptyTally(), , , last = emptyTally()] = row.points
  const [earlier, later] = first.frames === 0 ? [last, first] : [first, last]
  const sent: Tally = {
    frames: first.frames + last.frames,
    bytes: first.bytes + last.bytes,
    windowBytes: first.windowBytes + last.windowBytes,
    firstNs: earlier.firstNs,
    lastNs: Math.max(earlier.lastNs, later.lastNs),
  }
  return {
    entry: 'source or destination',
    exit: null,
    packets: sent.frames,
    bytes: sent.bytes,
    delivered: sent,
    lost: null,
  }
}

/** The nearer to the sender it is measured, the longer a round trip is; only the sender's own is the whole. */
function nearestSender(row: ClassRow): Histogram {
  const [first, ...others] = row.roundTrips
  let best = first!
  for (const other of others) {
    if ((other.percentileNs(0.5) ?? -1) > (best.percentileNs(0.5) ?? -1)) best = other
  }
  return best
}

function throughputMbps(tally: Tally, window: Window | undefined): number {
  const ns = window ? window.toNs - window.fromNs : tally.lastNs - tally.firstNs
  const bytes = window ? tally.windowBytes : tally.bytes
  return ns > 0 ? (bytes * 8000) / ns : 0
}

function count(tally: Tally, frame: Frame, window: Window): void {
  if (tally.frames === 0) tally.firstNs = frame.timeNs
  tally.lastNs = frame.timeNs
  tally.frames++
  tally.bytes += frame.wireLength
  if (within(window, frame.timeNs)) tally.windowBytes += frame.wireLength
}

function emptyTally(): Tally {
  return { frames: 0, bytes: 0, windowBytes: 0, firstNs: 0, lastNs: 0 }
}

function known(value: number): number | null {
  return value === absent ? null : value
}

function milliseconds(histogram: Histogram, share: number): number | null {
  const ns = histogram.percentileNs(share)
  return ns === undefined ? null : ns / 1e6
}
