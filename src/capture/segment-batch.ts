/**
 * The next frames of a capture as rows of numbers, as long as they are what nearly all frames of a bulk transfer are:
 * Ethernet with at most one 802.1Q tag, IPv4 without options or fragments, TCP. Whatever is anything else ends a batch and
 * goes through `decode` alone; a row says what `decode` would say of its frame.
 *
 * Frames in batches let each step of an analysis be a short loop of its own: the compiler gets each of them right within
 * milliseconds, and the processor fetches the state of many flows at a time.
 */

import {
  again,
  type Code,
  f64,
  i32,
  type Local,
  leaveIf,
  loop,
  swapped,
  v128,
  type WasmArena,
  WasmFunction,
  when,
} from '../support/wasm.js'
import { decode, linkEthernet, protocolTcp } from './decode.js'
import type { Frame } from './frame.js'
import { maxFrameBytes } from './record-scanner.js'
import { Window } from './window.js'

/** Frames in a batch: few enough that the rows stay in the cache next to the processor, and enough to share a call. */
export const batchFrames = 512

/** Integers per frame: one cache line. */
export const segmentWidth = 16
// What they are. Indices of bytes belong to the window that the batch was gathered from.
export const segmentStart = 0
export const segmentEnd = 1
export const segmentWireLength = 2
/** VLAN number, PCP and DSCP, each one more than its value so that 0 is `absent`, in 16, 8 and 8 bits. */
export const segmentMarks = 3
// Four in the order in which they stand in headers: IP without options, TCP.
export const segmentSource = 4
export const segmentDestination = 5
/** Source port in the upper 16 bits. */
export const segmentPorts = 6
export const segmentSequence = 7
export const segmentAcknowledgement = 8
/** Kind of options in the upper 4 bits, flags in the next 12, window in the lower 16. */
export const segmentFlags = 9
export const segmentPayload = 10
/** Time stamp and echo, if the options are of a kind with `optionsStamps`. */
export const segmentStamp = 11
export const segmentEcho = 12
/** Left to whoever uses the batch. */
export const segmentRow = 13

/** No options, or none that was captured whole. */
export const optionsNone = 0
/** Bit of the kind: two pads and time stamps, the options of nearly every segment (RFC 7323 appendix A). */
export const optionsStamps = 1
/** From this bit on: how many blocks of SACK there are behind two pads, after the time stamps if there are any. */
export const optionsSackShift = 1
export const optionsOther = 15

/** Pad, pad, kind 8, length 10. */
export const paddedStamps = 0x0101080a

// As they stand in memory, read by a little-endian machine.
const typeTagged = 0x0081
const typeIpv4 = 0x0008
const fragmentBits = 0xff1f_0000
const paddedStampsInMemory = 0x0a080101
/** Pad, pad, kind 5 (RFC 2018), length of a SACK option without blocks; each block is 8 bytes. */
const paddedSackInMemory = 0x02050101
const mostSackBlocks = 4

const recordHeaderBytes = 16
export const ipBytes = 20
export const tcpBytes = 20
const stampBytes = 12
const shortestBytes = 14 + ipBytes + tcpBytes

export class SegmentBatch {
  /** Address of the rows. */
  readonly rows: number
  private readonly times: number
  readonly fields: Int32Array
  readonly timeNs: Float64Array
  private readonly counted: Int32Array
  private window = new Window()
  private gatherRecords: ((...args: number[]) => number) | undefined

  constructor(private readonly arena: WasmArena) {
    this.fields = arena.array(Int32Array, segmentWidth * batchFrames)
    this.timeNs = arena.array(Float64Array, batchFrames)
    this.counted = arena.array(Int32Array, 1)
    this.rows = this.fields.byteOffset
    this.times = this.timeNs.byteOffset
  }

  /** The address of row `i` as code. */
  rowCode(i: Local): Code {
    return i32.add(i32.constant(this.rows), i32.multiply(i.get, i32.constant(4 * segmentWidth)))
  }

  /** The time of row `i` as code. */
  timeCode(i: Local): Code {
    return f64.load(i32.shiftLeft(i.get, i32.constant(3)), this.times)
  }

  get count(): number {
    return this.counted[0]!
  }

  clear(): void {
    this.counted[0] = 0
  }

