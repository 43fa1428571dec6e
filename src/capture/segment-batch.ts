/**
 * The next frames of a capture as rows of numbers, as long as they are what nearly all frames of a bulk transfer are:
 * Ethernet with at most one 802.1Q tag, IPv4 without options or fragments, TCP without SYN. Whatever is anything else
 * ends a batch and goes through `decode` alone; a row says what `decode` would say of its frame.
 *
 * Frames in batches let each step of an analysis be a short loop of its own: the compiler gets each of them right within
 * milliseconds, and the processor fetches the state of many flows at a time.
 */

import { decode, flagSyn, linkEthernet, protocolTcp } from './decode.js'
import type { Frame } from './frame.js'
import { Window } from './window.js'

/** Frames in a batch: few enough that the rows stay in the first-level cache. */
export const batchFrames = 256

/** Integers per frame: one cache line. */
export const segmentWidth = 16
// What they are. Indices of bytes belong to the window that the batch was gathered from.
export const segmentStart = 0
export const segmentEnd = 1
export const segmentWireLength = 2
/** VLAN number, PCP and DSCP, each one more than its value so that 0 is `absent`, in 16, 8 and 8 bits. */
export const segmentMarks = 3
export const segmentSource = 4
export const segmentDestination = 5
/** Source port in the upper 16 bits. */
export const segmentPorts = 6
export const segmentSequence = 7
export const segmentAcknowledgement = 8
/** Kind of options in the upper 4 bits, flags in the next 12, window in the lower 16. */
export const segmentFlags = 9
export const segmentPayload = 10
/** Time stamp and echo, if the options are of kind `optionsStamps`. */
export const segmentStamp = 11
export const segmentEcho = 12
/** Left to whoever uses the batch. */
export const segmentRow = 13

/** No options, or none that was captured whole. */
export const optionsNone = 0
/** Two pads and time stamps: the options of nearly every segment (RFC 7323 appendix A). */
export const optionsStamps = 1
export const optionsOther = 2

/** Pad, pad, kind 8, length 10. */
export const paddedStamps = 0x0101080a

const typeTagged = 0x8100
const typeIpv4 = 0x0800
const ipBytes = 20
const tcpBytes = 20
const shortest = 14 + ipBytes + tcpBytes

export class SegmentBatch {
  count = 0
  private window = new Window()
  readonly timeNs = new Float64Array(batchFrames)
  readonly fields = new Int32Array(segmentWidth * batchFrames)

  /** Empties the batch; what is `put` from here on lies in `window`. */
  begin(window: Window): void {
    this.count = 0
    this.window = window
  }

  /**
   * Writes the row of the frame at `start..end` of `view`, which is Ethernet; false if it is not of the kind that goes
   * into batches. The caller writes the time and counts.
   */
  put(view: DataView, start: number, end: number, wireLength: number): boolean {
    if (end - start < shortest || wireLength < 0) return false
    const typeAndTag = view.getInt32(start + 12)
    let network = start + 14
    let tag = 0
    if (typeAndTag >>> 16 === typeTagged) {
      network = start + 18
      if (end - network < ipBytes + tcpBytes || view.getUint16(start + 16) !== typeIpv4) return false
      tag = (((typeAndTag & 0xfff) + 1) << 16) | ((((typeAndTag >>> 13) & 7) + 1) << 8)
    } else if (typeAndTag >>> 16 !== typeIpv4) return false
    const first = view.getInt32(network)
    const transport = network + ipBytes
    const flags = view.getInt32(transport + 12)
    const headerBytes = (flags >>> 26) & 60
    const total = first & 0xffff
    const payload = total - ipBytes - headerBytes
    if (
      first >>> 24 !== 0x45 ||
      (view.getInt32(network + 4) & 0x1fff) !== 0 ||
      view.getUint8(network + 9) !== protocolTcp ||
      (flags & (flagSyn << 16)) !== 0 ||
      headerBytes < tcpBytes ||
      payload < 0 ||
      total > wireLength - (network - start)
    ) {
      return false
    }
    const fields = this.fields
    const at = segmentWidth * this.count
    let options = optionsNone
    if (headerBytes > tcpBytes) {
      options = optionsOther
      if (headerBytes === tcpBytes + 12 && transport + headerBytes <= end) {
        if (view.getInt32(transport + tcpBytes) === paddedStamps) {
          options = optionsStamps
          fields[at + segmentStamp] = view.getInt32(transport + 24)
          fields[at + segmentEcho] = view.getInt32(transport + 28)
        }
      }
    }
    fields[at + segmentStart] = start
    fields[at + segmentEnd] = end
    fields[at + segmentWireLength] = wireLength
    fields[at + segmentMarks] = tag | (((first >>> 18) & 63) + 1)
    fields[at + segmentSource] = view.getInt32(network + 12)
    fields[at + segmentDestination] = view.getInt32(network + 16)
    fields[at + segmentPorts] = view.getInt32(transport)
    fields[at + segmentSequence] = view.getInt32(transport + 4)
    fields[at + segmentAcknowledgement] = view.getInt32(transport + 8)
    fields[at + segmentFlags] = (options << 28) | (flags & 0x0fff_ffff)
    fields[at + segmentPayload] = payload
    return true
  }

  /** Decodes frame `i` of the batch into `frame`. */
  show(i: number, frame: Frame): void {
    const { window } = this
    const at = segmentWidth * i
    const start = this.fields[at + segmentStart]!
    const end = this.fields[at + segmentEnd]!
    frame.bytes = window.bytes
    frame.view = window.view
    frame.linkType = linkEthernet
    frame.start = start
    frame.end = end
    frame.capLength = end - start
    frame.wireLength = this.fields[at + segmentWireLength]!
    frame.timeNs = this.timeNs[i]!
    decode(frame)
  }
}
