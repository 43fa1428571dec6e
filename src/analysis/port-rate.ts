/**
 * How fast the congested port sends while it always has something to send: the rate of its shaper as the wire shows
 * it. A frame that came in before its predecessor left found the port busy, so the time between the two departures
 * is what the port needed for it.
 */

/** A shaper may let a burst through when a busy time begins; what it sends later is its rate. */
const settlingNs = 10e6

export class PortRate {
  private lastDepartureNs = Number.NEGATIVE_INFINITY
  private busySinceNs = 0
  private busyNs = 0
  private bytes = 0

  /** A frame left; frames must come in order of departure. */
  leave(enteredNs: number, leftNs: number, wireBytes: number): void {
    if (enteredNs >= this.lastDepartureNs) this.busySinceNs = leftNs
    else if (this.lastDepartureNs - this.busySinceNs >= settlingNs) {
      this.busyNs += leftNs - this.lastDepartureNs
      this.bytes += wireBytes
    }
    this.lastDepartureNs = leftNs
  }

  /** Nanoseconds that were looked at, and bits per second of whole frames in them; 0 for none. */
  result(): { readonly busyNs: number; readonly bps: number } {
    return { busyNs: this.busyNs, bps: this.busyNs > 0 ? (this.bytes * 8e9) / this.busyNs : 0 }
  }
}
