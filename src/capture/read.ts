/**
 * Opens a capture file and walks over its frames in bounded memory: while one chunk is being analysed, the next is
 * read in the background. Formats live in files of their own; this one knows only bytes and where they come from.
 */

import { type FileHandle, open } from 'node:fs/promises'
import { messageOf, usageError } from '../support/errors.js'
import { Frame } from './frame.js'
import { isPcapMagic, PcapScanner, pcapHeaderBytes } from './pcap.js'
import { type CaptureProblem, type RecordScanner, step, TimeBase } from './record-scanner.js'
import { headroomBytes, Window } from './window.js'

const chunkBytes = 1024 * 1024

/** Somewhere bytes come from, in order. */
export interface ByteSource {
  /** Puts up to `length` bytes at `bytes[at..]`; resolves to how many, 0 at the end. */
  read(bytes: Uint8Array, at: number, length: number): Promise<number>
  close(): Promise<void>
}

/**
 * The frames of one capture. Use:
 * `do { while (reader.next()) use(reader.frame) } while (await reader.fill())`
 */
export class CaptureReader {
  readonly frame = new Frame()
  private readonly window: Window
  private readonly source: ByteSource
  private readonly scanner: RecordScanner
  private spare: Uint8Array = new Uint8Array(headroomBytes + chunkBytes)
  private coming: Promise<number> | undefined
  private ended = false

  constructor(source: ByteSource, scanner: RecordScanner, window: Window) {
    this.source = source
    this.scanner = scanner
    this.window = window
  }

  get format(): string {
    return this.scanner.format
  }

  /** Bytes kept of each frame; 0 without limit. */
  get snapLength(): number {
    return this.scanner.snapLength
  }

  /** LINKTYPE values of the interfaces seen so far. */
  get linkTypes(): readonly number[] {
    return this.scanner.linkTypes
  }

  /** Why reading stopped early, if it did. Known once `fill` has resolved to false. */
  get problem(): CaptureProblem | undefined {
    return this.scanner.problem ?? this.endProblem
  }
  private endProblem: CaptureProblem | undefined

  /** Moves `frame` to the next frame of the chunk in memory; false when a `fill` is due. */
  next(): boolean {
    return this.scanner.next(this.window, this.frame) === step.record
  }

  /** Gets the next chunk; false at the end of the capture or at the place where it is broken. */
  async fill(): Promise<boolean> {
    if (this.ended || this.scanner.problem) return false
    const got = await (this.coming ?? this.readAhead())
    this.coming = undefined
    if (got === 0) {
      this.ended = true
      this.endProblem = this.scanner.atEnd(this.window.rest, this.window.offset)
      return false
    }
    const used = this.window.bytes
    this.window.continueWith(this.spare, headroomBytes, headroomBytes + got)
    this.spare = used.length === this.spare.length ? used : new Uint8Array(this.spare.length)
    this.coming = this.readAhead()
    return true
  }

  async close(): Promise<void> {
    await this.coming?.catch(() => 0)
    await this.source.close()
  }

  private readAhead(): Promise<number> {
    const reading = this.source.read(this.spare, headroomBytes, chunkBytes)
    // The failure surfaces at the next `fill`; without this line it would count as unhandled in between.
    reading.catch(() => 0)
    return reading
  }
}

/** Opens a capture file. Usage errors (exit 2): no such file, not a capture. */
export async function openCapture(path: string, timeBase = new TimeBase()): Promise<CaptureReader> {
  const source = await openFile(path)
  try {
    const window = new Window()
    const first = new Uint8Array(headroomBytes + chunkBytes)
    const got = await readAtLeast(source, first, pcapHeaderBytes)
    window.continueWith(first, headroomBytes, headroomBytes + got)
    return new CaptureReader(source, scannerFor(path, window, timeBase), window)
  } catch (error) {
    await source.close()
    throw error
  }
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

function scannerFor(path: string, window: Window, timeBase: TimeBase): RecordScanner {
  if (window.rest === 0) throw usageError(`${path} is empty`, { code: 'capture-format' })
  const magic = window.rest < 4 ? 0 : window.view.getUint32(window.position, true)
  if (isPcapMagic(magic)) {
    if (window.rest >= pcapHeaderBytes) return new PcapScanner(window, timeBase)
    throw usageError(`${path} ends inside its file header, after ${window.rest} bytes`, {
      code: 'capture-truncated',
    })
  }
  throw usageError(`${path} is not a capture: its first bytes are those of no format known here`, {
    code: 'capture-format',
  })
}

async function openFile(path: string): Promise<ByteSource> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    throw usageError(`cannot open ${path}: ${messageOf(error)}`, { code: 'capture-unreadable', cause: error })
  }
  return {
    read: async (bytes, at, length) => {
      try {
        return (await file.read(bytes, at, length, null)).bytesRead
      } catch (error) {
        throw usageError(`cannot read ${path}: ${messageOf(error)}`, {
          code: 'capture-unreadable',
          cause: error,
        })
      }
    },
    close: () => file.close(),
  }
}
