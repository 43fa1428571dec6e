/**
 * UDP at a constant rate. Each datagram says which stream it is of, its number and when it was sent:
 *
 *     0       4        6      8          12        16            20
 *     | magic | stream | zero | sequence | seconds | nanoseconds | zeros ...
 */

import { createHistogram } from 'node:perf_hooks'
import { assert } from '../../support/assert.js'
import { failure, messageOf, PagewireError } from '../../support/errors.js'
import { monotonicNs } from '../clock.js'
import { openRawSender, type RawSender } from '../raw-socket.js'
import { UdpPacket, udpOverheadBytes } from '../udp-packet.js'
import { type DatagramBatch, openUdpReceiver, type UdpReceiver } from '../udp-receiver.js'
import { Arrivals } from './arrivals.js'
import { frameOverheadBytes, mbps, milliseconds, type OnFlowError, type TrafficFlow } from './flow.js'
import { Pacer } from './pacer.js'
import type { DelayPercentiles, FlowConfig, ReceiveStats, SendStats } from './protocol.js'

const magic = 0x70775531
const headBytes = 20
/** First source port; each flow of an entry takes the next. Raw packets need no socket on it. */
const firstSourcePort = 20_000
const tickMs = 1
/** So that frames are lost on the way and not held back at the sender. */
const sendBufferBytes = 4 * 2 ** 20
/** 50 ms of MTU frames at 300 Mbit/s, with the kernel's overhead per packet. */
const receiveBufferBytes = 8 * 2 ** 20

export class UdpCbrSender implements TrafficFlow {
  readonly port = 0
  private readonly raw: RawSender
  private readonly packets: readonly UdpPacket[]
  private readonly pacer: Pacer
  private readonly frameBytes: number
  private timer: NodeJS.Timeout | undefined
  private startNs: number | undefined
  private endNs: number | undefined
  private sequence = 0
  private blocked = 0

  constructor(
    readonly config: FlowConfig,
    stream: number,
    private readonly onError: OnFlowError,
  ) {
    const { rate_bps: rateBps, packet_bytes: packetBytes, peer, dscp, flows } = config
    assert(
      rateBps !== undefined && packetBytes !== undefined && peer !== undefined,
      'the schema asks for them',
    )
    this.frameBytes = packetBytes + frameOverheadBytes
    this.pacer = new Pacer(rateBps, this.frameBytes)
    this.packets = Array.from({ length: flows }, (_, i) => {
      const source = { host: config.local.host, port: firstSourcePort + i }
      const packet = new UdpPacket({ source, destination: peer, dscp, packetBytes, variableBytes: headBytes })
      packet.payload.writeUInt32BE(magic, 0)
      packet.payload.writeUInt16BE(stream, 4)
      return packet
    })
    this.raw = openRawSender({ dscp, priority: config.pcp }, sendBufferBytes)
  }

  begin(): void {
    if (this.endNs !== undefined) return
    this.startNs = monotonicNs()
    this.timer = setInterval(() => this.tick(), tickMs)
  }

  end(): void {
    clearInterval(this.timer)
    this.endNs ??= monotonicNs()
  }

  lastArrivalNs(): number {
    return 0
  }

  stats(): SendStats {
    const { id, kind, class: className, rate_bps: rateBps = 0 } = this.config
    const durationNs = this.startNs === undefined ? 0 : (this.endNs ?? monotonicNs()) - this.startNs
    const bytes = this.sequence * this.frameBytes
    return {
      id,
      role: 'send',
      kind,
      class: className,
      duration_ms: milliseconds(durationNs),
      asked_mbps: rateBps / 1e6,
      offered_mbps: mbps(bytes, durationNs),
      packets: this.sequence,
      frame_bytes: bytes,
      skipped: this.pacer.skipped,
      blocked: this.blocked,
      retransmits: null,
    }
  }

  close(): Promise<void> {
    this.end()
    this.raw.close()
    return Promise.resolve()
  }

