/** The cross-traffic of a whole scenario: which host sends what to whom, and what came of it. */

import type { TrafficClass } from '../../marking/traffic-class.js'
import { assert } from '../../support/assert.js'
import { mbps, type OnFlowError } from './flow.js'
import type {
  DelayPercentiles,
  FlowConfig,
  FlowKind,
  ProcessStats,
  ReceiveStats,
  SendStats,
} from './protocol.js'
import { RemoteSide } from './remote.js'
import type { TrafficSide } from './side.js'

export type SendingHost = 'neighbour' | 'source'

const sendingHosts = ['neighbour', 'source'] as const

/** What a stream of kind pcap replays. */
export interface ReplayedCapture {
  readonly file: string
  /** Times the speed of the capture, unless there is a rate. */
  readonly speed: number
  /** Begin again at the end of the file. */
  readonly loop: boolean
  /** The PCP of each DSCP, where the frames keep theirs; absent: all get the stream's class. */
  readonly pcpByDscp?: readonly number[]
}

/** An entry of a scenario's cross_traffic. */
export interface CrossStream {
  readonly kind: FlowKind
  /** Bits of whole frames per second, all flows together; udp-cbr needs it. */
  readonly rateBps?: number
  /** IP packet of udp-cbr. */
  readonly packetBytes?: number
  /** Needed by pcap. */
  readonly capture?: ReplayedCapture
  readonly flows: number
  readonly trafficClass: TrafficClass
  readonly from: SendingHost
  /** After `start`. */
  readonly startNs: number
  readonly stopNs?: number
}

export interface TrafficHost {
  /** What to put before an argv to run it on this host. */
  readonly inside: readonly string[]
  /** IPv4 address in the tenants' network. */
  readonly address: string
  /** Where a capture is replayed to and from; needed by kind pcap. */
  readonly card?: TrafficCard
}

export interface TrafficCard {
  readonly device: string
  readonly mac: string
  readonly mtuBytes: number
  /** VLAN of the tenants. */
  readonly vlan: number
}

export interface CrossTrafficOptions {
  readonly streams: readonly CrossStream[]
  readonly hosts: Readonly<Record<SendingHost | 'destination', TrafficHost>>
  /** The argv of `pagewire agent traffic`. */
  readonly agent: readonly string[]
  readonly congestionControl: string
  readonly onError: OnFlowError
  /** The processes start at once, and send nothing before this. */
  readonly after?: Promise<unknown>
}

/** One stream, as the result document has it, and what stands behind the figures. */
export interface CrossTrafficRow {
  readonly kind: FlowKind
  readonly class: string
  readonly from: SendingHost
  /** What was asked for; null for TCP without a rate. */
  readonly asked_mbps: number | null
  /** Whole frames that left the sender, per second of its time; for TCP they include what was sent again. */
  readonly offered_mbps: number
  /** Whole frames that arrived, per second of the same time. */
  readonly achieved_mbps: number
  /** UDP datagrams sent that never arrived; null for TCP, which sends again what was lost. */
  readonly loss_ratio: number | null
  readonly packets_sent: number
  readonly packets_received: number
  readonly duplicates: number | null
  readonly reordered: number | null
  readonly retransmits: number | null
  readonly delay_ms: DelayPercentiles | null
  /** Frames that the sender gave up because it was late: the load was less than asked. */
  readonly skipped: number
  /** Datagrams that reached the receiver's full socket: part of loss_ratio, but not lost by the network. */
  readonly dropped_at_socket: number
}

export interface CrossTrafficOutcome {
  readonly rows: readonly CrossTrafficRow[]
  /** Load of each process, by host. */
  readonly processes: Readonly<Record<string, ProcessStats>>
}

export interface CrossTraffic {
  /** Where each stream's frames go: its port at the destination. */
  readonly ports: readonly number[]
  /** Starts the clock of the streams. */
  start(): Promise<void>
  /** Stops the senders, lets the receivers run dry. Call once. */
  stop(): Promise<CrossTrafficOutcome>
  /** Stops the senders at once, for an interrupt; `stop` still gives the figures. */
  silence(): void
  /** Ends all processes. Twice is fine. */
  close(): Promise<void>
}

/** Starts one process per host that has something to do; they are ready, and silent, when it resolves. */
export async function prepareCrossTraffic(options: CrossTrafficOptions): Promise<CrossTraffic> {
  const running = new Running(options)
  try {
    await running.prepare()
  } catch (error) {
    await running.close()
    throw error
  }
  return running
}

/** Pairs what was sent with what arrived. */
export function crossTrafficRow(from: SendingHost, sent: SendStats, received: ReceiveStats): CrossTrafficRow {
  const { unique } = received
  return {
    kind: sent.kind,
    class: sent.class,
    from,
    asked_mbps: sent.asked_mbps,
    offered_mbps: sent.offered_mbps,
    // Over the sender's time: an arrival rate over the receiver's own would hide a late start or an early death.
    achieved_mbps: mbps(received.frame_bytes, sent.duration_ms * 1e6),
    loss_ratio: unique === null ? null : sent.packets === 0 ? 0 : (sent.packets - unique) / sent.packets,
    packets_sent: sent.packets,
    packets_received: received.packets,
    duplicates: received.duplicates,
    reordered: received.reordered,
    retransmits: sent.retransmits,
    delay_ms: received.delay_ms,
    skipped: sent.skipped,
    dropped_at_socket: received.dropped_at_socket,
  }
}

class Running implements CrossTraffic {
  private receiver: TrafficSide | undefined
  private readonly senders = new Map<SendingHost, RemoteSide>()

  constructor(private readonly options: CrossTrafficOptions) {}

