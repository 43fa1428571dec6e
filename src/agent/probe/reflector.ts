/** Sends each probe back with the mark that it came to ask for, and with what the far end can tell about it. */

import { readFileSync } from 'node:fs'
import { PagewireError } from '../../support/errors.js'
import { monotonicNs } from '../clock.js'
import { openRawSender, type RawSender } from '../raw-socket.js'
import type { Endpoint } from '../socket-calls.js'
import { UdpPacket, udpOverheadBytes } from '../udp-packet.js'
import { type DatagramBatch, openUdpReceiver } from '../udp-receiver.js'
import { type ProbeRequest, probeHeadBytes, readRequest, writeReply } from './packet.js'

const receiveBufferBytes = 1024 * 1024
const sendBufferBytes = 1024 * 1024
/** Streams that are remembered; the oldest is forgotten for a new one, so that strangers cannot fill the memory. */
const longestMemory = 1024
/** Larger probes would be fragments, which a raw socket does not make. */
const largestPayload = 9000 - udpOverheadBytes

export interface Reflector {
  readonly port: number
  close(): void
}

export interface ReflectorOptions extends Endpoint {
  readonly onError: (error: PagewireError) => void
}

/** Answers on an address of this host; answers come from the same address and port. Needs root for the marks. */
export function startReflector(options: ReflectorOptions): Reflector {
  // Says at once, and not at the first probe, when the privilege for the highest mark is missing.
  openRawSender({ dscp: 63, priority: 7 }, sendBufferBytes).close()
  const reflecting = new Reflecting(options.host)
  const socket = openUdpReceiver({
    host: options.host,
    port: options.port,
    headBytes: probeHeadBytes,
    receiveBufferBytes,
    onBatch: (batch) => reflecting.answer(batch),
    onError: options.onError,
  })
  reflecting.port = socket.port
  return {
    port: socket.port,
    close: () => {
      socket.close()
      reflecting.close()
    },
  }
}

/** One stream of a prober. */
interface Remembered {
  readonly packet: UdpPacket
  readonly sender: RawSender
  received: number
}

class Reflecting {
  port = 0
  private readonly streams = new Map<string, Remembered>()
  /** One per mark: at most 64 DSCPs with 8 priorities each. */
  private readonly senders = new Map<number, RawSender>()
  private readonly clock = clockName()

  constructor(private readonly host: string) {}

  answer(batch: DatagramBatch): void {
    const receivedNs = monotonicNs()
    for (let i = 0; i < batch.count; i++) {
      const length = batch.lengthOf(i)
      const request = readRequest(batch.head(i), length)
      if (request === undefined || length > largestPayload) continue
      this.reply(request, batch.sourceOf(i), length, batch.dscpOf(i), receivedNs)
    }
  }

  close(): void {
    for (const sender of this.senders.values()) sender.close()
  }

  private reply(
    request: ProbeRequest,
    from: Endpoint,
    length: number,
    dscpSeen: number,
    receivedNs: number,
  ): void {
    const stream = this.streamOf(request, from, length)
    stream.received++
    writeReply(stream.packet.payload, {
      ...request,
      receivedNs,
      repliedNs: monotonicNs(),
      receivedCount: stream.received,
      clock: this.clock,
      dscpSeen,
    })
    stream.packet.seal((request.sequence % 65_535) + 1)
    sendOrLose(stream, from.host)
  }

  private streamOf(request: ProbeRequest, from: Endpoint, length: number): Remembered {
    const { session, stream, dscp, pcp } = request
    const key = [from.host, from.port, session, stream, dscp, pcp, length].join(' ')
    const known = this.streams.get(key)
    if (known) return known
    const oldest = this.streams.keys().next()
    if (this.streams.size >= longestMemory && !oldest.done) this.streams.delete(oldest.value)
    const packet = new UdpPacket({
      source: { host: this.host, port: this.port },
      destination: from,
      dscp,
      packetBytes: udpOverheadBytes + length,
      variableBytes: probeHeadBytes,
    })
    const made = { packet, sender: this.senderOf(dscp, pcp), received: 0 }
    this.streams.set(key, made)
    return made
  }

  private senderOf(dscp: number, pcp: number): RawSender {
    const key = dscp * 8 + pcp
    const known = this.senders.get(key)
    if (known) return known
    const sender = openRawSender({ dscp, priority: pcp }, sendBufferBytes)
    this.senders.set(key, sender)
    return sender
  }
}

/**
 * An answer that the kernel has no room for is a lost answer, and the prober counts it. So is one that has no way to
 * go: probes name their sender themselves, and a false name must not end the reflector.
 */
function sendOrLose({ sender, packet }: Remembered, host: string): void {
  try {
    sender.send(packet.bytes, host)
  } catch (error) {
    if (!(error instanceof PagewireError) || error.code !== 'send-failed') throw error
  }
}

/** All processes of one boot share the monotonic clock, whatever their namespace. */
export function clockName(): number {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
  return Number.parseInt(bootId.slice(0, 8), 16)
}
