/** TCP that sends as much as it is given: what a bulk transfer of another tenant does to the link. */

import type net from 'node:net'
import { assert } from '../../support/assert.js'
import { failure, type PagewireError } from '../../support/errors.js'
import { monotonicNs } from '../clock.js'
import {
  connectMarked,
  listenMarked,
  type MarkedListener,
  resetConnection,
  type TcpInfo,
  tcpInfo,
} from '../socket-options.js'
import { frameOverheadBytes, mbps, milliseconds, type OnFlowError, type TrafficFlow } from './flow.js'
import type { FlowConfig, ReceiveStats, SendStats } from './protocol.js'

/** IPv4 header, TCP header and its time stamps: around the payload of each segment. */
const segmentOverheadBytes = 20 + 20 + 12
const chunk = Buffer.alloc(256 * 1024)
const connectTimeoutMs = 10_000
const receiveChunkBytes = 256 * 1024
/** How old a look at TCP_INFO may be; a reset takes it away together with the socket. */
const infoAgeNs = 100_000_000

export class TcpBulkSender implements TrafficFlow {
  readonly port = 0
  private startNs: number | undefined
  private endNs: number | undefined
  private last: readonly TcpInfo[] = []

  private constructor(
    readonly config: FlowConfig,
    private readonly sockets: readonly net.Socket[],
    private readonly onError: OnFlowError,
  ) {
    for (const socket of sockets) {
      socket.on('error', (error) => this.broken(error))
      socket.on('drain', () => this.fill(socket))
    }
  }

  /** Connects all flows; fails, with none open, when one cannot connect. */
  static async connect(config: FlowConfig, onError: OnFlowError): Promise<TcpBulkSender> {
    const { peer, local, dscp, pcp, flows, rate_bps: rateBps } = config
    assert(peer !== undefined, 'the schema asks for it')
    const connecting = Array.from({ length: flows }, () =>
      connectMarked({
        ...peer,
        localAddress: local.host,
        dscp,
        priority: pcp,
        connectTimeoutMs,
        ...(config.congestion_control !== undefined && { congestionControl: config.congestion_control }),
        ...(rateBps !== undefined && { maxPacingBytesPerSecond: payloadRate(rateBps / flows) }),
      }),
    )
    const outcomes = await Promise.allSettled(connecting)
    const sockets = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    const refused = outcomes.find((outcome) => outcome.status === 'rejected')
    if (refused === undefined) return new TcpBulkSender(config, sockets, onError)
    for (const socket of sockets) socket.destroy()
    throw refused.reason
  }

  begin(): void {
    if (this.endNs !== undefined) return
    this.startNs = monotonicNs()
    for (const socket of this.sockets) this.fill(socket)
  }

  end(): void {
    if (this.endNs !== undefined) return
    this.last = this.infos()
    this.endNs = monotonicNs()
    // A reset drops what is still in the send buffer, which would keep the link busy after the stop.
    for (const socket of this.sockets) resetConnection(socket)
  }

  lastArrivalNs(): number {
    return 0
  }

  stats(): SendStats {
    const { id, kind, class: className, rate_bps: rateBps } = this.config
    const infos = this.endNs === undefined ? this.infos() : this.last
    const durationNs = this.startNs === undefined ? 0 : (this.endNs ?? monotonicNs()) - this.startNs
    const frameBytes = sum(infos, (info) => info.sentBytes) + overhead(sum(infos, (info) => info.segmentsOut))
    return {
      id,
      role: 'send',
      kind,
      class: className,
      duration_ms: milliseconds(durationNs),
      asked_mbps: rateBps === undefined ? null : rateBps / 1e6,
      offered_mbps: mbps(frameBytes, durationNs),
      packets: sum(infos, (info) => info.dataSegmentsOut),
      frame_bytes: frameBytes,
      skipped: 0,
      blocked: 0,
      retransmits: sum(infos, (info) => info.retransmits),
    }
  }

  close(): Promise<void> {
    this.end()
    return Promise.resolve()
  }

  private infos(): readonly TcpInfo[] {
    return this.sockets.filter((socket) => !socket.destroyed).map(tcpInfo)
  }

  /** Writes until node holds bytes back; each chunk is one and the same buffer. */
  private fill(socket: net.Socket): void {
    while (this.endNs === undefined && this.startNs !== undefined && socket.write(chunk));
  }

