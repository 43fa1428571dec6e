/**
 * What the compiled loop over the segments of a batch keeps of the one at hand, and steps that several of its parts take:
 * locals of one function, and code that reads and writes the rows of its two directions.
 */

import {
  ipBytes,
  type SegmentBatch,
  segmentAcknowledgement,
  segmentFlags,
  segmentMarks,
  segmentPayload,
  segmentRow,
  segmentSequence,
  segmentStart,
} from '../capture/segment-batch.js'
import { type Code, f64, i32, type Local, swapped, type WasmFunction, when } from '../support/wasm.js'
import * as tcp from './tcp-row.js'

/** Sets the addresses of a direction's row and of the other one's, as code; `rows` is where they all begin. */
export function findRows({
  rows,
  row,
  own,
  other,
}: Readonly<Record<'rows' | 'row' | 'own' | 'other', Local>>) {
  const address = (number: Code): Code =>
    i32.add(rows.get, i32.shiftLeft(number, i32.constant(Math.log2(tcp.rowBytes))))
  return [own.set(address(row.get)), other.set(address(i32.xor(row.get, i32.constant(1))))]
}

export type SegmentRegisters = ReturnType<typeof segmentRegisters>

/** Parameters of the function are where the rows begin, where those of the other table do, and which segments to take. */
export function segmentRegisters(code: WasmFunction, batch: SegmentBatch) {
  const rows = code.parameter()
  const rareRows = code.parameter()
  const i = code.parameter()
  const end = code.parameter()
  const segment = code.local('i32')
  const row = code.local('i32')
  /** Rows of the segment's direction and of the other one. */
  const own = code.local('i32')
  const other = code.local('i32')
  const sequence = code.local('i32')
  const acknowledgement = code.local('i32')
  const length = code.local('i32')
  const flags = code.local('i32')
  const options = code.local('i32')
  const window = code.local('i32')
  const after = code.local('i32')
  const now = code.local('f64')
  const transport = code.local('i32')
  // For short use.
  const scratch = code.local('i32')
  const at = code.local('i32')
  const ns = code.local('f64')
  /** A time stamp and its echo, before `readStamps`. */
  const value = code.local('i32')
  const echo = code.local('i32')
  const n = i32.constant
  const of = (field: number): Code => i32.load(segment.get, 4 * field)
  const read = (at: Local, field: number): Code => i32.load(at.get, 4 * field)
  const write = (at: Local, field: number, value: Code): Code => i32.store(at.get, 4 * field, value)
  const readNs = (at: Local, field: number): Code => f64.load(at.get, 8 * field)
  const writeNs = (at: Local, field: number, value: Code): Code => f64.store(at.get, 8 * field, value)
  const raise = (at: Local, field: number, by: Code): Code => write(at, field, i32.add(read(at, field), by))
  const raiseNs = (at: Local, field: number, by: Code): Code =>
    writeNs(at, field, f64.add(readNs(at, field), by))
  const has = (a: Code, bits: number): Code => i32.and(a, n(bits))
  const rareRow = i32.add(rareRows.get, i32.multiply(row.get, n(tcp.rareRowBytes)))
  const otherRareRow = i32.add(rareRows.get, i32.multiply(i32.xor(row.get, n(1)), n(tcp.rareRowBytes)))
  /** The word at an address in network order. */
  const big = (address: Code, offset = 0): Code => [scratch.set(i32.load(address, offset)), swapped(scratch)]

  const load = [
    segment.set(batch.rowCode(i)),
    row.set(of(segmentRow)),
    findRows({ rows, row, own, other }),
    sequence.set(of(segmentSequence)),
    acknowledgement.set(of(segmentAcknowledgement)),
    length.set(of(segmentPayload)),
    flags.set(of(segmentFlags)),
    options.set(i32.shiftRight(flags.get, n(28))),
    window.set(has(flags.get, 0xffff)),
    after.set(i32.add(sequence.get, length.get)),
    now.set(batch.timeCode(i)),
  ]
  // Only one 802.1Q tag can be between the Ethernet header and IP; VLAN 0 is marked as 1.
  const findTransport = transport.set(
    i32.add(
      i32.add(of(segmentStart), n(14 + ipBytes)),
      i32.shiftLeft(i32.unequal(i32.shiftRight(of(segmentMarks), n(16)), n(0)), n(2)),
    ),
  )
  /** After `findTransport`. */
  const payloadAt = i32.add(
    transport.get,
    i32.shiftLeft(i32.shiftRight(i32.load8(transport.get, 12), n(4)), n(2)),
  )
  const moveWindowEdge = write(
    own,
    tcp.windowEdge,
    i32.add(
      acknowledgement.get,
      i32.shiftLeft(window.get, i32.shiftRight(read(own, tcp.state), n(tcp.scaleShift))),
    ),
  )
  /** One measurement at a time: a value when it first appears, and its first echo. */
  const readStamps = [
    when(has(read(other, tcp.state), tcp.stampPending), [
      when(i32.atLeast(i32.subtract(echo.get, read(other, tcp.stamp)), n(0)), [
        write(other, tcp.state, has(read(other, tcp.state), ~tcp.stampPending)),
        ns.set(f64.subtract(now.get, readNs(other, tcp.stampNs))),
        raise(other, tcp.stampedRoundTrips, n(1)),
        raiseNs(other, tcp.stampedSumNs, ns.get),
        when(f64.less(ns.get, readNs(other, tcp.stampedMinNs)), [writeNs(other, tcp.stampedMinNs, ns.get)]),
      ]),
    ]),
    when(i32.equal(has(read(own, tcp.state), tcp.stampPending), n(0)), [
      when(i32.unequal(value.get, read(own, tcp.stamp)), [
        write(own, tcp.state, i32.or(read(own, tcp.state), n(tcp.stampPending))),
        write(own, tcp.stamp, value.get),
        writeNs(own, tcp.stampNs, now.get),
      ]),
    ]),
  ]
  return {
    i,
    end,
    own,
    other,
    sequence,
    acknowledgement,
    length,
    flags,
    options,
    window,
    after,
    now,
    transport,
    scratch,
    at,
    ns,
    value,
    echo,
    of,
    read,
    write,
    readNs,
    writeNs,
    raise,
    raiseNs,
    has,
    rareRow,
    otherRareRow,
    big,
    load,
    findTransport,
    payloadAt,
    moveWindowEdge,
    readStamps,
  }
}
