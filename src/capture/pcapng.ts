/**
 * pcapng files (draft-ietf-opsawg-pcapng): several sections of either byte order, several interfaces with link type,
 * resolution and offset of their own. Enhanced, simple and the obsolete packet blocks hold frames; statistics blocks
 * are read for drop counts; all other blocks, known or not, are stepped over.
 */

import { usageError } from '../support/errors.js'
import type { Frame } from './frame.js'
import {
  type CaptureProblem,
  maxFrameBytes,
  type RecordScanner,
  sectionHeaderType,
  step,
  type TimeBase,
} from './record-scanner.js'
import type { SegmentBatch } from './segment-batch.js'
import type { Window } from './window.js'

/** Type of the section header block: the same in both byte orders. */
const byteOrderMagic = 0x1a2b3c4d
const byteOrderMagicSwapped = 0x4d3c2b1a
const interfaceType = 1
const obsoletePacketType = 2
const simplePacketType = 3
const statisticsType = 5
const enhancedPacketType = 6

const optionEnd = 0
const optionResolution = 9
const optionTimeOffset = 14
const statisticsDropped = 5

/** Type, length and, behind the body, the length again. */
const blockOverhead = 12
/** Wireshark's bound as well. */
const maxBlockBytes = 16 * 1024 * 1024

interface Interface {
  readonly linkType: number
  readonly snapLength: number
  /** Units per second of the time stamps: 10^n or 2^n. */
  readonly unitsPerSecond: bigint
  readonly offsetSeconds: number
}

const micro = 1_000_000n
const nano = 1_000_000_000n

export class PcapngScanner implements RecordScanner {
  readonly format = 'pcapng'
  problem: CaptureProblem | undefined
  snapLength = 0
  readonly linkTypes: number[] = []
  /** Frames that the capturing program says it missed (statistics blocks), if it says so. */
  dropped: number | undefined
  private little = true
  private interfaces: Interface[] = []
  /** Number in the file of the section's first interface. */
  private firstInterface = 0
  private knownInterfaces = 0
  private newestNs = 0
  private baseSeconds = 0

  constructor(private readonly timeBase: TimeBase) {}

  next(window: Window, frame: Frame): number {
    for (;;) {
      const at = window.position
      const view = window.view
      if (window.limit - at < blockOverhead) return step.more
      const type = view.getUint32(at, this.little)
      if (type === sectionHeaderType && !this.openSection(window)) return step.broken
      const length = view.getUint32(at + 4, this.little)
      if (length < blockOverhead || length > maxBlockBytes) {
        return this.refuse(window, `the block at byte ${window.offset} claims a length of ${length} bytes`)
      }
      // Writers should pad to four bytes; readers may meet some that give the length without the padding.
      const end = at + Math.ceil(length / 4) * 4
      if (end > window.limit) return step.more
      if (view.getUint32(end - 4, this.little) !== length) {
        return this.refuse(window, `the block at byte ${window.offset} gives two different lengths`)
      }
      const result = this.block(type, at + 8, end - 4, window, frame)
      if (result === step.broken) return result
      window.position = end
      if (result === step.record) return result
    }
  }

  gather(_window: Window, batch: SegmentBatch): void {
    batch.clear()
  }

  atEnd(rest: number, offset: number): CaptureProblem | undefined {
    if (this.problem || rest === 0) return this.problem
    return { kind: 'truncated', offset, message: `the file ends inside the block at byte ${offset}` }
  }

  /** `from` and `to` are the body of the block. `step.more` means that it held no frame. */
  private block(type: number, from: number, to: number, window: Window, frame: Frame): number {
    switch (type) {
      case enhancedPacketType:
        return this.enhancedPacket(from, to, window, frame)
      case interfaceType:
        return this.addInterface(from, to, window)
      case simplePacketType:
        return this.simplePacket(from, to, window, frame)
      case obsoletePacketType:
        return this.obsoletePacket(from, to, window, frame)
      case statisticsType:
        this.readStatistics(from, to, window.view)
        return step.more
      default:
        return step.more
    }
  }

  /** Takes the byte order of a section; its interfaces are numbered anew. */
  private openSection(window: Window): boolean {
    const magic = window.view.getUint32(window.position + 8, true)
    if (magic !== byteOrderMagic && magic !== byteOrderMagicSwapped) {
      this.refuse(window, `the section at byte ${window.offset} has no byte-order magic`)
      return false
    }
    this.little = magic === byteOrderMagic
    this.firstInterface = this.knownInterfaces
    this.interfaces = []
    return true
  }

  private addInterface(from: number, to: number, window: Window): number {
    const { view } = window
    if (to - from < 8) return this.refuse(window, `the interface block at byte ${window.offset} is too short`)
    let unitsPerSecond = micro
    let offsetSeconds = 0
    this.eachOption(view, from + 8, to, (code, length, at) => {
      if (code === optionResolution && length === 1) unitsPerSecond = resolution(view.getUint8(at))
      if (code === optionTimeOffset && length === 8) offsetSeconds = Number(view.getBigInt64(at, this.little))
    })
    const linkType = view.getUint16(from, this.little)
    const snapLength = view.getUint32(from + 4, this.little)
    this.interfaces.push({ linkType, snapLength, unitsPerSecond, offsetSeconds })
    this.knownInterfaces++
    if (!this.linkTypes.includes(linkType)) this.linkTypes.push(linkType)
    this.snapLength = Math.max(this.snapLength, snapLength)
    return step.more
  }

  private enhancedPacket(from: number, to: number, window: Window, frame: Frame): number {
    const { view } = window
    if (to - from < 20) return this.refuse(window, `the packet block at byte ${window.offset} is too short`)
    const number = view.getUint32(from, this.little)
    const capLength = view.getUint32(from + 12, this.little)
    const wireLength = view.getUint32(from + 16, this.little)
    return this.stampedFrame(number, from + 4, from + 20, capLength, wireLength, to, window, frame)
  }

