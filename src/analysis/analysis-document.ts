/** The document of `analyze --json` (`pagewire.analysis/1`), from what the passes counted. */

import { linkTypeNames, protocolIcmp, protocolIcmpv6, protocolTcp, protocolUdp } from '../capture/decode.js'
import { absent } from '../capture/frame.js'
import type { FrameReader } from '../capture/read.js'
import type { TimeBase } from '../capture/record-scanner.js'
import { absoluteTime } from './capture-analysis.js'
import type { CapturePass } from './capture-pass.js'
import type { ClassCounters } from './class-table.js'
import type { FlowName } from './flow-table.js'
import type { DirectionCounts, DurationSummary } from './tcp-table.js'

export interface FileRow {
  readonly file: string
  readonly format: string
  readonly link_types: readonly string[]
  readonly packets: number
  readonly bytes: number
  /** Nanoseconds since 1970, as exact as a JSON number read into a double can be; null in an empty capture. */
  readonly first_ns: number | null
  readonly last_ns: number | null
  /** The same, exact. */
  readonly first_time: string | null
  readonly last_time: string | null
  /** Bytes kept of each frame; 0 without limit. */
  readonly snap_length: number
  /** Frames that the capturing program missed; absent if the format does not say. */
  readonly dropped?: number
  /** Byte offset of the record that is cut off or impossible; absent if the capture is whole. */
  readonly truncated_at?: number
  readonly problem?: string
}

export interface ClassDocument {
  readonly file: string
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
  readonly packets: number
  readonly bytes: number
  readonly payload_bytes: number
  /** Whole frames, and transport payload, over the time from the capture's first frame to its last. */
  readonly throughput_mbps: number
  readonly goodput_mbps: number
  /** TCP segments whose sequence space was seen before in this capture. */
  readonly retransmits: number
  /** From data to the acknowledgement that covers it, of acknowledgements in this class. */
  readonly rtt_ms_p50: number | null
  readonly rtt_ms_p99: number | null
}

export interface DirectionDocument {
  readonly packets: number
  readonly bytes: number
  readonly payload_bytes: number
  readonly goodput_mbps: number
  /** TCP only from here on. */
  readonly retransmits?: number
  readonly retransmitted_bytes?: number
  readonly expert?: Readonly<Record<string, number>>
  readonly max_in_flight_bytes?: number
  readonly window_scale?: number
  readonly rtt_ms?: {
    readonly min: number
    readonly mean: number
    readonly p50: number
    readonly p99: number
  }
  readonly rtt_timestamps_ms?: { readonly min: number; readonly mean: number }
}

export interface FlowDocument {
  readonly file: string
  readonly protocol: string
  readonly a: string
  readonly b: string
  /** Marks of the first frame. */
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
  /** Since the capture's first frame, also if a filter or a time range leaves that out. */
  readonly start_s: number
  readonly duration_s: number
  readonly packets: number
  readonly bytes: number
  readonly handshake_ms?: number
  readonly a_to_b: DirectionDocument
  readonly b_to_a: DirectionDocument
}

export interface SeriesDocument {
  readonly file: string
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
  readonly interval_s: number
  /**
   * Seconds since the capture's first frame (a multiple of the interval), bytes, packets. A filter or a time range that
   * leaves that frame out does not move the zero: series of different filters have the same intervals.
   */
  readonly points: readonly (readonly [number, number, number])[]
}

export function fileRow(file: string, reader: FrameReader, pass: CapturePass, timeBase: TimeBase): FileRow {
  const first = pass.packets === 0 ? undefined : absoluteTime(timeBase, pass.firstNs)
  const last = pass.packets === 0 ? undefined : absoluteTime(timeBase, pass.lastNs)
  return {
    file,
    format: reader.format,
    link_types: reader.linkTypes.map((type) => linkTypeNames.get(type) ?? `link type ${type} (not decoded)`),
    packets: pass.packets,
    bytes: pass.bytes,
    first_ns: first?.ns ?? null,
    last_ns: last?.ns ?? null,
    first_time: first?.text ?? null,
    last_time: last?.text ?? null,
    snap_length: reader.snapLength,
    ...(reader.dropped === undefined ? {} : { dropped: reader.dropped }),
    ...(reader.problem === undefined
      ? {}
      : { truncated_at: reader.problem.offset, problem: reader.problem.message }),
  }
}

/** The classes, those with most bytes first. */
export function classRows(file: string, pass: CapturePass): ClassDocument[] {
  const spanNs = pass.lastNs - pass.firstNs
  return byBytes(pass.classes.rows).map((row) => ({
    file,
    ...markOf(row),
    packets: row.packets,
    bytes: row.bytes,
    payload_bytes: row.payloadBytes,
    throughput_mbps: mbps(row.bytes, spanNs),
    goodput_mbps: mbps(row.payloadBytes, spanNs),
    retransmits: row.retransmits,
    rtt_ms_p50: milliseconds(row.roundTrips.percentileNs(0.5)),
    rtt_ms_p99: milliseconds(row.roundTrips.percentileNs(0.99)),
  }))
}

