/**
 * One captured frame: where its bytes are and, once decoded, what its headers say. One object per capture is used again
 * and again, so it is valid until the reader moves on.
 */

/** No such field in this frame. */
export const absent = -1

/** Offsets are indices in `bytes`; `absent` means not there, or cut off by the snaplen. */
export class Frame {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(this.bytes.buffer)
  /** Nanoseconds since the time base; exact, and negative for frames before it. */
  timeNs = 0.5
  /** Bytes of the frame on the wire, and in the file. */
  wireLength = 0
  capLength = 0
  /** Index of the first byte of the frame and the byte after the last captured one. */
  start = 0
  end = 0
  /** LINKTYPE value (https://www.tcpdump.org/linktypes.html). */
  linkType = 0
  /** Interface number inside the file; 0 for classic pcap. */
  interfaceId = 0

  /** The outermost tag that is 802.1Q, or the outermost of all: VLAN number and priority. */
  vlan = absent
  pcp = absent
  /** How many tags the frame carries. */
  tags = 0
  etherType = absent
  /** Index of the network header. */
  network = absent

  /** 4, 6, or 0 for anything else (or an IP header that is cut off or nonsense). */
  ipVersion = 0
  dscp = absent
  ecn = 0
  /** IPv4 identification; 0 for IPv6. */
  ipId = 0
  /** Transport protocol, also in a later fragment. */
  protocol = absent
  /** True for a fragment that is not the first: it has no transport header. */
  laterFragment = false
  /** IPv4 addresses; for IPv6 the last 32 bits, the whole stands at `network` + 8 and + 24. */
  sourceAddress = 0
  destinationAddress = 0

  /** Index of the transport header; `absent` in later fragments. */
  transport = absent
  sourcePort = absent
  destinationPort = absent
  /** TCP: true when all 20 fixed bytes are there. */
  tcp = false
  sequence = 0
  acknowledgement = 0
  flags = 0
  window = 0
  /** Index of the first payload byte (it may lie beyond `end`) and the payload's length on the wire. */
  payload = absent
  payloadLength = 0
}