  /** Like the enhanced one, with a shorter interface number and a drop count beside it. */
  private obsoletePacket(from: number, to: number, window: Window, frame: Frame): number {
    const { view } = window
    if (to - from < 20) return this.refuse(window, `the packet block at byte ${window.offset} is too short`)
    const number = view.getUint16(from, this.little)
    const capLength = view.getUint32(from + 12, this.little)
    const wireLength = view.getUint32(from + 16, this.little)
    return this.stampedFrame(number, from + 4, from + 20, capLength, wireLength, to, window, frame)
  }

  /** A frame of the first interface without a time stamp: it takes the time of the frame before it. */
  private simplePacket(from: number, to: number, window: Window, frame: Frame): number {
    const { view } = window
    const only = this.interfaces[0]
    if (to - from < 4 || only === undefined) {
      return this.refuse(window, `the simple packet block at byte ${window.offset} has no interface`)
    }
    const wireLength = view.getUint32(from, this.little)
    const limit = only.snapLength === 0 ? wireLength : Math.min(wireLength, only.snapLength)
    const capLength = Math.min(limit, to - from - 4)
    frame.timeNs = this.newestNs
    return this.frame(0, only, from + 4, capLength, wireLength, to, window, frame)
  }

  private stampedFrame(
    number: number,
    stampAt: number,
    dataAt: number,
    capLength: number,
    wireLength: number,
    to: number,
    window: Window,
    frame: Frame,
  ): number {
    const source = this.interfaces[number]
    if (source === undefined) {
      return this.refuse(
        window,
        `the packet block at byte ${window.offset} names interface ${number}, which is not described`,
      )
    }
    const high = window.view.getUint32(stampAt, this.little)
    const low = window.view.getUint32(stampAt + 4, this.little)
    frame.timeNs = this.nanoseconds(source, high, low)
    this.newestNs = frame.timeNs
    return this.frame(number, source, dataAt, capLength, wireLength, to, window, frame)
  }

  private frame(
    number: number,
    source: Interface,
    dataAt: number,
    capLength: number,
    wireLength: number,
    to: number,
    window: Window,
    frame: Frame,
  ): number {
    if (capLength > to - dataAt || capLength > maxFrameBytes) {
      return this.refuse(
        window,
        `the packet block at byte ${window.offset} claims ${capLength} captured bytes`,
      )
    }
    if (frame.view !== window.view) {
      frame.view = window.view
      frame.bytes = window.bytes
    }
    frame.start = dataAt
    frame.end = dataAt + capLength
    frame.capLength = capLength
    frame.wireLength = wireLength
    frame.linkType = source.linkType
    frame.interfaceId = this.firstInterface + number
    return step.record
  }

  /** A 64-bit stamp as nanoseconds since the time base, exactly; finer resolutions are rounded down. */
  private nanoseconds(source: Interface, high: number, low: number): number {
    let seconds: number
    let ns: number
    if (source.unitsPerSecond === micro) {
      const units = high * 0x1_0000_0000 + low
      seconds = Math.floor(units / 1e6)
      ns = (units - seconds * 1e6) * 1000
    } else if (source.unitsPerSecond === nano) {
      // The quotient of rounded numbers may be one off; the rest, modulo 2^32, tells.
      seconds = Math.floor((high * 0x1_0000_0000 + low) / 1e9)
      ns = (low - Math.imul(seconds, 1e9)) | 0
      if (ns < 0) {
        ns += 1e9
        seconds--
      } else if (ns >= 1e9) {
        ns -= 1e9
        seconds++
      }
    } else {
      const units = (BigInt(high) << 32n) | BigInt(low)
      seconds = Number(units / source.unitsPerSecond)
      ns = Number(((units % source.unitsPerSecond) * nano) / source.unitsPerSecond)
    }
    seconds += source.offsetSeconds
    if (this.timeBase.seconds === undefined) this.timeBase.seconds = seconds
    if (this.baseSeconds !== this.timeBase.seconds) this.baseSeconds = this.timeBase.seconds
    return (seconds - this.baseSeconds) * 1e9 + ns
  }

  private readStatistics(from: number, to: number, view: DataView): void {
    this.eachOption(view, from + 12, to, (code, length, at) => {
      if (code !== statisticsDropped || length !== 8) return
      this.dropped = (this.dropped ?? 0) + Number(view.getBigUint64(at, this.little))
    })
  }

  /** Calls `use` for each option whose bytes are there. */
  private eachOption(
    view: DataView,
    from: number,
    to: number,
    use: (code: number, length: number, at: number) => void,
  ): void {
    for (let at = from; at + 4 <= to; ) {
      const code = view.getUint16(at, this.little)
      const length = view.getUint16(at + 2, this.little)
      if (code === optionEnd || at + 4 + length > to) return
      use(code, length, at + 4)
      at += 4 + Math.ceil(length / 4) * 4
    }
  }

  private refuse(window: Window, message: string): number {
    this.problem = { kind: 'malformed', offset: window.offset, message }
    return step.broken
  }
}

/** if_tsresol: a negative power of 10, or of 2 if the highest bit is set. */
function resolution(value: number): bigint {
  const power = BigInt(value & 0x7f)
  const units = (value & 0x80) === 0 ? 10n ** power : 2n ** power
  // A stamp has 64 bits: anything finer says nothing.
  if (units <= 2n ** 64n) return units
  throw usageError(`a time stamp resolution of ${value & 0x80 ? '2' : '10'}^-${power} s cannot be meant`, {
    code: 'capture-format',
  })
}