/** The flows with most bytes, `most` of them. */
export function flowRows(file: string, pass: CapturePass, most = Number.POSITIVE_INFINITY): FlowDocument[] {
  const { directions, flows } = pass
  const bytes = new Float64Array(flows.count)
  for (let flow = 0; flow < bytes.length; flow++) {
    bytes[flow] = directions.bytesOf(2 * flow) + directions.bytesOf(2 * flow + 1)
  }
  return largest(bytes, most).map((flow) => flowRow(file, pass, flow))
}

/** The indices of the `most` largest numbers, largest first, and of equal ones the first first. */
function largest(numbers: Float64Array, most: number): number[] {
  const least = numbers.length <= most ? 0 : (numbers.toSorted()[numbers.length - most] ?? Infinity)
  const chosen: number[] = []
  for (let i = 0; i < numbers.length; i++) if (numbers[i]! >= least) chosen.push(i)
  return chosen.toSorted((a, b) => numbers[b]! - numbers[a]!).slice(0, most)
}

export function seriesRows(file: string, pass: CapturePass): SeriesDocument[] {
  return byBytes(pass.classes.rows).map((row) => {
    const points: (readonly [number, number, number])[] = []
    row.series.each((fromNs, bytes, packets) => points.push([fromNs / 1e9, bytes, packets]))
    return { file, ...markOf(row), interval_s: pass.clock.intervalNs / 1e9, points }
  })
}

/** How results name a flow. */
export function flowNames(
  pass: CapturePass,
  flow: number,
): { readonly protocol: string; readonly a: string; readonly b: string } {
  const name = pass.flows.name(flow)
  return {
    protocol: protocolName(name.protocol),
    a: endpoint(name, name.aAddress, name.aPort),
    b: endpoint(name, name.bAddress, name.bPort),
  }
}

function flowRow(file: string, pass: CapturePass, flow: number): FlowDocument {
  const name = pass.flows.name(flow)
  const ab = pass.directions.counts(2 * flow)
  const ba = pass.directions.counts(2 * flow + 1)
  const used = [ab, ba].filter((counts) => counts.packets > 0)
  const firstNs = Math.min(...used.map((counts) => counts.firstNs))
  const lastNs = Math.max(...used.map((counts) => counts.lastNs))
  const isTcp = name.protocol === protocolTcp
  return {
    file,
    ...flowNames(pass, flow),
    ...markOf(name),
    start_s: (firstNs - pass.clock.originNs) / 1e9,
    duration_s: (lastNs - firstNs) / 1e9,
    packets: ab.packets + ba.packets,
    bytes: ab.bytes + ba.bytes,
    ...(ab.handshakeNs === undefined ? {} : { handshake_ms: ab.handshakeNs / 1e6 }),
    a_to_b: directionDocument(ab, isTcp),
    b_to_a: directionDocument(ba, isTcp),
  }
}

function directionDocument(counts: DirectionCounts, isTcp: boolean): DirectionDocument {
  const { repeated_segments, max_segment_size: _, ...expert } = counts.rare
  const plain = {
    packets: counts.packets,
    bytes: counts.bytes,
    payload_bytes: counts.payloadBytes,
    goodput_mbps: mbps(counts.payloadBytes - counts.repeatedBytes, counts.lastNs - counts.firstNs),
  }
  if (!isTcp) return plain
  return {
    ...plain,
    retransmits: repeated_segments,
    retransmitted_bytes: counts.repeatedBytes,
    expert,
    max_in_flight_bytes: counts.maxInFlightBytes,
    ...(counts.windowScale === undefined ? {} : { window_scale: counts.windowScale }),
    ...(counts.roundTripNs === undefined ? {} : { rtt_ms: summaryMs(counts.roundTripNs) }),
    ...(counts.stampedRoundTripNs === undefined
      ? {}
      : {
          rtt_timestamps_ms: {
            min: counts.stampedRoundTripNs.min / 1e6,
            mean: counts.stampedRoundTripNs.mean / 1e6,
          },
        }),
  }
}

function summaryMs({ min, mean, p50, p99 }: DurationSummary): NonNullable<DirectionDocument['rtt_ms']> {
  return { min: min / 1e6, mean: mean / 1e6, p50: p50 / 1e6, p99: p99 / 1e6 }
}

/** Names of the transport protocols; any other by its number. */
function protocolName(protocol: number): string {
  const names: ReadonlyMap<number, string> = new Map([
    [protocolTcp, 'tcp'],
    [protocolUdp, 'udp'],
    [protocolIcmp, 'icmp'],
    [protocolIcmpv6, 'icmpv6'],
  ])
  return names.get(protocol) ?? `protocol ${protocol}`
}

function endpoint(name: FlowName, address: string, port: number): string {
  if (name.protocol !== protocolTcp && name.protocol !== protocolUdp) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function markOf({ vlan, pcp, dscp }: Pick<ClassCounters | FlowName, 'vlan' | 'pcp' | 'dscp'>): {
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
} {
  const known = (value: number): number | null => (value === absent ? null : value)
  return { vlan: known(vlan), pcp: known(pcp), dscp: known(dscp) }
}

function byBytes<T extends { readonly bytes: number }>(rows: readonly T[]): T[] {
  return rows.toSorted((a, b) => b.bytes - a.bytes)
}

function mbps(bytes: number, ns: number): number {
  return ns > 0 ? (bytes * 8000) / ns : 0
}

function milliseconds(ns: number | undefined): number | null {
  return ns === undefined ? null : ns / 1e6
}
