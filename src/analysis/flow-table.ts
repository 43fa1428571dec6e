/**
 * Finds the flow of a frame: both directions of one pair of addresses, ports and protocol. A flow is a number; its two
 * directions are the rows 2 n (from whoever sent the first frame) and 2 n + 1 of the table of counters.
 */

import { protocolTcp } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import {
  type SegmentBatch,
  segmentDestination,
  segmentMarks,
  segmentPorts,
  segmentRow,
  segmentSource,
  segmentWidth,
} from '../capture/segment-batch.js'
import { AddressBook, formatIpv4 } from './addresses.js'

const none = -1
const ipv6Mark = 0x100

// One flow in `keys`.
const lowAddress = 0
const highAddress = 1
const keyPorts = 2
const keyProtocol = 3
const nextInSlot = 4
/** Whether the end with the lower address sent the first frame; and the marks of that frame. */
const openedByLow = 5
const mark = 6
const keyWidth = 8

/** Who talks with whom. `a` sent the first frame. */
export interface FlowName {
  readonly protocol: number
  readonly aAddress: string
  readonly aPort: number
  readonly bAddress: string
  readonly bPort: number
  /** Marks of the first frame; `absent` as in frames. */
  readonly vlan: number
  readonly pcp: number
  readonly dscp: number
}

export class FlowTable {
  count = 0
  private slots = new Int32Array(1 << 12).fill(none)
  private keys = new Int32Array(keyWidth << 6)
  private readonly addresses = new AddressBook()
  // The key of the frame at hand.
  private low = 0
  private high = 0
  private ports = 0
  private protocol = 0
  private fromLow = true
  // The frame before it, which is often of the same flow.
  private lastSource = 0
  private lastDestination = 0
  private lastPorts = 0
  private lastProtocol = none
  private lastRow = none

  /** The row of the frame's direction, or -1 for a frame that is not IP. `count` tells whether the flow is new. */
  rowOf(frame: Frame): number {
    if (frame.ipVersion === 4) return this.find(frame, frame.sourceAddress, frame.destinationAddress, 0)
    if (frame.ipVersion !== 6) return none
    const source = this.addresses.number(frame.view, frame.network + 8)
    return this.find(frame, source, this.addresses.number(frame.view, frame.network + 24), ipv6Mark)
  }

  /** Writes into a batch the row of each of its frames. */
  findBatch(batch: SegmentBatch): void {
    const { count, fields } = batch
    for (let i = 0; i < count; i++) {
      const at = segmentWidth * i
      const source = fields[at + segmentSource]!
      const destination = fields[at + segmentDestination]!
      const ports = fields[at + segmentPorts]!
      const isTcp = this.lastProtocol === protocolTcp
      if (
        isTcp &&
        ports === this.lastPorts &&
        source === this.lastSource &&
        destination === this.lastDestination
      ) {
        fields[at + segmentRow] = this.lastRow
      } else if (
        isTcp &&
        ((ports << 16) | (ports >>> 16)) === this.lastPorts &&
        source === this.lastDestination &&
        destination === this.lastSource
      ) {
        fields[at + segmentRow] = this.lastRow ^ 1
      } else {
        fields[at + segmentRow] = this.turnTo(
          source,
          destination,
          ports,
          protocolTcp,
          fields[at + segmentMarks]!,
        )
      }
    }
  }

  /** Makes a new flow of the frame that `rowOf` was last asked for; it takes the place of the one it has the key of. */
  reopen(frame: Frame): number {
    this.unlink()
    return this.insert(marksOf(frame))
  }

  name(flow: number): FlowName {
    const [low = 0, high = 0, ports = 0, protocol = 0, , byLow = 0, marks = 0] = this.keys.subarray(
      flow * keyWidth,
      (flow + 1) * keyWidth,
    )
    const text = (address: number): string =>
      (protocol & ipv6Mark) === 0 ? formatIpv4(address) : this.addresses.text(address)
    return {
      protocol: protocol & 0xff,
      aAddress: text(byLow === 1 ? low : high),
      aPort: byLow === 1 ? ports >>> 16 : ports & 0xffff,
      bAddress: text(byLow === 1 ? high : low),
      bPort: byLow === 1 ? ports & 0xffff : ports >>> 16,
      vlan: (marks >> 16) - 1,
      pcp: ((marks >> 8) & 0xff) - 1,
      dscp: (marks & 0xff) - 1,
    }
  }

