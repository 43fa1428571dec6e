/**
 * Finds the flow of a frame: both directions of one pair of addresses, ports and protocol. A flow is a number; its two
 * directions are the rows 2 n (from whoever sent the first frame) and 2 n + 1 of the table of counters.
 */

import { flagAck, flagSyn, protocolTcp } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import {
  type SegmentBatch,
  segmentDestination,
  segmentFlags,
  segmentMarks,
  segmentPorts,
  segmentRow,
  segmentSource,
} from '../capture/segment-batch.js'
import { again, type Code, i32, leaveIf, loop, type WasmArena, WasmFunction, when } from '../support/wasm.js'
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

/** Sizes at first; both double when they have to. What is not used yet of the keys takes up addresses but no memory. */
const firstSlots = 1 << 15
const firstKeys = firstSlots / 2

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
  private slots: Int32Array
  private keys: Int32Array
  private finder: ((...args: number[]) => number) | undefined
  /** Flows; and how many frames of the last batch were of another flow than the one before. */
  private readonly counted: Int32Array
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

  /** Batches must come from a reader with the same arena. */
  constructor(private readonly arena: WasmArena) {
    this.slots = arena.array(Int32Array, firstSlots).fill(none)
    this.keys = arena.array(Int32Array, keyWidth * firstKeys)
    this.counted = arena.array(Int32Array, 2)
  }

  get count(): number {
    return this.counted[0]!
  }

  /** How many of the frames that `findBatch` found last were of another flow than the one before. */
  get changes(): number {
    return this.counted[1]!
  }

  /** The row of the frame's direction, or -1 for a frame that is not IP. `count` tells whether the flow is new. */
  rowOf(frame: Frame): number {
    if (frame.ipVersion === 4) return this.find(frame, frame.sourceAddress, frame.destinationAddress, 0)
    if (frame.ipVersion !== 6) return none
    const source = this.addresses.number(frame.view, frame.network + 8)
    return this.find(frame, source, this.addresses.number(frame.view, frame.network + 24), ipv6Mark)
  }

  /**
   * Writes into a batch the row of each of its frames from `first` on. Stops at a SYN of a flow that is known, since it may
   * be that of another connection; returns where.
   */
  findBatch(batch: SegmentBatch, first: number): number {
    this.finder ??= flowFinder(this.arena, batch, this.counted.byteOffset)
    this.counted[1] = 0
    for (let at = first; ; ) {
      this.makeRoom()
      at = this.finder(this.slots.byteOffset, this.slots.length - 1, this.keys.byteOffset, at, batch.count)
      if (at === batch.count || !this.isFull) return at
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
    const row = this.lookUp(source, destination, ports, protocol, marksOf(frame))
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
    this.makeRoom()
    const flow = this.count
    this.counted[0] = flow + 1
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

  private link(flow: number): void {
    const { keys, slots } = this
    const key = flow * keyWidth
    const hash = slotOf(
      keys[key + lowAddress]!,
      keys[key + highAddress]!,
      keys[key + keyPorts]!,
      keys[key + keyProtocol]!,
    )
    const slot = hash & (slots.length - 1)
    keys[key + nextInSlot] = slots[slot]!
    slots[slot] = flow
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

  /** Whether there is no room for one more flow. There are two slots for a key. */
  private get isFull(): boolean {
    return keyWidth * this.count === this.keys.length
  }

  private makeRoom(): void {
    if (!this.isFull) return
    const { arena } = this
    const larger = arena.array(Int32Array, 2 * this.keys.length)
    larger.set(this.keys)
    arena.giveBack(this.keys.byteOffset, this.keys.byteLength)
    this.keys = larger
    arena.giveBack(this.slots.byteOffset, this.slots.byteLength)
    this.slots = arena.array(Int32Array, 2 * this.slots.length).fill(none)
    for (let flow = 0; flow < this.count; flow++) {
      if (this.keys[flow * keyWidth + nextInSlot] !== unlinked) this.link(flow)
    }
  }
}

/** In place of the next flow of a slot: this one is in none. */
const unlinked = -2

function marksOf(frame: Frame): number {
  return ((frame.vlan + 1) << 16) | ((frame.pcp + 1) << 8) | (frame.dscp + 1)
}

const factors = { low: 0x9e3779b1, high: 0x85ebca77, ports: 0xc2b2ae3d, mix: 0x2545f491 } as const

function slotOf(low: number, high: number, ports: number, protocol: number): number {
  let hash =
    Math.imul(low, factors.low) ^ Math.imul(high, factors.high) ^ Math.imul(ports ^ protocol, factors.ports)
  hash ^= hash >>> 15
  hash = Math.imul(hash, factors.mix)
  return hash ^ (hash >>> 13)
}

/**
 * `lookUp` for the frames of a batch. Parameters: where the slots are, their mask (one less than twice the flows that
 * there is room for), where the keys are, and the frames to look up. Counts flows and changes at `counters`. Returns the
 * first frame that is the SYN of a flow that is known, or of a flow that there is no room for.
 */
function flowFinder(arena: WasmArena, batch: SegmentBatch, counters: number): (...args: number[]) => number {
  const code = new WasmFunction()
  const slots = code.parameter()
  const mask = code.parameter()
  const keys = code.parameter()
  const i = code.parameter()
  const count = code.parameter()
  const segment = code.local('i32')
  const source = code.local('i32')
  const destination = code.local('i32')
  const ports = code.local('i32')
  const turned = code.local('i32')
  const fromLow = code.local('i32')
  const low = code.local('i32')
  const high = code.local('i32')
  const sorted = code.local('i32')
  const hash = code.local('i32')
  const flow = code.local('i32')
  const key = code.local('i32')
  const isKnown = code.local('i32')
  // The key of the flow at hand.
  const lastLow = code.local('i32')
  const lastHigh = code.local('i32')
  const lastPorts = code.local('i32')
  const lastFlow = code.local('i32')
  const n = i32.constant
  const of = (field: number): Code => i32.load(segment.get, 4 * field)
  const ofKey = (field: number): Code => i32.load(key.get, 4 * field)
  const mixed = (bits: number): Code => i32.xor(hash.get, i32.shiftRight(hash.get, n(bits)))
  const setKey = (field: number, value: Code): Code => i32.store(key.get, 4 * field, value)
  /** `hash` is the address of the slot. */
  const insert = [
    flow.set(i32.load(n(counters))),
    leaveIf(i32.equal(flow.get, i32.shiftRight(i32.add(mask.get, n(1)), n(1))), 2),
    key.set(i32.add(keys.get, i32.multiply(flow.get, n(4 * keyWidth)))),
    setKey(lowAddress, low.get),
    setKey(highAddress, high.get),
    setKey(keyPorts, sorted.get),
    setKey(keyProtocol, n(protocolTcp)),
    setKey(nextInSlot, i32.load(hash.get)),
    setKey(openedByLow, fromLow.get),
    setKey(mark, of(segmentMarks)),
    i32.store(hash.get, 0, flow.get),
    i32.store(n(counters), 0, i32.add(flow.get, n(1))),
    isKnown.set(n(0)),
  ]
  return code.compile(
    arena,
    lastFlow.set(n(none)),
    loop(
      leaveIf(i32.atLeast(i.get, count.get)),
      segment.set(batch.rowCode(i)),
      source.set(of(segmentSource)),
      destination.set(of(segmentDestination)),
      ports.set(of(segmentPorts)),
      turned.set(i32.rotateLeft(ports.get, n(16))),
      fromLow.set(i32.less(source.get, destination.get)),
      when(i32.equal(source.get, destination.get), [
        fromLow.set(i32.atMost(i32.shiftRight(ports.get, n(16)), i32.and(ports.get, n(0xffff)))),
      ]),
      when(
        fromLow.get,
        [low.set(source.get), high.set(destination.get), sorted.set(ports.get)],
        [low.set(destination.get), high.set(source.get), sorted.set(turned.get)],
      ),
      flow.set(lastFlow.get),
      isKnown.set(n(1)),
      when(
        i32.or(
          i32.or(i32.xor(low.get, lastLow.get), i32.xor(high.get, lastHigh.get)),
          i32.or(i32.xor(sorted.get, lastPorts.get), i32.equal(lastFlow.get, n(none))),
        ),
        [
          hash.set(
            i32.xor(
              i32.xor(i32.multiply(low.get, n(factors.low)), i32.multiply(high.get, n(factors.high))),
              i32.multiply(i32.xor(sorted.get, n(protocolTcp)), n(factors.ports)),
            ),
          ),
          hash.set(i32.multiply(mixed(15), n(factors.mix))),
          hash.set(i32.add(slots.get, i32.shiftLeft(i32.and(mixed(13), mask.get), n(2)))),
          flow.set(i32.load(hash.get)),
          loop(
            leaveIf(i32.equal(flow.get, n(none))),
            key.set(i32.add(keys.get, i32.multiply(flow.get, n(4 * keyWidth)))),
            leaveIf(
              i32.equal(
                i32.or(
                  i32.or(i32.xor(ofKey(lowAddress), low.get), i32.xor(ofKey(highAddress), high.get)),
                  i32.or(i32.xor(ofKey(keyPorts), sorted.get), i32.xor(ofKey(keyProtocol), n(protocolTcp))),
                ),
                n(0),
              ),
            ),
            flow.set(ofKey(nextInSlot)),
            again,
          ),
          when(i32.equal(flow.get, n(none)), insert),
          lastLow.set(low.get),
          lastHigh.set(high.get),
          lastPorts.set(sorted.get),
          lastFlow.set(flow.get),
          i32.store(n(counters), 4, i32.add(i32.load(n(counters), 4), n(1))),
        ],
      ),
      leaveIf(
        i32.and(
          isKnown.get,
          i32.equal(i32.and(of(segmentFlags), n((flagSyn | flagAck) << 16)), n(flagSyn << 16)),
        ),
      ),
      // Row 2 n is the direction of whoever sent the first frame.
      key.set(i32.add(keys.get, i32.multiply(flow.get, n(4 * keyWidth)))),
      i32.store(
        segment.get,
        4 * segmentRow,
        i32.or(i32.shiftLeft(flow.get, n(1)), i32.xor(ofKey(openedByLow), fromLow.get)),
      ),
      i.set(i32.add(i.get, n(1))),
      again,
    ),
    i.get,
  )
}
