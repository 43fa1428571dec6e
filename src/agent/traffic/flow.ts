/** What the kinds of cross-traffic have in common: a life in four steps, and how frames are counted. */

import type { PagewireError } from '../../support/errors.js'
import type { FlowConfig, FlowStats } from './protocol.js'

/** Ethernet header and 802.1Q tag around each IP packet; the checksum (FCS) is not counted. */
export const frameOverheadBytes = 14 + 4

export interface TrafficFlow {
  readonly config: FlowConfig
  /** The port of a receiver; that of a sender means nothing. */
  readonly port: number
  /** Begins to send; a receiver counts from the beginning. */
  begin(): void
  /** Sends no more, at once; what is queued in sockets is thrown away. Twice is fine. */
  end(): void
  /** When the last packet arrived, on the monotonic clock; 0 for a sender. */
  lastArrivalNs(): number
  /** After `end`: resolves when `stats` is final, for a sender that cannot tell at once. */
  settled?(): Promise<void>
  stats(): FlowStats
  close(): Promise<void>
}

/** Reports what breaks after the flow was made. */
export type OnFlowError = (error: PagewireError) => void

export function mbps(bytes: number, durationNs: number): number {
  return durationNs > 0 ? round3((bytes * 8e3) / durationNs) : 0
}

export function milliseconds(ns: number): number {
  return round3(ns / 1e6)
}

export function round3(value: number): number {
  return Math.round(value * 1000) / 1000
}
