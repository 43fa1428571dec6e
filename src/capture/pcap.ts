/**
 * Classic pcap files: micro- and nanosecond stamps, both byte orders (draft-ietf-opsawg-pcap). Modified headers
 * (Kuznetzov and others) are refused: their records have another size, so a guess would print wrong numbers.
 */

import { usageError } from '../support/errors.js'
import { linkEthernet } from './decode.js'
import type { Frame } from './frame.js'
import {
  type CaptureProblem,
  maxFrameBytes,
  type RecordScanner,
  step,
  type TimeBase,
} from './record-scanner.js'
import type { SegmentBatch } from './segment-batch.js'
import type { Window } from './window.js'

export const pcapHeaderBytes = 24
const recordHeaderBytes = 16

/** Little-endian reading of the first four bytes. */
export const pcapMagic = {
  microLittle: 0xa1b2c3d4,
  microBig: 0xd4c3b2a1,
  nanoLittle: 0xa1b23c4d,
  nanoBig: 0x4d3cb2a1,
} as const

const modifiedMagics: Readonly<Record<number, string>> = {
  [0xa1b2cd34]: 'the modified (Kuznetzov) pcap format',
  [0x34cdb2a1]: 'the modified (Kuznetzov) pcap format, big-endian',
  [0x1c0001ac]: 'the IXIA hardware pcap format',
  [0xac01001c]: 'the IXIA hardware pcap format, big-endian',
  [0x1c0001ab]: 'the IXIA software pcap format',
  [0xab01001c]: 'the IXIA software pcap format, big-endian',
}

/** Whether `magic`, read little-endian, opens a classic pcap file. Throws a usage error for its modified relatives. */
export function isPcapMagic(magic: number, name: string): boolean {
  const modified = modifiedMagics[magic]
  if (modified !== undefined) {
    throw usageError(`${name} is in ${modified}, whose records have another layout`, {
      code: 'capture-format',
      next: 'Convert it with `editcap -F nsecpcap IN OUT`.',
    })
  }
  return Object.values<number>(pcapMagic).includes(magic)
}

export class PcapScanner implements RecordScanner {
  readonly format: string
  readonly snapLength: number
  readonly linkTypes: readonly number[]
  readonly dropped = undefined
  problem: CaptureProblem | undefined
  private readonly little: boolean
  private readonly fractionNs: number
  private readonly linkType: number
  private readonly timeBase: TimeBase
  private baseSeconds = 0
  private started = false

  /** Reads the 24-byte file header at the cursor. */
  constructor(window: Window, timeBase: TimeBase) {
    const { view, position } = window
    const magic = view.getUint32(position, true)
    this.little = magic === pcapMagic.microLittle || magic === pcapMagic.nanoLittle
    const nano = magic === pcapMagic.nanoLittle || magic === pcapMagic.nanoBig
    this.format = nano ? 'pcap-ns' : 'pcap-us'
    this.fractionNs = nano ? 1 : 1000
    this.snapLength = view.getUint32(position + 16, this.little)
    // The upper bits hold the length of the frame check sequence (draft-ietf-opsawg-pcap section 4).
    this.linkType = view.getUint32(position + 20, this.little) & 0xffff
    this.linkTypes = [this.linkType]
    this.timeBase = timeBase
    window.position += pcapHeaderBytes
  }

  next(window: Window, frame: Frame): number {
    const at = window.position
    const view = window.view
    if (window.limit - at < recordHeaderBytes) return step.more
    const capLength = view.getUint32(at + 8, this.little)
    if (capLength > maxFrameBytes) return this.refuse(window, capLength)
    const end = at + recordHeaderBytes + capLength
    if (end > window.limit) return step.more
    const seconds = view.getUint32(at, this.little)
    if (!this.started) this.start(seconds)
    if (frame.view !== view) {
      frame.view = view
      frame.bytes = window.bytes
      frame.linkType = this.linkType
    }
    frame.start = at + recordHeaderBytes
    frame.end = end
    frame.capLength = capLength
    frame.wireLength = view.getUint32(at + 12, this.little)
    frame.timeNs = (seconds - this.baseSeconds) * 1e9 + view.getUint32(at + 4, this.little) * this.fractionNs
    window.position = end
    return step.record
  }

  /** Only of little-endian files: no box that writes captures today is of the other kind. */
  gather(window: Window, batch: SegmentBatch): void {
    batch.clear()
    if (!this.little || this.linkType !== linkEthernet || !this.started) return
    batch.gather(window, this.baseSeconds, this.fractionNs)
  }

  atEnd(rest: number, offset: number): CaptureProblem | undefined {
    if (this.problem || rest === 0) return this.problem
    return { kind: 'truncated', offset, message: `the file ends inside the record at byte ${offset}` }
  }

  private start(firstSeconds: number): void {
    this.timeBase.seconds ??= firstSeconds
    this.baseSeconds = this.timeBase.seconds
    this.started = true
  }

  private refuse(window: Window, capLength: number): number {
    this.problem = {
      kind: 'malformed',
      offset: window.offset,
      message: `the record at byte ${window.offset} claims ${capLength} captured bytes, more than ${maxFrameBytes}`,
    }
    return step.broken
  }
}