  /**
   * Moves `window` over records of a little-endian pcap file with Ethernet frames, and takes their rows. Times count
   * from second `baseSeconds`; `fractionNs` is the unit of the stamps' second half.
   */
  gather(window: Window, baseSeconds: number, fractionNs: number): void {
    this.clear()
    const { bytes } = window
    // Windows that had to be joined lie outside of the arena: `next` gets over them.
    if (!(bytes.buffer instanceof SharedArrayBuffer) || baseSeconds < 0 || baseSeconds >= 2 ** 32) return
    this.window = window
    this.gatherRecords ??= gatherFunction(this.arena, this.rows, this.times, this.counted.byteOffset)
    const { byteOffset } = bytes
    window.position =
      this.gatherRecords(byteOffset + window.position, byteOffset + window.limit, baseSeconds, fractionNs) -
      byteOffset
  }

  /** Decodes frame `i` of the batch into `frame`. */
  show(i: number, frame: Frame): void {
    const { bytes, view } = this.window
    const at = segmentWidth * i
    const start = this.fields[at + segmentStart]! - bytes.byteOffset
    const end = this.fields[at + segmentEnd]! - bytes.byteOffset
    frame.bytes = bytes
    frame.view = view
    frame.linkType = linkEthernet
    frame.start = start
    frame.end = end
    frame.capLength = end - start
    frame.wireLength = this.fields[at + segmentWireLength]!
    frame.timeNs = this.timeNs[i]!
    decode(frame)
  }
}

/**
 * Parameters: where the first record is, where the bytes end, the base second, nanoseconds in a fraction. Returns where
 * it stopped, and leaves the number of rows at `counter`.
 */
