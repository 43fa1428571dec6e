/** The flows a run expects on the wire, and to which of them a frame belongs. */

import { protocolTcp, protocolUdp } from '../capture/decode.js'
import { absent, type Frame } from '../capture/frame.js'
import { usageError } from '../support/errors.js'
import { parseIpv4 } from './addresses.js'

/**
 * One kind of traffic of a run. `serverAddress` and `serverPort` are where it listens; together they are unique. With
 * protocol `ip`, everything to and from the address belongs to it, and the port means nothing.
 */
export interface ExpectedFlow {
  /** What results call it, such as `migration bulk`. */
  readonly role: string
  readonly protocol: 'tcp' | 'udp' | 'ip'
  /** Only frames of this client belong to it; default: of any. */
  readonly clientAddress?: string
  readonly serverAddress: string
  readonly serverPort: number
  /** What the frames of both directions must carry. Without `dscp` and `pcp`, what the marking table says of their own DSCP. */
  readonly vlan: number
  readonly dscp?: number
  readonly pcp?: number
  /** Its server is the guest, which moves from host to host. */
  readonly roams?: true
  /** What leaves the congested port of it did not wait in its queues, and is no part of its rate. */
  readonly besidePort?: true
  /** Which of the parallel paths to the destination carries it; the first, 0, when absent. */
  readonly path?: number
  /** TCP payload that the applications wrote. */
  readonly applicationBytes?: { readonly clientToServer: number; readonly serverToClient: number }
}

/** Reused result of `FlowIndex.find`. */
export interface FlowMatch {
  /** Index of the expected flow, or `absent` for traffic that nobody announced. */
  flow: number
  toServer: boolean
}

interface Entry {
  readonly flow: number
  readonly server: number
  readonly client: number | undefined
}

export class FlowIndex {
  /** Flows by protocol and server port. */
  private readonly byPort = new Map<number, Entry[]>()
  /** Flows of protocol `ip`. */
  private readonly byAddress = new Map<number, number>()

  constructor(flows: readonly ExpectedFlow[]) {
    for (const [i, flow] of flows.entries()) {
      if (flow.protocol === 'ip') {
        this.byAddress.set(parseIpv4(flow.serverAddress), i)
        continue
      }
      const key = portKey(flow.protocol === 'tcp' ? protocolTcp : protocolUdp, flow.serverPort)
      const server = parseIpv4(flow.serverAddress)
      const client = flow.clientAddress === undefined ? undefined : parseIpv4(flow.clientAddress)
      const entries = this.byPort.get(key) ?? []
      if (entries.some((entry) => entry.server === server && entry.client === client)) {
        throw usageError(`two flows share ${flow.protocol} ${flow.serverAddress}:${flow.serverPort}`, {
          code: 'ambiguous-flow',
        })
      }
      this.byPort.set(key, [...entries, { flow: i, server, client }])
    }
  }

  /** Says in `match` to which flow `frame` belongs and which way it goes. */
  find(frame: Frame, match: FlowMatch): void {
    match.flow = absent
    match.toServer = true
    if (frame.ipVersion !== 4) return
    const { destinationAddress, sourceAddress } = frame
    if (this.byAddress.size > 0) {
      match.toServer = this.byAddress.has(destinationAddress)
      match.flow = this.byAddress.get(match.toServer ? destinationAddress : sourceAddress) ?? absent
      if (match.flow !== absent) return
      match.toServer = true
    }
    if (frame.destinationPort === absent) return
    const there = this.byPort.get(portKey(frame.protocol, frame.destinationPort))
    if (there && this.choose(there, destinationAddress, sourceAddress, match)) return
    const back = this.byPort.get(portKey(frame.protocol, frame.sourcePort))
    if (back && this.choose(back, sourceAddress, destinationAddress, match)) match.toServer = false
  }

  private choose(entries: readonly Entry[], server: number, client: number, match: FlowMatch): boolean {
    for (const entry of entries) {
      if (entry.server !== server || (entry.client !== undefined && entry.client !== client)) continue
      match.flow = entry.flow
      return true
    }
    return false
  }
}

function portKey(protocol: number, port: number): number {
  return (protocol << 16) | port
}
