/** A parser that is called with whole items, however the stream is cut: it says how many bytes it needs next, or skips. */

import type { StreamParser } from './stream-assembler.js'

/** Longest item that is gathered; all that is longer is skipped over. */
const maxItem = 4096

export abstract class Piecewise implements StreamParser {
  /** Bytes that were passed over because the place in the stream was lost. */
  lostBytes = 0
  protected timeNs = 0
  protected readonly item = new Uint8Array(maxItem)
  protected readonly view = new DataView(this.item.buffer)
  private need = 0
  private have = 0
  private skipping = 0
  private lost = false

  /** The `need` bytes asked for are in `item`. Must call `want`, or `lose`. */
  protected abstract take(): void

  /** While the place is lost: looks for it in what comes. Returns where to go on reading, or -1. */
  protected abstract search(bytes: Uint8Array, from: number, to: number): number

  /** Skips `skip` bytes, then gathers `need` (1 to 4096) and calls `take`. */
  protected want(need: number, skip = 0): void {
    this.need = need
    this.have = 0
    this.skipping = skip
  }

  /** What came is not what this parser knows: from here on it searches. */
  protected lose(): void {
    this.lost = true
  }

  /** Length of what is in `item` while `take` runs. */
  protected get itemLength(): number {
    return this.need
  }

  /** How much of the item asked for is there. */
  protected get gathered(): number {
    return this.have
  }

  /** The place is found again; `want` was called. */
  protected found(): void {
    this.lost = false
  }

  data(bytes: Uint8Array, from: number, to: number, timeNs: number): void {
    this.timeNs = timeNs
    let at = from
    while (at < to) {
      if (this.lost) {
        const place = this.search(bytes, at, to)
        if (place === -1) {
          this.lostBytes += to - at
          return
        }
        this.lostBytes += place - at
        at = place
      } else if (this.skipping > 0) {
        const step = Math.min(this.skipping, to - at)
        this.skipping -= step
        at += step
      } else {
        const step = Math.min(this.need - this.have, to - at)
        this.item.set(bytes.subarray(at, at + step), this.have)
        this.have += step
        at += step
        if (this.have === this.need) this.take()
      }
    }
  }

  gap(length: number, timeNs: number): void {
    this.timeNs = timeNs
    // A hole inside something that would be skipped anyway does no harm.
    if (!this.lost && length <= this.skipping) this.skipping -= length
    else this.lose()
    if (this.lost) this.lostBytes += length
  }
}