function gatherFunction(
  arena: WasmArena,
  rows: number,
  times: number,
  counter: number,
): (...args: number[]) => number {
  const code = new WasmFunction()
  const at = code.parameter()
  const limit = code.parameter()
  const baseSeconds = code.parameter()
  const fractionNs = code.parameter()
  const row = code.local('i32')
  const time = code.local('i32')
  const start = code.local('i32')
  const end = code.local('i32')
  const capLength = code.local('i32')
  const wireLength = code.local('i32')
  const network = code.local('i32')
  const marks = code.local('i32')
  const word = code.local('i32')
  const first = code.local('i32')
  const flags = code.local('i32')
  const headerBytes = code.local('i32')
  const payload = code.local('i32')
  const options = code.local('i32')
  const stamps = code.local('i32')
  const left = code.local('i32')
  const blocks = code.local('i32')
  const words = code.local('v128')
  const n = i32.constant
  /** The 32 bits at `address` + `offset`, which are in network order. */
  const big = (address: Code, offset: number): Code => [word.set(i32.load(address, offset)), swapped(word)]
  const put = (field: number, value: Code): Code => i32.store(row.get, 4 * field, value)
  const has = (a: Code, bits: number): Code => i32.and(a, n(bits))
  /** In steps of 4 bytes, from behind the fixed part of the header. */
  const readOptions = [
    word.set(i32.add(network.get, n(ipBytes + tcpBytes))),
    left.set(i32.subtract(headerBytes.get, n(tcpBytes))),
    stamps.set(n(0)),
    when(i32.equal(i32.load(word.get), n(paddedStampsInMemory)), [
      when(i32.atLeast(left.get, n(stampBytes)), [
        put(segmentStamp, big(network.get, ipBytes + tcpBytes + 4)),
        put(segmentEcho, big(network.get, ipBytes + tcpBytes + 8)),
        stamps.set(n(optionsStamps)),
        left.set(i32.subtract(left.get, n(stampBytes))),
      ]),
    ]),
    when(
      left.get,
      [
        blocks.set(i32.shiftRight(i32.subtract(left.get, n(4)), n(3))),
        word.set(
          i32.load(i32.subtract(i32.add(i32.add(network.get, n(ipBytes)), headerBytes.get), left.get)),
        ),
        when(
          i32.and(
            i32.and(i32.equal(has(left.get, 7), n(4)), i32.atMost(blocks.get, n(mostSackBlocks))),
            i32.equal(word.get, i32.add(n(paddedSackInMemory), i32.shiftLeft(blocks.get, n(27)))),
          ),
          [options.set(i32.or(stamps.get, i32.shiftLeft(blocks.get, n(optionsSackShift))))],
        ),
      ],
      [options.set(stamps.get)],
    ),
  ]

  return code.compile(
    arena,
    row.set(n(rows)),
    time.set(n(times)),
    loop(
      leaveIf(i32.equal(time.get, n(times + 8 * batchFrames))),
      leaveIf(i32.less(i32.subtract(limit.get, at.get), n(recordHeaderBytes))),
      capLength.set(i32.load(at.get, 8)),
      start.set(i32.add(at.get, n(recordHeaderBytes))),
      leaveIf(i32.less(capLength.get, n(shortestBytes))),
      leaveIf(i32.greater(capLength.get, n(maxFrameBytes))),
      end.set(i32.add(start.get, capLength.get)),
      leaveIf(i32.greater(end.get, limit.get)),
      wireLength.set(i32.load(at.get, 12)),
      leaveIf(i32.less(wireLength.get, n(0))),

      network.set(i32.add(start.get, n(14))),
      marks.set(n(0)),
      when(i32.equal(i32.load16(start.get, 12), n(typeTagged)), [
        network.set(i32.add(start.get, n(18))),
        // The word with the tag in its upper half; its VLAN number and PCP move to their places one by one.
        word.set(i32.load(start.get, 14)),
        word.set(i32.shiftRight(swapped(word), n(16))),
        marks.set(
          i32.or(
            i32.shiftLeft(i32.add(has(word.get, 0xfff), n(1)), n(16)),
            i32.shiftLeft(i32.add(i32.shiftRight(word.get, n(13)), n(1)), n(8)),
          ),
        ),
      ]),
      leaveIf(i32.less(i32.subtract(end.get, network.get), n(ipBytes + tcpBytes))),
      leaveIf(i32.unequal(i32.load16(i32.subtract(network.get, n(2))), n(typeIpv4))),
      first.set(big(network.get, 0)),
      leaveIf(i32.unequal(i32.shiftRight(first.get, n(24)), n(0x45))),
      leaveIf(has(i32.load(network.get, 4), fragmentBits)),
      leaveIf(i32.unequal(i32.load8(network.get, 9), n(protocolTcp))),
      flags.set(big(network.get, ipBytes + 12)),
      headerBytes.set(has(i32.shiftRight(flags.get, n(26)), 60)),
      leaveIf(i32.less(headerBytes.get, n(tcpBytes))),
      payload.set(i32.subtract(i32.subtract(has(first.get, 0xffff), n(ipBytes)), headerBytes.get)),
      leaveIf(i32.less(payload.get, n(0))),
      // The length that the header claims, and what is left of the frame.
      leaveIf(
        i32.greater(
          has(first.get, 0xffff),
          i32.subtract(wireLength.get, i32.subtract(network.get, start.get)),
        ),
      ),

      options.set(n(optionsNone)),
      when(i32.greater(headerBytes.get, n(tcpBytes)), [
        options.set(n(optionsOther)),
        when(i32.atMost(i32.add(i32.add(network.get, n(ipBytes)), headerBytes.get), end.get), readOptions),
      ]),
      put(segmentStart, start.get),
      put(segmentEnd, end.get),
      put(segmentWireLength, wireLength.get),
      put(segmentMarks, i32.or(marks.get, i32.add(has(i32.shiftRight(first.get, n(18)), 63), n(1)))),
      // Addresses, ports and sequence number follow each other in the headers as they do in a row.
      words.set(v128.load(network.get, 12)),
      v128.store(row.get, 4 * segmentSource, v128.swapped(words)),
      put(segmentAcknowledgement, big(network.get, ipBytes + 8)),
      put(segmentFlags, i32.or(i32.shiftLeft(options.get, n(28)), has(flags.get, 0x0fff_ffff))),
      put(segmentPayload, payload.get),
      f64.store(
        time.get,
        0,
        f64.add(
          f64.multiply(
            f64.subtract(f64.fromUnsigned(i32.load(at.get)), f64.fromUnsigned(baseSeconds.get)),
            f64.constant(1e9),
          ),
          f64.multiply(f64.fromUnsigned(i32.load(at.get, 4)), f64.fromSigned(fractionNs.get)),
        ),
      ),
      row.set(i32.add(row.get, n(4 * segmentWidth))),
      time.set(i32.add(time.get, n(8))),
      at.set(end.get),
      again,
    ),
    i32.store(n(counter), 0, i32.shiftRight(i32.subtract(time.get, n(times)), n(3))),
    at.get,
  )
}