  private find(frame: Frame, source: number, destination: number, family: number): number {
    const ports = frame.sourcePort === none ? 0 : (frame.sourcePort << 16) | frame.destinationPort
    const protocol = frame.protocol | family
    if (
      ports === this.lastPorts &&
      source === this.lastSource &&
      destination === this.lastDestination &&
      protocol === this.lastProtocol
    ) {
      return this.lastRow
    }
    return this.turnTo(source, destination, ports, protocol, marksOf(frame))
  }

  /** Another flow than that of the frame before: finds it, and remembers it for the next. */
  private turnTo(
    source: number,
    destination: number,
    ports: number,
    protocol: number,
    marks: number,
  ): number {
    const row = this.lookUp(source, destination, ports, protocol, marks)
    this.lastSource = source
    this.lastDestination = destination
    this.lastPorts = ports
    this.lastProtocol = protocol
    this.lastRow = row
    return row
  }

  private lookUp(
    source: number,
    destination: number,
    ports: number,
    protocol: number,
    marks: number,
  ): number {
    const fromLow = source === destination ? ports >>> 16 <= (ports & 0xffff) : source < destination
    const low = fromLow ? source : destination
    const high = fromLow ? destination : source
    const sorted = fromLow ? ports : (ports << 16) | (ports >>> 16)
    this.fromLow = fromLow
    this.low = low
    this.high = high
    this.ports = sorted
    this.protocol = protocol
    const keys = this.keys
    let at = this.slots[slotOf(low, high, sorted, protocol) & (this.slots.length - 1)]!
    while (at !== none) {
      const key = at * keyWidth
      if (
        keys[key + keyPorts] === sorted &&
        keys[key + lowAddress] === low &&
        keys[key + highAddress] === high &&
        keys[key + keyProtocol] === protocol
      ) {
        return 2 * at + (keys[key + openedByLow] === (fromLow ? 1 : 0) ? 0 : 1)
      }
      at = keys[key + nextInSlot]!
    }
    return this.insert(marks)
  }

  private insert(marks: number): number {
    const flow = this.count++
    if (this.count * keyWidth > this.keys.length) {
      const larger = new Int32Array(2 * this.keys.length)
      larger.set(this.keys)
      this.keys = larger
    }
    if (this.count > this.slots.length / 2) this.growSlots(flow)
    const key = flow * keyWidth
    this.keys[key + lowAddress] = this.low
    this.keys[key + highAddress] = this.high
    this.keys[key + keyPorts] = this.ports
    this.keys[key + keyProtocol] = this.protocol
    this.keys[key + openedByLow] = this.fromLow ? 1 : 0
    this.keys[key + mark] = marks
    this.link(flow)
    this.lastProtocol = none
    return 2 * flow
  }

  private slotOf(flow: number): number {
    const [low = 0, high = 0, ports = 0, protocol = 0] = this.keys.subarray(
      flow * keyWidth,
      flow * keyWidth + 4,
    )
    return slotOf(low, high, ports, protocol) & (this.slots.length - 1)
  }

  private link(flow: number): void {
    const slot = this.slotOf(flow)
    this.keys[flow * keyWidth + nextInSlot] = this.slots[slot]!
    this.slots[slot] = flow
  }

  /** Takes the flow with the key at hand out of its slot; it keeps its number and its counters. */
  private unlink(): void {
    const { keys, slots } = this
    const slot = slotOf(this.low, this.high, this.ports, this.protocol) & (slots.length - 1)
    let before = none
    for (let at = slots[slot]!; at !== none; at = keys[at * keyWidth + nextInSlot]!) {
      const key = at * keyWidth
      const same =
        keys[key + keyPorts] === this.ports &&
        keys[key + lowAddress] === this.low &&
        keys[key + highAddress] === this.high &&
        keys[key + keyProtocol] === this.protocol
      if (same) {
        if (before === none) slots[slot] = keys[key + nextInSlot]!
        else keys[before * keyWidth + nextInSlot] = keys[key + nextInSlot]!
        keys[key + nextInSlot] = unlinked
        return
      }
      before = at
    }
  }

  private growSlots(flows: number): void {
    this.slots = new Int32Array(2 * this.slots.length).fill(none)
    for (let flow = 0; flow < flows; flow++) {
      if (this.keys[flow * keyWidth + nextInSlot] !== unlinked) this.link(flow)
    }
  }
}

/** In place of the next flow of a slot: this one is in none. */
const unlinked = -2

function marksOf(frame: Frame): number {
  return ((frame.vlan + 1) << 16) | ((frame.pcp + 1) << 8) | (frame.dscp + 1)
}

function slotOf(low: number, high: number, ports: number, protocol: number): number {
  let hash =
    Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca77) ^ Math.imul(ports ^ protocol, 0xc2b2ae3d)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2545f491)
  return hash ^ (hash >>> 13)
}
