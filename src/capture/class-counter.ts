/** Counts frames and bytes per PCP and DSCP of whole Ethernet frames. */

import { absent } from './frame.js'
import { WholeFrame } from './whole-frame.js'

const pcps = 8
const dscps = 64

/** Frames of one kind. */
export interface ClassCount {
  /** 0..7; null for an untagged frame. */
  readonly pcp: number | null
  /** 0..63; null for what is not IP. */
  readonly dscp: number | null
  readonly frames: number
  /** Whole frames, tag and Ethernet header included. */
  readonly bytes: number
}

export class ClassCounter {
  frames = 0
  private readonly whole = new WholeFrame()
  /** One row per PCP and one for untagged, one column per DSCP and one for what is not IP. */
  private readonly counts = new Float64Array((pcps + 1) * (dscps + 1))
  private readonly bytes = new Float64Array((pcps + 1) * (dscps + 1))

  /** Counts the frame in the first `length` bytes. */
  add(bytes: Uint8Array, length: number): void {
    const frame = this.whole.decoded(bytes, length)
    const row = frame.pcp === absent ? pcps : frame.pcp
    const column = frame.dscp === absent ? dscps : frame.dscp
    const at = row * (dscps + 1) + column
    this.frames++
    this.counts[at] = this.counts[at]! + 1
    this.bytes[at] = this.bytes[at]! + length
  }

  /** What came since the last call, in order of PCP and DSCP. */
  take(): ClassCount[] {
    const rows: ClassCount[] = []
    for (const [at, frames] of this.counts.entries()) {
      if (frames === 0) continue
      const row = Math.floor(at / (dscps + 1))
      const column = at % (dscps + 1)
      rows.push({
        pcp: row === pcps ? null : row,
        dscp: column === dscps ? null : column,
        frames,
        bytes: this.bytes[at]!,
      })
    }
    this.counts.fill(0)
    this.bytes.fill(0)
    return rows
  }
}