  private tick(): void {
    const nowNs = monotonicNs() - (this.startNs ?? 0)
    const due = this.pacer.due(nowNs)
    try {
      const sent = this.sendUpTo(due)
      this.pacer.sent(sent)
      if (sent < due) this.blocked++
    } catch (error) {
      this.end()
      this.onError(asFailure(error))
    }
  }

  /** Returns how many of `count` the kernel took. */
  private sendUpTo(count: number): number {
    const host = this.config.peer?.host ?? ''
    for (let i = 0; i < count; i++) {
      const packet = this.packets[this.sequence % this.packets.length]!
      const [seconds, nanoseconds] = process.hrtime()
      packet.payload.writeUInt32BE(this.sequence >>> 0, 8)
      packet.payload.writeUInt32BE(seconds, 12)
      packet.payload.writeUInt32BE(nanoseconds, 16)
      // Never 0, for which the kernel would choose an id of its own.
      packet.seal((this.sequence % 65_535) + 1)
      if (!this.raw.send(packet.bytes, host)) return i
      this.sequence++
    }
    return count
  }
}

export class UdpCbrReceiver implements TrafficFlow {
  readonly port: number
  private readonly socket: UdpReceiver
  private readonly arrivals = new Arrivals()
  private readonly delays = createHistogram({ lowest: 1, highest: 3_600_000_000_000, figures: 3 })
  private packets = 0
  private payloadBytes = 0
  private foreign = 0
  private firstNs = 0
  private lastNs = 0

  constructor(
    readonly config: FlowConfig,
    private readonly stream: number,
    onError: OnFlowError,
  ) {
    this.socket = openUdpReceiver({
      ...config.local,
      headBytes,
      receiveBufferBytes,
      onBatch: (batch) => this.take(batch),
      onError,
    })
    this.port = this.socket.port
  }

  begin(): void {}

  end(): void {}

  lastArrivalNs(): number {
    return this.lastNs
  }

  stats(): ReceiveStats {
    const { id, kind, class: className } = this.config
    return {
      id,
      role: 'receive',
      kind,
      class: className,
      duration_ms: milliseconds(this.lastNs - this.firstNs),
      packets: this.packets,
      payload_bytes: this.payloadBytes,
      frame_bytes: this.payloadBytes + this.packets * (udpOverheadBytes + frameOverheadBytes),
      unique: this.arrivals.unique,
      lost: this.arrivals.lost,
      duplicates: this.arrivals.duplicates,
      reordered: this.arrivals.reordered,
      dropped_at_socket: this.socket.drops(),
      foreign: this.foreign,
      delay_ms: this.delayPercentiles(),
    }
  }

  close(): Promise<void> {
    this.socket.close()
    return Promise.resolve()
  }

  private take(batch: DatagramBatch): void {
    const nowNs = monotonicNs()
    for (let i = 0; i < batch.count; i++) this.count(batch.head(i), batch.lengthOf(i), nowNs)
    if (this.firstNs === 0) this.firstNs = nowNs
    this.lastNs = nowNs
  }

  private count(head: Buffer, lengthBytes: number, nowNs: number): void {
    const ours =
      lengthBytes >= headBytes && head.readUInt32BE(0) === magic && head.readUInt16BE(4) === this.stream
    if (!ours) {
      this.foreign++
      return
    }
    this.packets++
    this.payloadBytes += lengthBytes
    this.arrivals.observe(head.readUInt32BE(8))
    const sentNs = head.readUInt32BE(12) * 1e9 + head.readUInt32BE(16)
    // Two hosts without a common clock can show a negative delay; it counts as the least.
    this.delays.record(Math.max(1, nowNs - sentNs))
  }

  private delayPercentiles(): DelayPercentiles | null {
    if (this.packets === 0) return null
    const at = (percent: number): number => milliseconds(this.delays.percentile(percent))
    return { p50: at(50), p90: at(90), p99: at(99), max: milliseconds(this.delays.max) }
  }
}

function asFailure(error: unknown): PagewireError {
  return error instanceof PagewireError
    ? error
    : failure(`udp-cbr: ${messageOf(error)}`, { code: 'traffic-failed', cause: error })
}
