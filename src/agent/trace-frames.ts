/** A trace on its way to the destination, which runs the guest on from it after an early handover. */

import { FrameType, frame, longestMessageBytes } from '../wire/frame.js'
import { protocolError } from '../wire/frame-reader.js'
import { type Trace, traceWritesMax } from '../workload/trace.js'

/** f64 time, u32 page. */
const writeBytes = 12
const writesPerFrame = Math.floor(longestMessageBytes / writeBytes)

export function* traceFrames({ timesNs, pages }: Trace): Iterable<Buffer> {
  for (let first = 0; first < pages.length; first += writesPerFrame) {
    const count = Math.min(writesPerFrame, pages.length - first)
    const bytes = Buffer.allocUnsafe(count * writeBytes)
    for (let i = 0; i < count; i++) {
      bytes.writeDoubleBE(timesNs[first + i]!, i * writeBytes)
      bytes.writeUInt32BE(pages[first + i]!, i * writeBytes + 8)
    }
    yield frame(FrameType.trace, first, 0, bytes)
  }
}

/** Puts the frames of a trace together again; throws when they cannot be one. */
export class TraceReader {
  readonly #timesNs: number[] = []
  readonly #pages: number[] = []

  take(first: number, bytes: Buffer): void {
    const count = bytes.length / writeBytes
    if (!Number.isInteger(count) || first !== this.#pages.length || first + count > traceWritesMax) {
      throw protocolError(`a piece of a trace at ${first}, expected ${this.#pages.length}`)
    }
    for (let i = 0; i < count; i++) {
      const timeNs = bytes.readDoubleBE(i * writeBytes)
      if (!(timeNs >= (this.#timesNs.at(-1) ?? 0)) || timeNs === Number.POSITIVE_INFINITY) {
        throw protocolError(`write ${first + i} of the trace is out of order`)
      }
      this.#timesNs.push(timeNs)
      this.#pages.push(bytes.readUInt32BE(i * writeBytes + 8))
    }
  }

  /** The whole trace, for a guest of so many pages. */
  trace(totalPages: number): Trace {
    if ((this.#timesNs.at(-1) ?? 0) === 0) throw protocolError('the session replays a trace, and none came')
    const outside = this.#pages.find((page) => page >= totalPages)
    if (outside !== undefined) throw protocolError(`the trace writes page ${outside} of ${totalPages}`)
    return { timesNs: this.#timesNs, pages: this.#pages }
  }
}