  async prepare(): Promise<void> {
    const { streams, hosts } = this.options
    if (streams.length === 0) return
    const local = { host: hosts.destination.address, port: 0 }
    const flows = streams.map((stream, i) => ({
      ...this.common(stream, i),
      local,
      ...this.capture(stream, i),
    }))
    const receiver = this.spawn('destination')
    this.receiver = receiver
    for (const from of sendingHosts) {
      if (streams.some((stream) => stream.from === from)) this.senders.set(from, this.spawn(from))
    }
    await this.options.after
    await receiver.configure({ role: 'receive', flows })
    for (const [from, sender] of this.senders) await this.prepareSender(from, sender, receiver)
  }

  get ports(): readonly number[] {
    const { receiver } = this
    if (receiver === undefined) return []
    return this.options.streams.map((_, i) => receiver.ports[idOf(i)] ?? 0)
  }

  async start(): Promise<void> {
    for (const side of this.sides()) await side.start()
  }

  silence(): void {
    for (const sender of this.senders.values()) sender.silence()
  }

  async stop(): Promise<CrossTrafficOutcome> {
    const processes: Record<string, ProcessStats> = {}
    const sent = new Map<string, SendStats>()
    const answers = await Promise.all(
      [...this.senders].map(async ([host, side]) => [host, await side.stop()] as const),
    )
    for (const [host, answer] of answers) {
      processes[host] = answer.process
      for (const stats of answer.stats) if (stats.role === 'send') sent.set(stats.id, stats)
    }
    const received = new Map<string, ReceiveStats>()
    if (this.receiver) {
      const answer = await this.receiver.stop()
      processes['destination'] = answer.process
      for (const stats of answer.stats) if (stats.role === 'receive') received.set(stats.id, stats)
    }
    const rows = this.options.streams.map((stream, i) => rowOf(stream, idOf(i), sent, received))
    return { rows, processes }
  }

  async close(): Promise<void> {
    // Senders first: a receiver that goes away would look like a failure to them.
    await Promise.all([...this.senders.values()].map((side) => side.close()))
    await this.receiver?.close()
  }

  private async prepareSender(from: SendingHost, sender: RemoteSide, receiver: TrafficSide): Promise<void> {
    const { streams, hosts } = this.options
    const local = { host: hosts[from].address, port: 0 }
    const flows = streams.flatMap((stream, i): FlowConfig[] => {
      if (stream.from !== from) return []
      const port = receiver.ports[idOf(i)]
      assert(port !== undefined, 'the receiver names the port of each flow')
      const peer = { host: hosts.destination.address, port }
      return [{ ...this.common(stream, i), local, peer, ...this.capture(stream, i) }]
    })
    await sender.configure({ role: 'send', flows })
  }

  private spawn(host: SendingHost | 'destination'): RemoteSide {
    const { hosts, agent, onError } = this.options
    return new RemoteSide([...hosts[host].inside, ...agent], onError)
  }

  private sides(): readonly TrafficSide[] {
    return [...(this.receiver ? [this.receiver] : []), ...this.senders.values()]
  }

  /** For a receiver as well, which tells the frames by their addresses. */
  private capture(stream: CrossStream, index: number): Pick<FlowConfig, 'capture'> {
    if (stream.capture === undefined) return {}
    const { hosts } = this.options
    const from = hosts[stream.from]
    const to = hosts.destination
    assert(from.card !== undefined && to.card !== undefined, 'a capture is replayed between known cards')
    const { file, speed, loop, pcpByDscp } = stream.capture
    return {
      capture: {
        ...{ file, speed, loop },
        device: from.card.device,
        mtu_bytes: from.card.mtuBytes,
        vlan: from.card.vlan,
        source_mac: macBytes(from.card.mac),
        destination_mac: macBytes(to.card.mac),
        source_address: addressBytes(from.address),
        destination_address: addressBytes(replayAddress(to.address, index)),
        ...(pcpByDscp !== undefined && { pcp_by_dscp: pcpByDscp }),
      },
    }
  }

  private common(stream: CrossStream, index: number): Omit<FlowConfig, 'local'> {
    const { kind, flows, trafficClass, rateBps, packetBytes, startNs, stopNs } = stream
    return {
      id: idOf(index),
      kind,
      flows,
      class: trafficClass.name,
      dscp: trafficClass.dscp,
      pcp: trafficClass.pcp,
      start_ms: startNs / 1e6,
      ...(stopNs !== undefined && { stop_ms: stopNs / 1e6 }),
      ...(rateBps !== undefined && { rate_bps: rateBps }),
      ...(kind === 'udp-cbr' && packetBytes !== undefined && { packet_bytes: packetBytes }),
      ...(kind === 'tcp-bulk' && { congestion_control: this.options.congestionControl }),
    }
  }
}

/** Nobody's own address in the network of `host`: what is replayed there must meet no socket, and get no answer. */
export function replayAddress(host: string, index: number): string {
  return host.replace(/\d+$/, String(replayAddressFirst + index))
}

/** There are at most 64 streams in a scenario. */
const replayAddressFirst = 128

function macBytes(mac: string): number[] {
  return mac.split(':').map((byte) => Number.parseInt(byte, 16))
}

function addressBytes(address: string): number[] {
  return address.split('.').map(Number)
}

function idOf(index: number): string {
  return `stream-${index}`
}

function rowOf(
  stream: CrossStream,
  id: string,
  sent: ReadonlyMap<string, SendStats>,
  received: ReadonlyMap<string, ReceiveStats>,
): CrossTrafficRow {
  const from = sent.get(id)
  const to = received.get(id)
  assert(from !== undefined && to !== undefined, 'both ends of a stream report')
  return crossTrafficRow(stream.from, from, to)
}
