/**
 * Connections that are begun in every way: options in any order, damaged, cut off or none, SYNs that are lost, repeated,
 * late or carry data, ports that are used again, and first data that are short, empty-looking or a protocol's magic.
 */

import { random } from '../../src/support/random.js'
import { be16, be32, type CapturedFrame, join, payload, stampOptions, tcpFrame } from './pcap-builder.js'

const synOnly = 0x02
const synAck = 0x12

/** First four bytes of a migration: Pagewire's, QEMU's. */
const magics = [0x50475752, 0x5145564d]

/** `connections` one after the other, on so few ports that some meet again, with and without a VLAN tag. */
export function oddOpenings(seed: number, connections: number): CapturedFrame[] {
  const draw = random(seed)
  const chance = (of: number): boolean => draw.below(of) === 0
  const frames: CapturedFrame[] = []
  let atNs = 10e9
  const emit = (bytes: Uint8Array): void => {
    atNs += 1000 * draw.below(500)
    const captured = chance(8) ? 38 + draw.below(bytes.length - 37) : bytes.length
    frames.push({ atNs, bytes, captured: Math.min(captured, bytes.length) })
  }
  for (let i = 0; i < connections; i++) {
    const tags = chance(2) ? [{ vlan: draw.below(4), pcp: draw.below(8) }] : []
    const port = 40_000 + draw.below(Math.ceil(connections / 2))
    const there = { tags, sourcePort: port, destinationPort: 5000 }
    const back = {
      ...there,
      source: '10.0.0.2',
      destination: '10.0.0.1',
      sourcePort: 5000,
      destinationPort: port,
    }
    const ours = draw.uint32()
    const theirs = draw.uint32()
    const open = (): void =>
      emit(
        tcpFrame({
          ...there,
          sequence: ours,
          acknowledgement: chance(10) ? draw.uint32() : 0,
          flags: synOnly | (chance(20) ? 1 << draw.below(8) : 0),
          window: draw.below(65_536),
          options: synOptions(),
          payload: payload(chance(12) ? 10 : 0, i),
        }),
      )
    const answer = (): void =>
      emit(
        tcpFrame({
          ...back,
          sequence: chance(10) ? draw.uint32() : theirs,
          acknowledgement: ours + 1 + (chance(15) ? draw.below(3000) : 0),
          flags: synAck,
          window: draw.below(65_536),
          options: synOptions(),
        }),
      )
    if (!chance(10)) open()
    if (chance(10)) open()
    if (!chance(10)) answer()
    if (chance(10)) answer()
    if (!chance(5))
      emit(tcpFrame({ ...there, sequence: ours + 1, acknowledgement: theirs + 1, options: stamps() }))
    if (chance(10)) answer()
    let next = ours + 1
    for (let n = draw.below(4); n >= 0; n--) {
      const length = chance(4) ? draw.below(6) : 40
      const body = payload(length, n)
      if (length >= 4 && chance(4)) body.set(be32(magics[draw.below(2)]!))
      const options = chance(3) ? new Uint8Array(0) : stamps()
      emit(tcpFrame({ ...there, sequence: next, acknowledgement: theirs + 1, options, payload: body }))
      next += length
      if (chance(3))
        emit(tcpFrame({ ...back, sequence: theirs + 1, acknowledgement: next, payload: payload(30, n) }))
    }
    if (chance(20)) open()
  }
  return frames

  function stamps(): Uint8Array {
    return stampOptions(Math.floor(atNs / 1e6), Math.floor(atNs / 1e6) - draw.below(3))
  }

  /** As senders write them, or any kinds and lengths in any order. */
  function synOptions(): Uint8Array {
    if (chance(8)) return new Uint8Array(0)
    if (chance(4)) return stamps()
    const usual = [
      join(Uint8Array.of(2, 4), be16(500 + draw.below(9000))),
      Uint8Array.of(3, 3, draw.below(20)),
      Uint8Array.of(4, 2),
      join(Uint8Array.of(8, 10), be32(Math.floor(atNs / 1e6)), be32(draw.below(2) * draw.uint32())),
      Uint8Array.of(1),
      Uint8Array.of(5, 10, 0, 0, 0, 1, 0, 0, 0, 9),
    ]
    const parts: Uint8Array[] = []
    for (let n = draw.below(6); n >= 0; n--) {
      if (chance(12)) parts.push(Uint8Array.of(draw.below(10), draw.below(14)))
      else parts.push(usual[draw.below(usual.length)]!)
    }
    const all = join(...parts).subarray(0, 40)
    return join(all, new Uint8Array(-all.length & 3))
  }
}
