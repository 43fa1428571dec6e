/** Probes several traffic classes at once, evenly staggered, and says what each of them met. */

import { randomInt } from 'node:crypto'
import type { TrafficClass } from '../../marking/traffic-class.js'
import { assert } from '../../support/assert.js'
import type { PagewireError } from '../../support/errors.js'
import { monotonicNs } from '../clock.js'
import { openRawSender, type RawSender } from '../raw-socket.js'
import type { Endpoint } from '../socket-calls.js'
import { UdpPacket } from '../udp-packet.js'
import { type DatagramBatch, openUdpReceiver, type UdpReceiver } from '../udp-receiver.js'
import { probeHeadBytes, readReply, writeRequest } from './packet.js'
import { clockName } from './reflector.js'
import { type ClassProbe, ClassSamples } from './statistics.js'

const receiveBufferBytes = 1024 * 1024
const sendBufferBytes = 1024 * 1024
const tickMs = 1
/** Of the IP packet: small, so that the probes weigh nothing beside the traffic that they look at. */
const packetBytes = 100
/** How long answers may stay out after the last probe. */
const lingerNs = 1_000_000_000

/** What to probe, as data: it also travels to a prober in another process. */
export interface ProbeJob {
  /** Address of this host that the probes come from. */
  readonly local: string
  /** Where the reflector listens. */
  readonly reflector: Endpoint
  /** 1 to 64 classes. */
  readonly classes: readonly TrafficClass[]
  /** Between two probes of one class. */
  readonly intervalNs: number
  readonly durationNs: number
}

/** Resolves with one result per class, in their order; `stop` ends it early. Needs root for the marks. */
export async function probe(job: ProbeJob, stop: AbortSignal): Promise<readonly ClassProbe[]> {
  assert(job.classes.length >= 1 && job.classes.length <= 64, 'there are classes to probe')
  const probing = new Probing(job, stop)
  try {
    await probing.run()
  } finally {
    probing.close()
  }
  return probing.results()
}

interface Stream {
  readonly trafficClass: TrafficClass
  readonly packet: UdpPacket
  readonly sender: RawSender
  readonly samples: ClassSamples
  /** When its first probe is due, after the start. */
  readonly offsetNs: number
  sequence: number
}

class Probing {
  private readonly session = randomInt(2 ** 32)
  private readonly socket: UdpReceiver
  private readonly streams: Stream[] = []
  private failed: PagewireError | undefined

  constructor(
    private readonly job: ProbeJob,
    private readonly stop: AbortSignal,
  ) {
    this.socket = openUdpReceiver({
      host: job.local,
      port: 0,
      headBytes: probeHeadBytes,
      receiveBufferBytes,
      onBatch: (batch) => this.take(batch),
      onError: (error) => {
        this.failed = error
      },
    })
    try {
      const clock = clockName()
      for (const trafficClass of job.classes) this.streams.push(this.streamOf(trafficClass, clock))
    } catch (error) {
      this.close()
      throw error
    }
  }

  async run(): Promise<void> {
    const { durationNs } = this.job
    const startNs = monotonicNs()
    for (let nowNs = 0; nowNs < durationNs && !this.over(); nowNs = monotonicNs() - startNs) {
      for (const stream of this.streams) this.sendDue(stream, nowNs)
      await sleep(tickMs)
    }
    const endNs = monotonicNs() + lingerNs
    while (monotonicNs() < endNs && !this.over() && !this.complete()) await sleep(10 * tickMs)
    if (this.failed) throw this.failed
  }

  results(): readonly ClassProbe[] {
    return this.streams.map((stream) => stream.samples.result())
  }

  close(): void {
    this.socket.close()
    for (const stream of this.streams) stream.sender.close()
  }

  private over(): boolean {
    return this.stop.aborted || this.failed !== undefined
  }

  private complete(): boolean {
    return this.streams.every(({ samples }) => samples.received === samples.sent)
  }

  /** One probe at most: one that was missed because the timer was late is never made up for. */
  private sendDue(stream: Stream, nowNs: number): void {
    const due = Math.floor((nowNs - stream.offsetNs) / this.job.intervalNs)
    if (due < stream.sequence) return
    stream.sequence = due + 1
    const { packet, trafficClass, samples } = stream
    const sequence = samples.sent
    const sentNs = monotonicNs()
    const { dscp, pcp } = trafficClass
    const index = this.streams.indexOf(stream)
    writeRequest(packet.payload, { session: this.session, stream: index, dscp, pcp, sequence, sentNs })
    packet.seal((sequence % 65_535) + 1)
    if (stream.sender.send(packet.bytes, this.job.reflector.host)) samples.sent++
  }

  private take(batch: DatagramBatch): void {
    const nowNs = monotonicNs()
    for (let i = 0; i < batch.count; i++) {
      const reply = readReply(batch.head(i), batch.lengthOf(i))
      if (reply?.session !== this.session) continue
      this.streams[reply.stream]?.samples.add(reply, nowNs, batch.dscpOf(i))
    }
  }

  private streamOf(trafficClass: TrafficClass, clock: number): Stream {
    const { local, reflector, intervalNs, classes } = this.job
    const { dscp, pcp } = trafficClass
    return {
      trafficClass,
      packet: new UdpPacket({
        source: { host: local, port: this.socket.port },
        destination: reflector,
        dscp,
        packetBytes,
        variableBytes: probeHeadBytes,
      }),
      sender: openRawSender({ dscp, priority: pcp }, sendBufferBytes),
      samples: new ClassSamples(trafficClass, clock),
      offsetNs: (this.streams.length * intervalNs) / classes.length,
      sequence: 0,
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
