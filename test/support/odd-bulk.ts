/**
 * Bulk transfers that are like most of their kind but for their options, their round trips (from a microsecond to many
 * seconds), pauses with data in flight, clocks that step back, ports that are used again, and headers that are cut off.
 */

import { random } from '../../src/support/random.js'
import { be16, be32, type CapturedFrame, join, payload, stampOptions, tcpFrame } from './pcap-builder.js'

export interface OddBulk {
  readonly frames: readonly CapturedFrame[]
  /** Blocks of SACK in options that were captured whole. */
  readonly sackBlocks: number
}

/** `turns` turns of `flows` flows: one to four segments of data, an acknowledgement of some of them, or a repeated one. */
export function oddBulk(seed: number, flows: number, turns: number): OddBulk {
  const draw = random(seed)
  const frames: CapturedFrame[] = []
  let atNs = 10e9
  let sackBlocks = 0
  const senders = Array.from({ length: flows }, (_, i) => ({
    port: 40_000 + i,
    next: 0,
    acked: 0,
    opened: false,
  }))
  const emit = (bytes: Uint8Array, captured = bytes.length): void => {
    const dice = draw.below(2000)
    if (dice === 0) atNs += 5e9
    else if (dice === 1) atNs -= 3e6
    else atNs += 1000 * draw.below(dice < 40 ? 300_000 : 30)
    frames.push({ atNs, bytes, captured })
  }
  for (let turn = 0; turn < turns; turn++) {
    const sender = senders[draw.below(flows)]!
    const there = { sourcePort: sender.port, destinationPort: 5000 }
    const back = {
      source: '10.0.0.2',
      destination: '10.0.0.1',
      sourcePort: 5000,
      destinationPort: sender.port,
    }
    if (!sender.opened || draw.below(500) === 0) {
      sender.opened = true
      sender.next = draw.uint32()
      emit(tcpFrame({ ...there, sequence: sender.next, acknowledgement: 0, flags: 2 }))
      sender.next = (sender.next + 1) >>> 0
      sender.acked = sender.next
      emit(tcpFrame({ ...back, sequence: 0, acknowledgement: sender.next, flags: 18 }))
      emit(tcpFrame({ ...there, sequence: sender.next }))
    }
    for (let i = draw.below(4); i >= 0; i--) {
      const length = 2 + draw.below(50)
      const bytes = tcpFrame({
        ...there,
        sequence: sender.next,
        options: stamps(atNs),
        payload: payload(length, turn),
      })
      emit(bytes, draw.below(300) === 0 ? 40 : bytes.length)
      sender.next = (sender.next + length) >>> 0
    }
    const open = (sender.next - sender.acked) >>> 0
    const isRepeated = draw.below(3) === 0
    if (!isRepeated) sender.acked = (sender.acked + draw.below(open + 1)) >>> 0
    const blocks = isRepeated ? draw.below(4) : 0
    const order = draw.below(5)
    const options = ackOptions(order, blocks, atNs)
    const bytes = tcpFrame({ ...back, acknowledgement: sender.acked, options })
    const isCut = draw.below(50) === 0
    if (!isCut || order === sackFirst) sackBlocks += blocks
    emit(bytes, isCut ? bytes.length - 4 : bytes.length)
  }
  return { frames, sackBlocks }
}

/** An order of options. */
const sackFirst = 1

/** Time stamps and SACK in the order of most senders, in another one, or only one of them. */
function ackOptions(order: number, blocks: number, nowNs: number): Uint8Array {
  const sack =
    blocks === 0
      ? new Uint8Array(0)
      : join(Uint8Array.of(1, 1, 5, 2 + 8 * blocks), ...Array.from({ length: 2 * blocks }, (_, i) => be32(i)))
  if (order === 0) return sack
  if (order === sackFirst) return join(sack, stamps(nowNs))
  if (order === 2 && blocks === 0) return join(Uint8Array.of(1, 1, 1, 1, 1, 1), be16(0x0402))
  return join(stamps(nowNs), sack)
}

function stamps(nowNs: number): Uint8Array {
  return stampOptions(Math.floor(nowNs / 1e6), Math.floor(nowNs / 1e6) - 1)
}
