/** Decodes Ethernet frames that are in memory as a whole, one after the other: from a card, or on their way to one. */

import { decode, linkEthernet } from './decode.js'
import { Frame } from './frame.js'

export class WholeFrame {
  private readonly frame = new Frame()

  constructor() {
    this.frame.linkType = linkEthernet
  }

  /** The frame in the first `length` bytes, decoded; good until the next call. */
  decoded(bytes: Uint8Array, length: number): Frame {
    const { frame } = this
    if (frame.bytes !== bytes) {
      frame.bytes = bytes
      frame.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    frame.end = length
    frame.capLength = length
    frame.wireLength = length
    decode(frame)
    return frame
  }
}
