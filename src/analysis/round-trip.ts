/**
 * Round-trip times of one direction's data: from a segment to the acknowledgement that covers it. After a
 * retransmission no sample is taken until everything sent before it is acknowledged (Karn's rule: one cannot tell
 * which copy an acknowledgement answers, and what waited behind a hole did not wait for the network).
 */

const firstSize = 16
const noEnds = new Int32Array(0)
const noTimes = new Float64Array(0)

export class RoundTrip {
  /** Ring of segments in flight: the raw sequence number after each, and when it passed. */
  private ends = noEnds
  private times = noTimes
  private head = 0
  private count = 0
  private highest = 0
  private started = false
  private recovering = false
  private recoverEnd = 0

  /** A segment with new payload passed; `end` is the raw sequence number after it. */
  sent(end: number, timeNs: number): void {
    if (this.started && ((end - this.highest) | 0) <= 0) return
    this.started = true
    this.highest = end
    if (this.count === this.ends.length) this.grow()
    const at = (this.head + this.count) & (this.ends.length - 1)
    this.ends[at] = end
    this.times[at] = timeNs
    this.count++
  }

  /** A segment passed again: samples stop until all that is in flight now is acknowledged. */
  resent(): void {
    this.recovering = true
    this.recoverEnd = this.highest
  }

  /** An acknowledgement of everything below `ack` passed; returns the round-trip time in ns, or -1 for no sample. */
  acknowledged(ack: number, timeNs: number): number {
    let sentAt = -1
    while (this.count > 0 && ((ack - this.ends[this.head]!) | 0) >= 0) {
      sentAt = this.times[this.head]!
      this.head = (this.head + 1) & (this.ends.length - 1)
      this.count--
    }
    if (sentAt === -1) return -1
    if (!this.recovering) return timeNs - sentAt
    if (((ack - this.recoverEnd) | 0) >= 0) this.recovering = false
    return -1
  }

  /** Doubles the ring. Its bound is the sender's window: at most 1 GiB of segments (RFC 7323). */
  private grow(): void {
    const { ends, times, head, count } = this
    const size = Math.max(firstSize, count * 2)
    this.ends = new Int32Array(size)
    this.times = new Float64Array(size)
    for (let i = 0; i < count; i++) {
      this.ends[i] = ends[(head + i) & (count - 1)]!
      this.times[i] = times[(head + i) & (count - 1)]!
    }
    this.head = 0
  }
}
