/**
 * Opens a capture and walks over its frames in bounded memory: while one chunk is being analysed, the next is read in
 * the background, if one has to wait for it. Formats live in files of their own; this one tells them apart by their first bytes.
 */

import { usageError } from '../support/errors.js'
import { WasmArena } from '../support/wasm.js'
import { type ByteSource, openBytes, standardInput } from './bytes.js'
import { Frame } from './frame.js'
import { isPcapMagic, PcapScanner, pcapHeaderBytes, pcapMagic } from './pcap.js'
import {
  type CaptureProblem,
  type RecordScanner,
  sectionHeaderType,
  step,
  TimeBase,
} from './record-scanner.js'
import { SegmentBatch } from './segment-batch.js'
import { headroomBytes, Window } from './window.js'

/** A chunk and what is kept of it fit into a second-level cache. */
const chunkBytes = 512 * 1024

/**
 * The frames of one capture. Use:
 * `do { while (reader.next()) use(reader.frame) } while (await reader.fill())`
 */
export interface FrameReader {
  /** The frame at hand; one object, filled again by each `next`. Not yet decoded. */
  readonly frame: Frame
  /** `pcap-us`, `pcap-ns` or `pcapng`, with `+gzip` or `+zstd` when compressed. */
  readonly format: string
  /** Bytes kept of each frame; 0 without limit. */
  readonly snapLength: number
  /** LINKTYPE values of the interfaces seen so far. */
  readonly linkTypes: readonly number[]
  /** Frames that the capturing program says it missed; undefined if the format does not say. */
  readonly dropped: number | undefined
  /** Why reading stopped early, if it did. Known once `fill` has resolved to false. */
  readonly problem: CaptureProblem | undefined
  /** Moves `frame` to the next frame of the chunk in memory; false when a `fill` is due. */
  next(): boolean
  /** Where the capture's bytes are, and what works on them in bulk may put its own. */
  readonly arena: WasmArena
  /** Rows of the frames that `gather` moved over. */
  readonly batch: SegmentBatch
  /** Moves over the frames that come next as long as they go into `batch`; `next` continues after them. */
  gather(): void
  /** Gets the next chunk; false at the end of the capture or at the place where it is broken. */
  fill(): Promise<boolean>
  close(): Promise<void>
}

/** Opens a capture file, or standard input for `-`. Usage errors (exit 2): no such file, not a capture. */
export async function openCapture(path: string, timeBase = new TimeBase()): Promise<FrameReader> {
  const source = await openBytes(path)
  try {
    return await readerFor(path, source, timeBase)
  } catch (error) {
    await source.close()
    throw error
  }
}

async function readerFor(path: string, source: ByteSource, timeBase: TimeBase): Promise<FrameReader> {
  const name = path === standardInput ? 'standard input' : path
  const arena = new WasmArena()
  const first = chunkIn(arena)
  const got = await readAtLeast(source, first, pcapHeaderBytes)
  if (got === 0) throw usageError(`${name} is empty${because(source)}`, { code: 'capture-format' })
  const view = new DataView(first.buffer, first.byteOffset)
  const magic = got < 4 ? 0 : view.getUint32(headroomBytes, true)
  const isPcap = isPcapMagic(magic, name)
  if (!isPcap && magic !== sectionHeaderType) {
    throw usageError(`${name} is not a capture: its first bytes are those of no format known here`, {
      code: 'capture-format',
      next: 'pcap and pcapng are read, plain or compressed with gzip or zstd.',
    })
  }
  if (isPcap && got < pcapHeaderBytes) {
    throw usageError(`${name} ends inside its file header, after ${got} bytes${because(source)}`, {
      code: 'capture-truncated',
    })
  }
  const isMicro = magic === pcapMagic.microLittle || magic === pcapMagic.microBig
  if (path === standardInput && isMicro) {
    const { PipeReader } = await import('./pcap-pipe.js')
    return new PipeReader(source, timeBase, first.subarray(headroomBytes, headroomBytes + got))
  }
  const window = new Window()
  window.continueWith(first, headroomBytes, headroomBytes + got)
  return new ScanningReader(source, await scannerFor(isPcap, window, timeBase), window, arena)
}

