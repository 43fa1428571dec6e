/** Two books that must balance: application bytes against TCP payload, and frames in against frames out and dropped. */

import type { Connections, PayloadTally } from './run-connections.js'
import type { ExpectedFlow } from './run-flows.js'

/** Counters of the congested port. `all` for a port without priorities. */
export interface QueueCounters {
  readonly pcp: number | 'all'
  readonly packets: number
  readonly bytes: number
  readonly dropped: number
}

export interface FlowLedger {
  readonly role: string
  readonly direction: 'client-to-server' | 'server-to-client'
  readonly application_bytes: number
  readonly tcp_payload_bytes: number
  readonly retransmitted_bytes: number
  /** application - (payload - retransmitted); 0 when the capture saw everything once. */
  readonly difference: number
}

export interface FrameLedger {
  readonly pcp: number | 'all'
  readonly frames_in: number
  readonly frames_out: number
  readonly dropped: number
  /** frames_in - frames_out - dropped. */
  readonly difference: number
}

const source = 0
const destination = 3

/** One entry per direction of each TCP flow whose application bytes are known, counted where the receiver is. */
export function flowLedger(flows: readonly ExpectedFlow[], connections: Connections): FlowLedger[] {
  const ledger: FlowLedger[] = []
  for (const [i, flow] of flows.entries()) {
    if (flow.protocol !== 'tcp' || !flow.applicationBytes) continue
    const { clientToServer, serverToClient } = flow.applicationBytes
    ledger.push(
      entry(flow.role, 'client-to-server', clientToServer, [
        connections.payload(i, true, destination),
        connections.payload(i, true, source),
      ]),
      entry(flow.role, 'server-to-client', serverToClient, [
        connections.payload(i, false, source),
        connections.payload(i, false, destination),
      ]),
    )
  }
  return ledger
}

/** One entry per queue of the congested port. */
export function frameLedger(
  entered: Float64Array,
  left: Float64Array,
  queues: readonly QueueCounters[],
): FrameLedger[] {
  const sum = (counts: Float64Array): number => counts.reduce((total, count) => total + count, 0)
  return queues.map(({ pcp, dropped }) => {
    const framesIn = pcp === 'all' ? sum(entered) : (entered[pcp] ?? 0)
    const framesOut = pcp === 'all' ? sum(left) : (left[pcp] ?? 0)
    return {
      pcp,
      frames_in: framesIn,
      frames_out: framesOut,
      dropped,
      difference: framesIn - framesOut - dropped,
    }
  })
}

function entry(
  role: string,
  direction: FlowLedger['direction'],
  applicationBytes: number,
  tallies: readonly (PayloadTally | undefined)[],
): FlowLedger {
  const tally = tallies.find((one) => one !== undefined)
  const payload = tally?.bytes ?? 0
  const retransmitted = tally?.retransmittedBytes ?? 0
  return {
    role,
    direction,
    application_bytes: applicationBytes,
    tcp_payload_bytes: payload,
    retransmitted_bytes: retransmitted,
    difference: applicationBytes - (payload - retransmitted),
  }
}
