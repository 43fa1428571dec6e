/** A network on paper between two capture points: what it did to each frame is known, and written down. */

import { type Random, random } from '../../src/support/random.js'
import { be32, type CapturedFrame, join, payload, tcpFrame, udpFrame } from './pcap-builder.js'

export interface NetworkOptions {
  readonly frames: number
  readonly seed: number
  readonly lossRatio?: number
  readonly duplicateRatio?: number
  /** Share of frames that are overtaken by the next one of their flow. */
  readonly reorderRatio?: number
  /** Share of frames that are sent again, byte for byte. */
  readonly repeatRatio?: number
  /** The second point carries other marks. */
  readonly rewrite?: boolean
  /** How far the second clock is ahead. */
  readonly offsetNs?: number
  readonly bothWays?: boolean
  readonly payloadBytes?: number
}

export interface Truth {
  readonly a: CapturedFrame[]
  readonly b: CapturedFrame[]
  readonly lost: number
  readonly duplicated: number
  readonly reordered: number
  readonly sent: number
}

const delayNs = 200_000
const gapNs = 50_000
const flowCount = 7

export function network(options: NetworkOptions): Truth {
  const draw = random(options.seed)
  const a: CapturedFrame[] = []
  const b: CapturedFrame[] = []
  const truth = { lost: 0, duplicated: 0, reordered: 0, sent: 0 }
  const held = new Map<number, CapturedFrame>()
  for (let i = 0; truth.sent < options.frames; i++) {
    const flow = draw.below(flowCount)
    const back = options.bothWays === true && draw.below(4) === 0
    const copies = chance(draw, options.repeatRatio) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      truth.sent++
      const sentNs = truth.sent * gapNs
      const [first, second] = back ? [b, a] : [a, b]
      const [ahead, behind] = back ? [options.offsetNs ?? 0, 0] : [0, options.offsetNs ?? 0]
      first.push({ atNs: sentNs + ahead, bytes: frame(flow, i, back, false, options) })
      if (chance(draw, options.lossRatio)) {
        truth.lost++
        continue
      }
      const arrivedNs = sentNs + delayNs + draw.below(20_000) + behind
      const arrival = { atNs: arrivedNs, bytes: frame(flow, i, back, options.rewrite === true, options) }
      const overtaken = held.get(back ? -flow - 1 : flow)
      held.delete(back ? -flow - 1 : flow)
      if (overtaken === undefined && copies === 1 && chance(draw, options.reorderRatio)) {
        held.set(back ? -flow - 1 : flow, arrival)
        continue
      }
      second.push(arrival)
      if (overtaken) {
        second.push({ atNs: arrivedNs + 1000, bytes: overtaken.bytes })
        truth.reordered++
      }
      if (copies === 1 && chance(draw, options.duplicateRatio)) {
        second.push({ atNs: arrivedNs + 2000, bytes: arrival.bytes })
        truth.duplicated++
      }
    }
  }
  // What is still held was overtaken by nobody: it arrives last, in order.
  for (const [flow, arrival] of held) {
    const last = (flow < 0 ? a : b).at(-1)?.atNs ?? 0
    ;(flow < 0 ? a : b).push({ atNs: Math.max(arrival.atNs, last + 1), bytes: arrival.bytes })
  }
  return { a: inOrder(a), b: inOrder(b), ...truth }
}

function inOrder(frames: readonly CapturedFrame[]): CapturedFrame[] {
  return frames.toSorted((one, other) => one.atNs - other.atNs)
}

/** Frames 0, 1, 2... of each flow differ; the same number gives the same frame. */
function frame(
  flow: number,
  number: number,
  back: boolean,
  rewritten: boolean,
  options: NetworkOptions,
): Uint8Array {
  const mark = rewritten
    ? { tags: [{ vlan: 300 + flow, pcp: 1 }], dscp: 8, ttl: 61, sourceMac: '02:00:00:00:00:77' }
    : { tags: [{ vlan: 100, pcp: flow }], dscp: 8 * flow, ttl: 64 }
  const ends = back
    ? { source: '10.0.0.2', destination: '10.0.0.1', sourcePort: 5000 + flow, destinationPort: 40_000 }
    : { sourcePort: 40_000, destinationPort: 5000 + flow }
  const size = options.payloadBytes ?? 40
  if (flow % 2 === 0) return udpFrame({ ...mark, ...ends, payload: join(be32(number), payload(size, flow)) })
  return tcpFrame({
    ...mark,
    ...ends,
    ipId: number & 0xffff,
    sequence: number * size,
    payload: payload(size, flow),
  })
}

function chance(draw: Random, ratio = 0): boolean {
  return draw.unit() < ratio
}