  private broken(error: Error): void {
    if (this.endNs !== undefined) return
    this.end()
    this.onError(tcpFailure(this.config, error))
  }
}

export class TcpBulkReceiver implements TrafficFlow {
  private readonly connections = new Set<Connection>()
  private firstNs = 0
  private lastNs = 0

  private constructor(
    readonly config: FlowConfig,
    private readonly listener: MarkedListener,
  ) {}

  get port(): number {
    return this.listener.port
  }

  static async listen(config: FlowConfig, onError: OnFlowError): Promise<TcpBulkReceiver> {
    const { local, dscp, pcp } = config
    const accepted: Connection[] = []
    let receiver: TcpBulkReceiver | undefined
    const listener = await listenMarked({
      ...local,
      dscp,
      priority: pcp,
      ...(config.congestion_control !== undefined && { congestionControl: config.congestion_control }),
      onread: () => new Connection((nowNs) => receiver?.arrived(nowNs)),
      onConnection: (socket, connection) => {
        assert(connection !== undefined, 'each accepted socket has its buffer')
        connection.serve(socket)
        if (receiver) receiver.connections.add(connection)
        else accepted.push(connection)
      },
      onError,
    })
    receiver = new TcpBulkReceiver(config, listener)
    for (const connection of accepted) receiver.connections.add(connection)
    return receiver
  }

  begin(): void {}

  end(): void {}

  lastArrivalNs(): number {
    return this.lastNs
  }

  stats(): ReceiveStats {
    const { id, kind, class: className } = this.config
    const all = [...this.connections]
    const bytes = sum(all, (connection) => connection.received)
    const packets = Math.round(sum(all, (connection) => connection.segments()))
    return {
      id,
      role: 'receive',
      kind,
      class: className,
      duration_ms: milliseconds(this.lastNs - this.firstNs),
      packets,
      payload_bytes: bytes,
      frame_bytes: bytes + overhead(packets),
      unique: null,
      lost: null,
      duplicates: null,
      reordered: null,
      dropped_at_socket: 0,
      foreign: 0,
      delay_ms: null,
    }
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.close()
    await this.listener.close()
  }

  private arrived(nowNs: number): void {
    if (this.firstNs === 0) this.firstNs = nowNs
    this.lastNs = nowNs
  }
}

/** One accepted connection: counts, and throws the bytes away. */
class Connection implements net.OnReadOpts {
  readonly buffer = new Uint8Array(receiveChunkBytes)
  received = 0
  private socket: net.Socket | undefined
  private infoNs = 0
  private segmentsPerByte = 0

  constructor(private readonly onArrival: (nowNs: number) => void) {}

  callback = (bytes: number): boolean => {
    const nowNs = monotonicNs()
    this.received += bytes
    if (nowNs - this.infoNs > infoAgeNs) this.look(nowNs)
    this.onArrival(nowNs)
    return true
  }

  serve(socket: net.Socket): void {
    this.socket = socket
    // The sender ends with a reset, so an error here is the usual end; a sender that fails reports it itself.
    socket.on('error', () => {})
  }

  /** Segments with payload that arrived, from the last look at their size. */
  segments(): number {
    if (this.socket?.destroyed === false) this.look(monotonicNs())
    return this.received * this.segmentsPerByte
  }

  close(): void {
    this.socket?.destroy()
  }

  private look(nowNs: number): void {
    if (this.socket === undefined || this.socket.destroyed) return
    const info = tcpInfo(this.socket)
    this.infoNs = nowNs
    if (info.receivedBytes > 0) this.segmentsPerByte = info.dataSegmentsIn / info.receivedBytes
  }
}

/** Payload bytes per second whose frames fill a rate, for full segments of a 1500-byte MTU. */
function payloadRate(rateBps: number): number {
  const payload = 1500 - segmentOverheadBytes
  return ((rateBps / 8) * payload) / (1500 + frameOverheadBytes)
}

function overhead(segments: number): number {
  return segments * (segmentOverheadBytes + frameOverheadBytes)
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}

function tcpFailure(config: FlowConfig, error: Error): PagewireError {
  return failure(`tcp-bulk ${config.id} broke: ${error.message}`, { code: 'traffic-failed', cause: error })
}