async function scannerFor(isPcap: boolean, window: Window, timeBase: TimeBase): Promise<RecordScanner> {
  if (isPcap) return new PcapScanner(window, timeBase)
  const { PcapngScanner } = await import('./pcapng.js')
  return new PcapngScanner(timeBase)
}

/** Room for a chunk and its headroom. */
function chunkIn(arena: WasmArena): Uint8Array {
  return arena.array(Uint8Array, headroomBytes + chunkBytes)
}

async function readAtLeast(source: ByteSource, bytes: Uint8Array, wanted: number): Promise<number> {
  let total = 0
  while (total < wanted) {
    const got = await source.read(bytes, headroomBytes + total, chunkBytes - total)
    if (got === 0) break
    total += got
  }
  return total
}

function because(source: ByteSource): string {
  return source.problem === undefined ? '' : ` (${source.problem})`
}

/** Reads ahead into one of two buffers while the other is scanned. */
class ScanningReader implements FrameReader {
  readonly frame = new Frame()
  readonly format: string
  private readonly window: Window
  private readonly source: ByteSource
  private readonly scanner: RecordScanner
  readonly batch: SegmentBatch
  /** The window is on one of them; the other one is read into. */
  private readonly chunks: readonly [Uint8Array, Uint8Array]
  private coming: Promise<number> | undefined
  private ended = false
  private endProblem: CaptureProblem | undefined

  constructor(
    source: ByteSource,
    scanner: RecordScanner,
    window: Window,
    readonly arena: WasmArena,
  ) {
    this.chunks = [window.bytes, chunkIn(arena)]
    this.batch = new SegmentBatch(arena)
    this.source = source
    this.scanner = scanner
    this.window = window
    const { compression } = source
    this.format = compression === undefined ? scanner.format : `${scanner.format}+${compression}`
  }

  get snapLength(): number {
    return this.scanner.snapLength
  }

  get linkTypes(): readonly number[] {
    return this.scanner.linkTypes
  }

  get dropped(): number | undefined {
    return this.scanner.dropped
  }

  get problem(): CaptureProblem | undefined {
    return this.scanner.problem ?? this.endProblem
  }

  next(): boolean {
    return this.scanner.next(this.window, this.frame) === step.record
  }

  gather(): void {
    this.scanner.gather(this.window, this.batch)
  }

  async fill(): Promise<boolean> {
    if (this.ended || this.scanner.problem) return false
    const got = await (this.coming ?? this.readAhead())
    this.coming = undefined
    if (got === 0) {
      this.ended = true
      this.endProblem = this.problemAtEnd()
      return false
    }
    this.window.continueWith(this.spare, headroomBytes, headroomBytes + got)
    if (!this.source.isAtHand) this.coming = this.readAhead()
    return true
  }

  async close(): Promise<void> {
    await this.coming?.catch(() => 0)
    await this.source.close()
  }

  private problemAtEnd(): CaptureProblem | undefined {
    const { rest, offset } = this.window
    const problem = this.scanner.atEnd(rest, offset)
    if (this.source.problem === undefined) return problem
    const message = `the compressed data are broken after ${offset + rest} bytes: ${this.source.problem}`
    return { kind: 'truncated', offset: problem?.offset ?? offset, message }
  }

  private get spare(): Uint8Array {
    const [one, other] = this.chunks
    return this.window.bytes === one ? other : one
  }

  private readAhead(): Promise<number> {
    const reading = this.source.read(this.spare, headroomBytes, chunkBytes)
    // The failure surfaces at the next `fill`; without this line it would count as unhandled in between.
    reading.catch(() => 0)
    return reading
  }
}
