/** Several captures of one clock as one sequence of frames, in bounded memory. */

import type { FrameReader } from './read.js'

/**
 * Walks over several captures at once, always at the earliest frame. Use:
 * `for (let at = await order.first(); at !== -1; at = order.step() ? order.current : await order.refill())`.
 * The `step` of most frames is synchronous; `refill` waits for bytes.
 */
export class TimeOrder {
  /** Index of the capture that holds the earliest frame; -1 at the end. */
  current = -1
  private readonly readers: readonly FrameReader[]
  private readonly times: Float64Array

  constructor(readers: readonly FrameReader[]) {
    this.readers = readers
    this.times = new Float64Array(readers.length).fill(Number.POSITIVE_INFINITY)
  }

  /** The capture with the earliest frame of all. */
  async first(): Promise<number> {
    for (const at of this.readers.keys()) await this.advance(at)
    return this.choose()
  }

  /** Leaves the current frame; false when its capture needs a `refill` before the next can be chosen. */
  step(): boolean {
    const reader = this.readers[this.current]
    if (!reader?.next()) return false
    this.times[this.current] = reader.frame.timeNs
    this.choose()
    return true
  }

  /** What `step` could not do at once. */
  async refill(): Promise<number> {
    await this.advance(this.current)
    return this.choose()
  }

  private async advance(at: number): Promise<void> {
    const reader = this.readers[at]
    if (!reader) return
    let found = reader.next()
    while (!found && (await reader.fill())) found = reader.next()
    this.times[at] = found ? reader.frame.timeNs : Number.POSITIVE_INFINITY
  }

  private choose(): number {
    let best = -1
    let earliest = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.times.length; i++) {
      const time = this.times[i]!
      if (time < earliest) {
        earliest = time
        best = i
      }
    }
    this.current = best
    return best
  }
}
