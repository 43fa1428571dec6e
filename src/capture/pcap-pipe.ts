/**
 * Classic pcap from a pipe, through pcap-parser, and the only file that imports it. What the package gets silently wrong
 * is checked here: it knows microseconds only, waits for ever on an impossible length, and takes a truncated file for a
 * complete one.
 */

import { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { WasmArena } from '../support/wasm.js'
import type { ByteSource } from './bytes.js'
import { Frame } from './frame.js'
import { pcapHeaderBytes } from './pcap.js'
import type { FrameReader } from './read.js'
import { type CaptureProblem, maxFrameBytes, type TimeBase } from './record-scanner.js'
import { SegmentBatch } from './segment-batch.js'

/** The part of pcap-parser that is used. */
interface Parser {
  on(event: 'globalHeader', use: (header: GlobalHeader) => void): void
  on(event: 'packetHeader', use: (header: PacketHeader) => void): void
  on(event: 'packet', use: (packet: { header: PacketHeader; data: Buffer }) => void): void
  on(event: 'error', use: (error: Error) => void): void
}

interface GlobalHeader {
  readonly snapshotLength: number
  readonly linkLayerType: number
}

interface PacketHeader {
  readonly timestampSeconds: number
  readonly timestampMicroseconds: number
  readonly capturedLength: number
  readonly originalLength: number
}

const recordHeaderBytes = 16
const chunkBytes = 256 * 1024

/** The stream that pcap-parser listens to; it gets its bytes when the reader wants frames. */
class Feed extends EventEmitter {
  pause(): void {}
  resume(): void {}
}

export class PipeReader implements FrameReader {
  readonly format = 'pcap-us'
  readonly dropped = undefined
  readonly arena = new WasmArena()
  readonly batch = new SegmentBatch(this.arena)
  readonly frame = new Frame()
  snapLength = 0
  linkTypes: number[] = []
  problem: CaptureProblem | undefined
  private readonly feed = new Feed()
  private packets: { header: PacketHeader; data: Buffer }[] = []
  private at = 0
  /** Bytes received, and bytes that whole records take up. */
  private received = 0
  private consumed = pcapHeaderBytes
  private ended = false

  constructor(
    private readonly source: ByteSource,
    private readonly timeBase: TimeBase,
    start: Uint8Array,
  ) {
    const parser: Parser = createRequire(import.meta.url)('pcap-parser').parse(this.feed)
    parser.on('globalHeader', (header) => {
      this.snapLength = header.snapshotLength
      this.linkTypes = [header.linkLayerType & 0xffff]
      this.frame.linkType = header.linkLayerType & 0xffff
    })
    parser.on('packetHeader', (header) => this.check(header))
    parser.on('packet', (packet) => {
      if (this.problem) return
      this.packets.push(packet)
      this.consumed += recordHeaderBytes + packet.header.capturedLength
    })
    parser.on('error', (error) => this.refuse('malformed', 0, error.message))
    this.push(Buffer.from(start))
  }

  next(): boolean {
    const packet = this.packets[this.at]
    if (packet === undefined) return false
    this.at++
    const { header, data } = packet
    this.timeBase.seconds ??= header.timestampSeconds
    const { frame } = this
    frame.bytes = data
    frame.view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    frame.start = 0
    frame.end = data.length
    frame.capLength = data.length
    frame.wireLength = header.originalLength
    const seconds = header.timestampSeconds - this.timeBase.seconds
    frame.timeNs = seconds * 1e9 + header.timestampMicroseconds * 1000
    return true
  }

  /** None: what a package hands out one by one is not worth gathering. */
  gather(): void {}

  async fill(): Promise<boolean> {
    this.packets = []
    this.at = 0
    while (this.packets.length === 0 && !this.ended && !this.problem) {
      const chunk = Buffer.allocUnsafe(chunkBytes)
      const got = await this.source.read(chunk, 0, chunk.length)
      if (got === 0) this.end()
      else this.push(chunk.subarray(0, got))
    }
    return this.packets.length > 0
  }

  close(): Promise<void> {
    return this.source.close()
  }

  private push(chunk: Buffer): void {
    this.received += chunk.length
    this.feed.emit('data', chunk)
  }

  private check(header: PacketHeader): void {
    if (header.capturedLength <= maxFrameBytes || this.problem) return
    const message = `the record at byte ${this.consumed} claims ${header.capturedLength} captured bytes, more than ${maxFrameBytes}`
    this.refuse('malformed', this.consumed, message)
  }

  private end(): void {
    this.ended = true
    if (this.problem || this.received === this.consumed) return
    const reason = this.source.problem === undefined ? '' : ` (${this.source.problem})`
    const message = `the data end inside the record at byte ${this.consumed}${reason}`
    this.refuse('truncated', this.consumed, message)
  }

  private refuse(kind: CaptureProblem['kind'], offset: number, message: string): void {
    this.problem ??= { kind, offset, message }
  }
}
