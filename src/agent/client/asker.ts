/** A client of the guest: asks it a thousand times a second over the tenants' network and notes every answer. */

import { randomInt } from 'node:crypto'
import type { PagewireError } from '../../support/errors.js'
import { monotonicNs } from '../clock.js'
import { openRawSender, type RawSender } from '../raw-socket.js'
import type { Endpoint } from '../socket-calls.js'
import { Pacer } from '../traffic/pacer.js'
import { UdpPacket } from '../udp-packet.js'
import { type DatagramBatch, openUdpReceiver, type UdpReceiver } from '../udp-receiver.js'
import { type ClientReport, clientReport } from './outage.js'

/** What to ask, as data: it also travels to a client in another process. */
export interface ClientJob {
  /** Address of this host. */
  readonly local: string
  readonly guest: Endpoint
  readonly dscp: number
  readonly pcp: number
  /** Questions per second. */
  readonly rate: number
  /** Others connect by the guest's name, whose answers hold for so long; absent: nobody does. */
  readonly nameTtlNs?: number
}

/** `| magic | session | number | host that answers, 0 in a question | 0 |`, 4 4 4 2 2 bytes. */
const headBytes = 16
const magic = 0x70776731
/** Of the IP packet: small, so that the questions weigh nothing beside the traffic. */
const packetBytes = 100
const bufferBytes = 1024 * 1024
const tickMsMin = 1
/** How long answers may stay out after the last question. */
const lingerMs = 200
/** So many answers show that the guest is there: those of 50 ms, and of slow askers a few. */
const answersEnoughMin = 5

export class Asker {
  readonly #job: ClientJob
  readonly #session = randomInt(2 ** 32)
  readonly #packet: UdpPacket
  readonly #sender: RawSender
  readonly #socket: UdpReceiver
  readonly #pacer: Pacer
  readonly #answersEnough: number
  readonly #sentNs: number[] = []
  readonly #answeredNs: number[] = []
  #lastHost = 0
  /** Answers in a row from the same host. */
  #inARow = 0
  #answers = 0
  #startNs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(job: ClientJob, onError: (error: PagewireError) => void) {
    this.#job = job
    this.#pacer = new Pacer(8 * job.rate, 1)
    this.#answersEnough = Math.max(answersEnoughMin, Math.ceil(job.rate / 20))
    this.#sender = openRawSender({ dscp: job.dscp, priority: job.pcp }, bufferBytes)
    this.#socket = openUdpReceiver({
      host: job.local,
      port: 0,
      headBytes,
      receiveBufferBytes: bufferBytes,
      timestamps: true,
      onBatch: (batch) => this.#take(batch),
      onError,
    })
    this.#packet = new UdpPacket({
      source: { host: job.local, port: this.#socket.port },
      destination: job.guest,
      dscp: job.dscp,
      packetBytes,
      variableBytes: headBytes,
    })
  }

  start(): void {
    this.#startNs = monotonicNs()
    // Half of the time between two questions, so that none is late by more.
    this.#timer = setInterval(() => this.#ask(), Math.max(tickMsMin, Math.floor(500 / this.#job.rate)))
  }

  /** Resolves when the guest answers; false when it does not within the time. */
  answered(timeoutMs: number): Promise<boolean> {
    return within(timeoutMs, () => this.#answers >= this.#answersEnough)
  }

  /** When the first question was sent and when the first answer arrived, ns since 1970; absent: none yet. */
  get first(): { readonly askedUnixNs: number | undefined; readonly answeredUnixNs: number | undefined } {
    const answered = this.#answeredNs.filter((ns) => ns > 0)
    return {
      askedUnixNs: this.#sentNs[0],
      answeredUnixNs: answered.length === 0 ? undefined : Math.min(...answered),
    }
  }

  /**
   * Goes on asking until the guest answers from `host` (0: from anywhere), at most `mostMs`; then stops, waits a moment
   * for late answers, and tells what happened since `fromUnixNs`.
   */
  async finish(host: number, mostMs: number, fromUnixNs: number): Promise<ClientReport> {
    this.#inARow = 0
    await within(mostMs, () => this.#inARow >= this.#answersEnough && (host === 0 || this.#lastHost === host))
    clearInterval(this.#timer)
    await within(lingerMs, () => this.#answeredNs.at(-1) !== 0)
    return clientReport({ sentNs: this.#sentNs, answeredNs: this.#answeredNs }, fromUnixNs)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#socket.close()
    this.#sender.close()
  }

  #ask(): void {
    const due = this.#pacer.due(monotonicNs() - this.#startNs)
    const { payload } = this.#packet
    let sent = 0
    for (; sent < due; sent++) {
      const number = this.#sentNs.length
      payload.writeUInt32BE(magic, 0)
      payload.writeUInt32BE(this.#session, 4)
      payload.writeUInt32BE(number, 8)
      this.#packet.seal((number % 65_535) + 1)
      const atNs = unixNs()
      if (!this.#sender.send(this.#packet.bytes, this.#job.guest.host)) break
      this.#sentNs.push(atNs)
      this.#answeredNs.push(0)
    }
    this.#pacer.sent(sent)
  }

  #take(batch: DatagramBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const head = batch.head(i)
      if (batch.lengthOf(i) < headBytes || head.readUInt32BE(0) !== magic) continue
      const number = head.readUInt32BE(8)
      if (head.readUInt32BE(4) !== this.#session || this.#answeredNs[number] !== 0) continue
      this.#answeredNs[number] = batch.arrivedUnixNs(i)
      this.#answers++
      const host = head.readUInt16BE(12)
      this.#inARow = host === this.#lastHost ? this.#inARow + 1 : 1
      this.#lastHost = host
    }
  }
}

/** The clock of captures. */
function unixNs(): number {
  return (performance.timeOrigin + performance.now()) * 1e6
}

async function within(timeoutMs: number, holds: () => boolean): Promise<boolean> {
  const until = performance.now() + timeoutMs
  while (!holds()) {
    if (performance.now() >= until) return false
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return true
}
