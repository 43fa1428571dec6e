/**
 * When a constant-rate sender may send: a token bucket that a late timer fills for `catchUpNs` at most. Over any time T
 * no more goes out than the rate allows in T + `catchUpNs`, so a sender that was held off does not come back as a burst;
 * what it gave up is counted.
 */

/** What a busy box holds a process off for now and then; at 200 Mbit/s less than a queue of 256 packets takes. */
export const catchUpNs = 10_000_000

export class Pacer {
  /** Frames given up because the sender was held off for longer than it may catch up. */
  skipped = 0
  private accounted = 0
  private readonly framesPerNs: number
  private readonly mostAtOnce: number

  /** Bits per second of whole frames, and bytes of one. */
  constructor(rateBps: number, frameBytes: number) {
    this.framesPerNs = rateBps / (frameBytes * 8) / 1e9
    this.mostAtOnce = Math.max(1, Math.floor(this.framesPerNs * catchUpNs))
  }

  /** How many frames may go at this moment, counted from the start in ns; rises from call to call. */
  due(nowNs: number): number {
    const behind = Math.floor(nowNs * this.framesPerNs) - this.accounted
    const surplus = Math.max(0, behind - this.mostAtOnce)
    this.skipped += surplus
    this.accounted += surplus
    return behind - surplus
  }

  /** Tells how many of them went. */
  sent(frames: number): void {
    this.accounted += frames
  }
}
