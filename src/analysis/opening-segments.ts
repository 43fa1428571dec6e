/**
 * The two SYNs of a connection, as code of the loop over a batch: does to the rows what `TcpTable.takeAny` would do, for a
 * SYN that is the first segment of its direction and carries no data.
 */

import { flagAck, flagSyn } from '../capture/decode.js'
import { segmentEnd, segmentWireLength, tcpBytes } from '../capture/segment-batch.js'
import {
  again,
  againFrom,
  type Code,
  f64,
  i32,
  type Local,
  leaveIf,
  loop,
  type WasmFunction,
  when,
} from '../support/wasm.js'
import type { SegmentRegisters } from './segment-registers.js'
import * as tcp from './tcp-row.js'

/** Takes a segment with a SYN, or leaves the loop; within one `when` of it. */
export function takeSyn(code: WasmFunction, registers: SegmentRegisters): readonly Code[] {
  const {
    own,
    other,
    sequence,
    acknowledgement,
    length,
    flags,
    window,
    after,
    now,
    transport,
    scratch,
    at,
    value,
    echo,
    of,
    read,
    write,
    writeNs,
    raise,
    has,
    rareRow,
    otherRareRow,
    big,
    findTransport,
    payloadAt,
    moveWindowEdge,
    readStamps,
  } = registers
  const optionsEnd = code.local('i32')
  const kind = code.local('i32')
  const optionBytes = code.local('i32')
  const n = i32.constant
  const isOption = (wanted: number, bytes: number): Code =>
    i32.and(i32.equal(kind.get, n(wanted)), i32.equal(optionBytes.get, n(bytes)))
  const setScale = (of: Local, shift: Code): Code =>
    write(
      of,
      tcp.state,
      i32.or(
        has(read(of, tcp.state), (1 << tcp.scaleShift) - 1),
        i32.or(n(tcp.scaleKnown), i32.shiftLeft(shift, n(tcp.scaleShift))),
      ),
    )
  const takeOption = [
    when(isOption(2, 4), [
      scratch.set(rareRow),
      write(
        scratch,
        tcp.maxSegmentSize,
        i32.or(i32.shiftLeft(i32.load8(at.get, 2), n(8)), i32.load8(at.get, 3)),
      ),
    ]),
    when(isOption(3, 3), [
      value.set(i32.load8(at.get, 2)),
      when(i32.greater(value.get, n(tcp.mostScale)), [value.set(n(tcp.mostScale))]),
      setScale(own, value.get),
    ]),
    when(i32.equal(kind.get, n(5)), [
      scratch.set(rareRow),
      raise(scratch, tcp.sackBlocks, i32.shiftRight(i32.subtract(optionBytes.get, n(2)), n(3))),
    ]),
    when(isOption(8, 10), [value.set(big(at.get, 2)), echo.set(big(at.get, 6)), readStamps]),
  ]
  const takeOptionList = [
    findTransport,
    at.set(i32.add(transport.get, n(tcpBytes))),
    optionsEnd.set(payloadAt),
    when(i32.greater(optionsEnd.get, of(segmentEnd)), [optionsEnd.set(of(segmentEnd))]),
    loop(
      leaveIf(i32.atLeast(at.get, optionsEnd.get)),
      kind.set(i32.load8(at.get)),
      leaveIf(i32.equal(kind.get, n(0))),
      when(i32.equal(kind.get, n(1)), [at.set(i32.add(at.get, n(1))), againFrom(1)]),
      leaveIf(i32.atLeast(i32.add(at.get, n(1)), optionsEnd.get)),
      optionBytes.set(i32.load8(at.get, 1)),
      leaveIf(i32.less(optionBytes.get, n(2))),
      leaveIf(i32.greater(i32.add(at.get, optionBytes.get), optionsEnd.get)),
      takeOption,
      at.set(i32.add(at.get, optionBytes.get)),
      again,
    ),
  ]
  const isAck = has(flags.get, flagAck << 16)
  const leaveUnlessOpening = [
    leaveIf(i32.unequal(has(flags.get, tcp.flagsOfConnection << 16), n(flagSyn << 16)), 1),
    leaveIf(length.get, 1),
    leaveIf(read(own, tcp.packets), 1),
    leaveIf(has(read(own, tcp.state), tcp.baseKnown), 1),
    when(
      isAck,
      [
        leaveIf(i32.unequal(has(read(other, tcp.state), tcp.ordinaryMask | tcp.hasData), n(tcp.ordinary)), 2),
        leaveIf(i32.greater(i32.subtract(acknowledgement.get, read(other, tcp.toBeAcked)), n(0)), 2),
      ],
      [leaveIf(read(other, tcp.packets), 2)],
    ),
  ]
  const openHandshake = (of: Local, rare: Code): readonly Code[] => [
    write(of, tcp.state, i32.or(read(of, tcp.state), n(tcp.handshakeOpen))),
    scratch.set(rare),
    writeNs(scratch, tcp.synNs, now.get),
  ]
  const takeOpening = [
    scratch.set(rareRow),
    writeNs(scratch, tcp.firstNs, now.get),
    write(scratch, tcp.syns, n(1)),
    write(scratch, tcp.base, sequence.get),
    write(own, tcp.packets, n(1)),
    writeNs(own, tcp.bytes, f64.fromSigned(of(segmentWireLength))),
    when(isAck, [], [openHandshake(own, rareRow), openHandshake(other, otherRareRow)]),
    after.set(i32.add(sequence.get, n(1))),
    write(own, tcp.next, after.get),
    writeNs(own, tcp.nextNs, now.get),
    write(own, tcp.toBeAcked, after.get),
    write(own, tcp.lastWindow, window.get),
    write(own, tcp.lastAck, acknowledgement.get),
    moveWindowEdge,
    writeNs(own, tcp.lastAckNs, now.get),
    write(own, tcp.state, i32.or(read(own, tcp.state), n(tcp.ordinary | tcp.opened))),
    takeOptionList,
    // Without the option on either side, neither scales (RFC 7323 section 2.2).
    when(i32.equal(has(read(own, tcp.state), tcp.scaleKnown), n(0)), [
      setScale(own, n(0)),
      setScale(other, n(0)),
    ]),
  ]
  return [...leaveUnlessOpening, ...takeOpening]
}
