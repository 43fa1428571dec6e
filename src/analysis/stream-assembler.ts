/** One direction of a TCP connection as a stream of bytes, in order, with its holes: for parsers of what it carries. */

import { flagSyn } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'

/** Takes a stream piece by piece. Pieces are valid until the call returns. */
export interface StreamParser {
  /** `bytes[from..to)` are next. */
  data(bytes: Uint8Array, from: number, to: number, timeNs: number): void
  /** The next `length` bytes are not in the capture. */
  gap(length: number, timeNs: number): void
  /** Nothing follows. */
  end?(): void
}

interface Waiting {
  readonly sequence: number
  /** Payload on the wire; `bytes` may be shorter. */
  readonly length: number
  readonly bytes: Uint8Array
  readonly timeNs: number
}

/** Out-of-order payload kept before a hole is given up as never captured. */
const maxWaitingBytes = 4 * 1024 * 1024
const maxWaiting = 4096
/** The largest window of TCP (RFC 7323); what claims to be further ahead is not of this stream. */
const maxAhead = 2 ** 30

export class StreamAssembler {
  /** Payload bytes handed on, and those that the capture does not have. */
  seenBytes = 0
  missingBytes = 0
  private begun = false
  private next = 0
  private waiting: Waiting[] = []
  private waitingBytes = 0

  constructor(public parser: StreamParser) {}

  /** Takes the next TCP segment of this direction. */
  segment(frame: Frame): void {
    if ((frame.flags & flagSyn) !== 0) {
      this.begun = true
      this.next = (frame.sequence + 1) | 0
      return
    }
    const length = frame.payloadLength
    if (length === 0) return
    if (!this.begun) {
      this.begun = true
      this.next = frame.sequence
    }
    const captured = Math.max(0, Math.min(length, frame.end - frame.payload))
    const ahead = (frame.sequence - this.next) | 0
    if (ahead <= 0) {
      this.deliver(frame.bytes, frame.payload, frame.payload + captured, length, -ahead, frame.timeNs)
      this.drain()
      return
    }
    if (ahead > maxAhead) return
    const bytes = frame.bytes.slice(frame.payload, frame.payload + captured)
    this.waiting.push({ sequence: frame.sequence, length, bytes, timeNs: frame.timeNs })
    this.waitingBytes += captured
    if (this.waitingBytes > maxWaitingBytes || this.waiting.length > maxWaiting) this.skipHole()
  }

  /** No segment follows: what still waits is handed on, with the holes before it. */
  end(): void {
    while (this.waiting.length > 0) this.skipHole()
    const { parser } = this
    parser.end?.()
    // One that only looked for the right parser may have found it at the last moment.
    if (this.parser !== parser) this.parser.end?.()
  }

  /** Hands on a segment of which the first `known` bytes were handed on before. */
  private deliver(
    bytes: Uint8Array,
    from: number,
    to: number,
    length: number,
    known: number,
    timeNs: number,
  ): void {
    if (known >= length) return
    this.next = (this.next + length - known) | 0
    const start = Math.min(from + known, to)
    if (start < to) {
      this.seenBytes += to - start
      this.parser.data(bytes, start, to, timeNs)
    }
    const missing = length - known - (to - start)
    if (missing > 0) this.lose(missing, timeNs)
  }

  private lose(length: number, timeNs: number): void {
    this.missingBytes += length
    this.parser.gap(length, timeNs)
  }

  private drain(): void {
    if (this.waiting.length === 0) return
    this.sort()
    for (let first = this.waiting[0]; first; first = this.waiting[0]) {
      if (((first.sequence - this.next) | 0) > 0) return
      this.takeFirst(first)
    }
  }

  /** Gives up the hole before the nearest segment. Each call hands on one segment at least. */
  private skipHole(): void {
    this.sort()
    const first = this.waiting[0]
    if (!first) return
    const ahead = (first.sequence - this.next) | 0
    if (ahead > 0) {
      this.next = first.sequence
      this.lose(ahead, first.timeNs)
    }
    this.takeFirst(first)
    this.drain()
  }

  private takeFirst(first: Waiting): void {
    this.waiting.shift()
    this.waitingBytes -= first.bytes.length
    const known = -((first.sequence - this.next) | 0)
    this.deliver(first.bytes, 0, first.bytes.length, first.length, known, first.timeNs)
  }

  /** By distance from what is next, so that no order of hostile numbers can go in circles. */
  private sort(): void {
    const next = this.next
    this.waiting.sort((a, b) => ((a.sequence - next) | 0) - ((b.sequence - next) | 0))
  }
}
