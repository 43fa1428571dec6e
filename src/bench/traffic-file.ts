/**
 * Writes captures of bulk TCP for the benchmark: a sender with a window in flight, an acknowledgement for every second
 * segment, now and then a loss with duplicate acknowledgements, SACK and a retransmission. The same seed gives the
 * same file, so that every tool reads the same bytes on every box.
 */

import { closeSync, openSync, writeSync } from 'node:fs'
import { dsField, type TrafficClass } from '../marking/traffic-class.js'
import { type Random, random } from '../support/random.js'

export interface TrafficFile {
  readonly packets: number
  /** Concurrent connections, served in turn. */
  readonly flows: number
  readonly seed: number
  readonly trafficClass: TrafficClass
}

const snapLength = 96
const segmentBytes = 1448
const windowSegments = 64
const lossRatio = 0.0005
const packetGapNs = 14_000
const bufferBytes = 1024 * 1024

export function writeTrafficFile(path: string, options: TrafficFile): void {
  const out = new Output(path, options.trafficClass)
  const draw = random(options.seed)
  const senders = Array.from({ length: options.flows }, (_, i) => new Sender(i, draw.uint32() | 0))
  for (let i = 0; out.packets < options.packets; i++) senders[i % senders.length]!.turn(out, draw)
  out.close()
}

/** One connection as it looks at the sender's port. */
class Sender {
  private next: number
  private acknowledged: number
  private sent = 0
  private opened = false
  /** Sequence number of the lost segment, and how many segments after it were sent. */
  private lost: number | undefined
  private sinceLoss = 0

  constructor(
    private readonly number: number,
    private readonly start: number,
  ) {
    this.next = (start + 1) | 0
    this.acknowledged = this.next
  }

  /** One data segment, and an acknowledgement when one is due. */
  turn(out: Output, draw: Random): void {
    if (!this.opened) this.open(out)
    out.data(this.number, this.next, segmentBytes)
    if (this.lost === undefined && this.sent > windowSegments && draw.unit() < lossRatio) {
      this.lost = this.next
      this.sinceLoss = 0
    }
    this.next = (this.next + segmentBytes) | 0
    this.sent++
    if (this.lost !== undefined) this.recover(out, this.lost)
    else if (this.sent % 2 === 0 && this.sent > windowSegments) {
      this.acknowledged = (this.acknowledged + 2 * segmentBytes) | 0
      out.acknowledgement(this.number, this.acknowledged)
    }
  }

  private open(out: Output): void {
    this.opened = true
    out.handshake(this.number, this.start)
  }

  private recover(out: Output, lost: number): void {
    this.sinceLoss++
    const inFlight = ((lost - this.acknowledged) | 0) / segmentBytes
    if (inFlight > 0) {
      const step = Math.min(2, inFlight) * segmentBytes
      this.acknowledged = (this.acknowledged + step) | 0
      out.acknowledgement(this.number, this.acknowledged)
      return
    }
    const sacked = (lost + segmentBytes) | 0
    if (this.sinceLoss < windowSegments) out.acknowledgement(this.number, lost, sacked, this.next)
    else {
      out.data(this.number, lost, segmentBytes)
      this.lost = undefined
      this.acknowledged = (this.next - (windowSegments / 2) * segmentBytes) | 0
      out.acknowledgement(this.number, this.acknowledged)
    }
  }
}

/** The file: header templates patched in place. */
class Output {
  packets = 0
  private readonly file: number
  private readonly bytes = new Uint8Array(bufferBytes)
  private readonly view = new DataView(this.bytes.buffer)
  private used = 24
  private timeNs = 0
  private ipId = 0

  constructor(
    path: string,
    private readonly mark: TrafficClass,
  ) {
    this.file = openSync(path, 'w')
    this.view.setUint32(0, 0xa1b2c3d4, true)
    this.view.setUint16(4, 2, true)
    this.view.setUint16(6, 4, true)
    this.view.setUint32(16, snapLength, true)
    this.view.setUint32(20, 1, true)
  }

  handshake(flow: number, sequence: number): void {
    this.segment(flow, true, sequence, 0, 0x02, 0)
    this.segment(flow, false, 0, (sequence + 1) | 0, 0x12, 0)
    this.segment(flow, true, (sequence + 1) | 0, 1, 0x10, 0)
  }

  data(flow: number, sequence: number, length: number): void {
    this.segment(flow, true, sequence, 1, 0x10, length)
  }

  acknowledgement(flow: number, number: number, sackFrom?: number, sackTo?: number): void {
    this.segment(flow, false, 1, number, 0x10, 0, sackFrom, sackTo)
  }

  close(): void {
    this.flush()
    closeSync(this.file)
  }

  private segment(
    flow: number,
    toServer: boolean,
    sequence: number,
    acknowledgement: number,
    flags: number,
    length: number,
    sackFrom?: number,
    sackTo?: number,
  ): void {
    const { view } = this
    if (this.used + 200 > bufferBytes) this.flush()
    const optionBytes = sackFrom === undefined ? 12 : 24
    const ipBytes = 40 + optionBytes + length
    const captured = Math.min(snapLength, 18 + ipBytes)
    this.timeNs += packetGapNs
    this.packets++
    const record = this.used
    const seconds = Math.floor(this.timeNs / 1e9)
    view.setUint32(record, 1_700_000_000 + seconds, true)
    view.setUint32(record + 4, Math.floor((this.timeNs - seconds * 1e9) / 1000), true)
    view.setUint32(record + 8, captured, true)
    view.setUint32(record + 12, 18 + ipBytes, true)
    const at = record + 16
    this.bytes.fill(0, at, at + captured)
    view.setUint32(at + 2, toServer ? 2 : 1)
    view.setUint32(at + 8, toServer ? 1 : 2)
    view.setUint32(at + 12, (0x8100 << 16) | (this.mark.pcp << 13) | 100)
    view.setUint16(at + 16, 0x0800)
    const ip = at + 18
    view.setUint16(ip, 0x4500 | dsField(this.mark.dscp))
    view.setUint16(ip + 2, ipBytes)
    view.setUint16(ip + 4, this.ipId++ & 0xffff)
    view.setUint32(ip + 6, 0x40004006)
    const [client, server] = [0x0a010000 + (flow >> 14), 0x0a020001]
    view.setUint32(ip + 12, toServer ? client : server)
    view.setUint32(ip + 16, toServer ? server : client)
    const tcp = ip + 20
    const clientPort = 20_000 + (flow & 0x3fff)
    view.setUint16(tcp, toServer ? clientPort : 5000)
    view.setUint16(tcp + 2, toServer ? 5000 : clientPort)
    view.setInt32(tcp + 4, sequence)
    view.setInt32(tcp + 8, acknowledgement)
    view.setUint16(tcp + 12, ((5 + optionBytes / 4) << 12) | flags)
    view.setUint16(tcp + 14, 0xf000)
    const milliseconds = Math.floor(this.timeNs / 1e6)
    view.setUint32(tcp + 20, 0x0101080a)
    view.setUint32(tcp + 24, milliseconds)
    view.setUint32(tcp + 28, Math.max(0, milliseconds - 1))
    if (sackFrom !== undefined && sackTo !== undefined) {
      view.setUint32(tcp + 32, 0x0101050a)
      view.setInt32(tcp + 36, sackFrom)
      view.setInt32(tcp + 40, sackTo)
    }
    this.used += 16 + captured
  }

  private flush(): void {
    writeSync(this.file, this.bytes, 0, this.used)
    this.used = 0
  }
}
