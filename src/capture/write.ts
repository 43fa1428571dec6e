/** Writes nanosecond pcap files, and merges several captures of one link type by time stamp in bounded memory. */

import { open } from 'node:fs/promises'
import { failure } from '../support/errors.js'
import type { Frame } from './frame.js'
import { pcapHeaderBytes, pcapMagic } from './pcap.js'
import { type FrameReader, openCapture } from './read.js'
import { maxFrameBytes, TimeBase } from './record-scanner.js'
import { TimeOrder } from './time-order.js'

const bufferBytes = 1024 * 1024
const recordHeaderBytes = 16

/** A nanosecond pcap file being written, through a buffer of its own. */
export class PcapWriter {
  private readonly bytes = new Uint8Array(bufferBytes)
  private readonly view = new DataView(this.bytes.buffer)
  private used = 0
  private readonly file: Awaited<ReturnType<typeof open>>

  private constructor(file: Awaited<ReturnType<typeof open>>) {
    this.file = file
  }

  static async create(path: string, linkType: number, snapLength: number): Promise<PcapWriter> {
    const writer = new PcapWriter(await open(path, 'w'))
    writer.view.setUint32(0, pcapMagic.nanoLittle, true)
    writer.view.setUint16(4, 2, true)
    writer.view.setUint16(6, 4, true)
    writer.view.setUint32(16, snapLength, true)
    writer.view.setUint32(20, linkType, true)
    writer.used = pcapHeaderBytes
    return writer
  }

  /** True when one more frame of any size may not fit: call `flush` first. */
  get full(): boolean {
    return this.used + recordHeaderBytes + maxFrameBytes > bufferBytes
  }

  /** Puts a frame in the buffer; `full` must be false. */
  add(frame: Frame, baseSeconds: number): void {
    const seconds = Math.floor(frame.timeNs / 1e9)
    this.view.setUint32(this.used, baseSeconds + seconds, true)
    this.view.setUint32(this.used + 4, frame.timeNs - seconds * 1e9, true)
    this.view.setUint32(this.used + 8, frame.capLength, true)
    this.view.setUint32(this.used + 12, frame.wireLength, true)
    const bytes = frame.bytes.subarray(frame.start, frame.end)
    this.bytes.set(bytes, this.used + recordHeaderBytes)
    this.used += recordHeaderBytes + frame.capLength
  }

  async flush(): Promise<void> {
    for (let done = 0; done < this.used; ) {
      done += (await this.file.write(this.bytes, done, this.used - done)).bytesWritten
    }
    this.used = 0
  }

  async close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      await this.file.close()
    }
  }
}

/**
 * Merges captures by time stamp into one nanosecond pcap; frames of equal time keep the order of `inputs`. All must
 * have the same link type and be whole. Resolves to the number of frames written.
 */
export async function mergeCaptures(inputs: readonly string[], output: string): Promise<number> {
  const timeBase = new TimeBase()
  const readers: FrameReader[] = []
  try {
    for (const path of inputs) readers.push(await openCapture(path, timeBase))
    const linkType = readers[0]?.linkTypes[0] ?? 1
    const odd = readers.findIndex((reader) => reader.linkTypes[0] !== linkType)
    if (odd !== -1) {
      throw failure(`cannot merge ${inputs[odd]} with ${inputs[0]}: their link types differ`, {
        code: 'capture-merge',
      })
    }
    const snapLength = Math.max(...readers.map((reader) => reader.snapLength))
    const writer = await PcapWriter.create(output, linkType, snapLength)
    try {
      return await copyInOrder(readers, inputs, writer, timeBase)
    } finally {
      await writer.close()
    }
  } finally {
    for (const reader of readers) await reader.close()
  }
}

async function copyInOrder(
  readers: readonly FrameReader[],
  paths: readonly string[],
  writer: PcapWriter,
  timeBase: TimeBase,
): Promise<number> {
  const merge = new TimeOrder(readers)
  let frames = 0
  for (let at = await merge.first(); at !== -1; at = merge.step() ? merge.current : await merge.refill()) {
    const reader = readers[at]
    if (!reader) break
    if (writer.full) await writer.flush()
    writer.add(reader.frame, timeBase.seconds ?? 0)
    frames++
  }
  for (const [i, reader] of readers.entries()) {
    if (reader.problem) {
      throw failure(`${paths[i]}: ${reader.problem.message}`, { code: 'capture-truncated' })
    }
  }
  return frames
}
