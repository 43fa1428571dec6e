/**
 * Random TCP connections as a capture in the middle of a bad network sees them: loss, retransmission, reordering,
 * duplicates, keep-alives, closed windows, reused ports, data both ways. What each segment is supposed to be is not
 * known here; the point is that two analysers must say the same about it.
 */

import { type Random, random } from '../../src/support/random.js'
import { be16, type CapturedFrame, join, payload, stampOptions, tcpFrame } from './pcap-builder.js'

interface Host {
  readonly address: string
  readonly port: number
  next: number
  acknowledged: number
  window: number
}

interface Segment {
  readonly from: Host
  readonly to: Host
  readonly sequence: number
  readonly length: number
  readonly flags: number
}

const fin = 1
const syn = 2
const rst = 4
const ack = 16

/** `connections` connections of about `turns` segments each, in order of time. */
export function tcpChaos(seed: number, connections: number, turns: number): CapturedFrame[] {
  const frames: CapturedFrame[] = []
  for (let i = 0; i < connections; i++) {
    new Connection(random(seed, i), i, frames).run(turns)
  }
  return frames.toSorted((a, b) => a.atNs - b.atNs)
}

class Connection {
  private readonly a: Host
  private readonly b: Host
  private readonly history: Segment[] = []
  private nowNs: number

  constructor(
    private readonly draw: Random,
    number: number,
    private readonly frames: CapturedFrame[],
  ) {
    // Few ports, so that some connections reuse those of another.
    this.a = this.host('10.0.0.1', 40_000 + (number % 5))
    this.b = this.host('10.0.0.2', 5000)
    this.nowNs = number * 5e9 + 1000
  }

  run(turns: number): void {
    if (this.chance(0.8)) this.handshake()
    for (let i = 0; i < turns; i++) this.turn()
    if (this.chance(0.5))
      this.emit({ from: this.a, to: this.b, sequence: this.a.next, length: 0, flags: fin | ack })
    if (this.chance(0.2))
      this.emit({ from: this.b, to: this.a, sequence: this.b.next, length: 0, flags: rst | ack })
  }

  private handshake(): void {
    const { a, b } = this
    this.emit({ from: a, to: b, sequence: a.next, length: 0, flags: syn })
    if (this.chance(0.2)) this.emit({ from: a, to: b, sequence: a.next, length: 0, flags: syn })
    a.next++
    b.acknowledged = a.next
    this.emit({ from: b, to: a, sequence: b.next, length: 0, flags: syn | ack })
    b.next++
    a.acknowledged = b.next
    this.emit({ from: a, to: b, sequence: a.next, length: 0, flags: ack })
  }

  private turn(): void {
    const { a, b } = this
    const [from, to] = this.chance(0.75) ? [a, b] : [b, a]
    const dice = this.draw.below(100)
    if (dice < 45) this.data(from, to)
    else if (dice < 70) this.acknowledge(to, from)
    else if (dice < 76) this.repeatOld()
    else if (dice < 80) this.emit({ from: to, to: from, sequence: to.next, length: 0, flags: ack })
    else if (dice < 83)
      from.next += 1 + this.draw.below(3000) // a segment that the capture does not have
    else if (dice < 86)
      this.emit({ from, to, sequence: from.next - 1, length: this.draw.below(2), flags: ack })
    else if (dice < 88) to.window = this.chance(0.5) ? 0 : 1000 + this.draw.below(60_000)
    else if (dice < 90) this.emit({ from, to, sequence: from.next, length: 1, flags: ack })
    else if (dice < 93) this.swapped(from, to)
    else if (dice < 95) this.nowNs += 50e6
    else this.data(from, to)
  }

  private data(from: Host, to: Host): void {
    const length = 1 + this.draw.below(1400)
    this.emit({ from, to, sequence: from.next, length, flags: ack })
    from.next += length
  }

  private swapped(from: Host, to: Host): void {
    const first = 1 + this.draw.below(1400)
    const second = 1 + this.draw.below(1400)
    this.emit({ from, to, sequence: from.next + first, length: second, flags: ack })
    this.emit({ from, to, sequence: from.next, length: first, flags: ack })
    from.next += first + second
  }

  /** `to` confirms some of what `from` sent, or what it already confirmed. */
  private acknowledge(to: Host, from: Host): void {
    const open = from.next - to.acknowledged
    if (open > 0 && this.chance(0.7)) to.acknowledged += this.chance(0.5) ? open : this.draw.below(open)
    this.emit({ from: to, to: from, sequence: to.next, length: 0, flags: ack })
  }

  private repeatOld(): void {
    const recent = this.history.slice(-20)
    const old = recent[this.draw.below(recent.length)]
    if (old) this.emit(old)
  }

  private emit(segment: Segment): void {
    this.nowNs += this.chance(0.9) ? 1000 + this.draw.below(400_000) : this.draw.below(30_000_000)
    this.history.push(segment)
    const { from, to, sequence, length, flags } = segment
    this.frames.push({
      atNs: this.nowNs,
      bytes: tcpFrame({
        source: from.address,
        destination: to.address,
        sourcePort: from.port,
        destinationPort: to.port,
        sequence: sequence >>> 0,
        acknowledgement: (flags & ack) === 0 ? 0 : from.acknowledged >>> 0,
        flags,
        window: (flags & syn) === 0 ? from.window : 64_000,
        options: (flags & syn) === 0 ? stamps(this.nowNs) : synOptions(this.nowNs),
        payload: payload(length, sequence),
      }),
    })
  }

  private host(address: string, port: number): Host {
    const next = this.chance(0.1) ? 0xffff_f000 + this.draw.below(1000) : 1 + this.draw.below(0x7fff_ffff)
    return { address, port, next, acknowledged: 0, window: 30_000 }
  }

  private chance(share: number): boolean {
    return this.draw.unit() < share
  }
}

function stamps(nowNs: number): Uint8Array {
  return stampOptions(Math.floor(nowNs / 1e6), 0)
}

function synOptions(nowNs: number): Uint8Array {
  return join(Uint8Array.of(2, 4), be16(1460), Uint8Array.of(1, 3, 3, 7), stamps(nowNs))
}
