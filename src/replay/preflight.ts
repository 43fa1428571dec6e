/** What a replay would put on the wire, found out without sending: the file is gone through once. */

import { linkEthernet } from '../capture/decode.js'
import { absent } from '../capture/frame.js'
import type { CaptureProblem } from '../capture/record-scanner.js'
import { WholeFrame } from '../capture/whole-frame.js'
import { type Pace, Pacing } from './pacing.js'
import { ethernetHeaderBytes, tagBytes } from './rewrite.js'
import { eachFrame, type ReplayContent } from './source.js'

/** Frames of one mark, as they would be sent. */
export interface ReplayClass {
  readonly vlan: number | null
  readonly pcp: number | null
  /** Null: not IP. */
  readonly dscp: number | null
  readonly frames: number
  readonly bytes: number
}

export interface Preflight {
  /** Frames that pass the filter, whether they can be sent or not. */
  readonly frames: number
  /** Whole frames as sent, without FCS; like all the figures below for one pass, of frames that can be sent. */
  readonly bytes: number
  /** From the first frame to the last one, at the wanted pace. */
  readonly durationNs: number
  readonly classes: readonly ReplayClass[]
  /** Longer than the device can send. */
  readonly tooLong: number
  /** Too little of them captured to have an Ethernet header. */
  readonly tooShort: number
  /** Of other links than Ethernet. */
  readonly notEthernet: number
  /** Shortened by the snaplen: sent at full length, with zeros for what is missing. */
  readonly cut: number
  /** Why the file ends early, if it does. */
  readonly problem: CaptureProblem | undefined
}

/** The longest frame that a device of this MTU sends; Linux lets a frame with an 802.1Q tag be four bytes longer. */
export function fitsMtu(bytes: Uint8Array, length: number, mtuBytes: number): boolean {
  const tagged = bytes[12] === 0x81 && bytes[13] === 0
  return length <= mtuBytes + ethernetHeaderBytes + (tagged ? tagBytes : 0)
}

/** Goes through the file. Throws as `openCapture` does. */
export async function preflight(content: ReplayContent, pace: Pace, mtuBytes: number): Promise<Preflight> {
  const pacing = new Pacing(pace)
  const classes = new Classes()
  const totals = { frames: 0, bytes: 0, durationNs: 0, tooLong: 0, tooShort: 0, notEthernet: 0, cut: 0 }
  const problem = await eachFrame(content, (frame, bytes, length) => {
    totals.frames++
    if (frame.linkType !== linkEthernet) totals.notEthernet++
    else if (length === 0) totals.tooShort++
    else if (!fitsMtu(bytes, length, mtuBytes)) totals.tooLong++
    else {
      totals.bytes += length
      totals.durationNs = pacing.due(frame.timeNs, length)
      if (frame.capLength < frame.wireLength) totals.cut++
      classes.add(bytes, length)
    }
    return true
  })
  return { ...totals, classes: classes.rows(), problem }
}

class Classes {
  private readonly whole = new WholeFrame()
  private readonly byMark = new Map<number, { frames: number; bytes: number }>()

  add(bytes: Uint8Array, length: number): void {
    const frame = this.whole.decoded(bytes, length)
    const mark = ((frame.vlan + 1) << 12) | ((frame.pcp + 1) << 8) | (frame.dscp + 1)
    const row = this.byMark.get(mark)
    if (row) {
      row.frames++
      row.bytes += length
    } else this.byMark.set(mark, { frames: 1, bytes: length })
  }

  rows(): ReplayClass[] {
    const known = (value: number): number | null => (value === absent ? null : value)
    return [...this.byMark]
      .map(([mark, { frames, bytes }]) => ({
        vlan: known((mark >> 12) - 1),
        pcp: known(((mark >> 8) & 15) - 1),
        dscp: known((mark & 0xff) - 1),
        frames,
        bytes,
      }))
      .toSorted((a, b) => b.bytes - a.bytes)
  }
}
