/**
 * How fast the congested port sends while it always has something to send: the rate of its shaper as the wire shows
 * it. A frame that came in before its predecessor left found the port busy, so the time between the two departures
 * is what the port needed for it.
 */

/** A shaper may let a burst through when a busy time begins; what it sends later is its rate. */
const settlingNs = 10e6

/** All parallel paths of a port. */
export class PortRate {
  private readonly paths: PathRate[] = []

  /** A frame left on a path, 0 for the first; frames of a path must come in order of departure. */
  leave(enteredNs: number, leftNs: number, wireBytes: number, path = 0): void {
    const rate = this.paths[path] ?? new PathRate()
    this.paths[path] = rate
    rate.leave(enteredNs, leftNs, wireBytes)
  }

  /** Nanoseconds that were looked at, and bits per second of whole frames in them on one path; 0 for none. */
  result(): { readonly busyNs: number; readonly bps: number } {
    let busyNs = 0
    let bytes = 0
    this.paths.forEach((path) => {
      busyNs += path.busyNs
      bytes += path.bytes
    })
    return { busyNs, bps: busyNs > 0 ? (bytes * 8e9) / busyNs : 0 }
  }
}

class PathRate {
  private lastDepartureNs = Number.NEGATIVE_INFINITY
  private busySinceNs = 0
  busyNs = 0
  bytes = 0

  leave(enteredNs: number, leftNs: number, wireBytes: number): void {
    if (enteredNs >= this.lastDepartureNs) this.busySinceNs = leftNs
    else if (this.lastDepartureNs - this.busySinceNs >= settlingNs) {
      this.busyNs += leftNs - this.lastDepartureNs
      this.bytes += wireBytes
    }
    this.lastDepartureNs = leftNs
  }
}
