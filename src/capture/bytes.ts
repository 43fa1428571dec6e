/** Where the bytes of a capture come from: a file or standard input, plain or compressed, always in bounded memory. */

import { createReadStream, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { messageOf, usageError } from '../support/errors.js'

/** Bytes in order. */
export interface ByteSource {
  /** Puts up to `length` bytes at `bytes[at..]`; resolves to how many, 0 at the end. */
  read(bytes: Uint8Array, at: number, length: number): Promise<number>
  close(): Promise<void>
  /** Why the end came early, if the bytes themselves (compressed ones) say so. */
  readonly problem: string | undefined
  /** `gzip`, `zstd`, or undefined. */
  readonly compression: string | undefined
  /** Whether the bytes are at hand, so that reading ahead of their use gains nothing. */
  readonly isAtHand: boolean
}

/** The name for standard input. */
export const standardInput = '-'

/** Opens a file, or standard input for `-`. Usage error if it cannot be read. */
export async function openBytes(path: string): Promise<ByteSource> {
  return path === standardInput ? fromStandardInput() : fromFile(path)
}

async function fromFile(path: string): Promise<ByteSource> {
  const file = await openFile(path)
  try {
    const magic = new Uint8Array(4)
    await file.read(magic, 0, 4, 0)
    const compression = compressionOf(magic)
    if (compression === undefined) return plainFile(path, file, (await file.stat()).isFile())
    await file.close()
    return decompressed(createReadStream(path, { highWaterMark: readBytes }), compression)
  } catch (error) {
    await file.close().catch(() => {})
    throw cannotRead(path, error)
  }
}

const readBytes = 256 * 1024

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    throw usageError(`cannot open ${path}: ${messageOf(error)}`, { code: 'capture-unreadable', cause: error })
  }
}

function cannotRead(path: string, error: unknown): Error {
  return usageError(`cannot read ${path}: ${messageOf(error)}`, { code: 'capture-unreadable', cause: error })
}

/**
 * Regular files are read in place: a chunk from the page cache takes a tenth of a millisecond, less than to wake up a
 * thread for it and to be woken up by that. Pipes and devices, which may make one wait, go through the thread pool.
 */
function plainFile(path: string, file: FileHandle, isRegular: boolean): ByteSource {
  return {
    problem: undefined,
    compression: undefined,
    isAtHand: isRegular,
    read: async (bytes, at, length) => {
      try {
        if (isRegular) return readSync(file.fd, bytes, at, length, null)
        return (await file.read(bytes, at, length, null)).bytesRead
      } catch (error) {
        throw cannotRead(path, error)
      }
    },
    close: () => file.close(),
  }
}

async function fromStandardInput(): Promise<ByteSource> {
  const chunks: AsyncIterator<Uint8Array> = process.stdin[Symbol.asyncIterator]()
  const start: Uint8Array[] = []
  let known = 0
  while (known < 4) {
    const { value, done } = await chunks.next()
    if (done) break
    start.push(value)
    known += value.length
  }
  const compression = compressionOf(Buffer.concat(start))
  const all = restOf(start, chunks)
  return compression === undefined ? new StreamSource(all, undefined) : decompressed(all, compression)
}

async function* restOf(
  start: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* start
  for (;;) {
    const { value, done } = await rest.next()
    if (done) return
    yield value
  }
}

function compressionOf(magic: Uint8Array): 'gzip' | 'zstd' | undefined {
  const [a, b, c, d] = magic
  if (a === 0x1f && b === 0x8b) return 'gzip'
  return a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd ? 'zstd' : undefined
}

function decompressed(chunks: AsyncIterable<Uint8Array>, compression: 'gzip' | 'zstd'): ByteSource {
  return new StreamSource(compression === 'gzip' ? gunzipped(chunks) : unzstded(chunks), compression)
}

async function* gunzipped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { createGunzip } = await import('node:zlib')
  const gunzip = createGunzip({ chunkSize: readBytes })
  const feeding = (async () => {
    for await (const chunk of chunks) {
      if (gunzip.destroyed) return
      if (!gunzip.write(chunk)) await drained(gunzip)
    }
    gunzip.end()
  })()
  feeding.catch((error) => gunzip.destroy(error instanceof Error ? error : undefined))
  yield* gunzip
  await feeding
}

/** Resolves when `stream` takes more, or never will. */
function drained(stream: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}

/** Node learned zstd in version 22.15, so this is a small library's work. */
async function* unzstded(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import('fzstd')
  const ready: Uint8Array[] = []
  let ended = false
  const stream = new Decompress((chunk, final) => {
    ready.push(chunk)
    ended = final === true
  })
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += readBytes) {
      stream.push(chunk.subarray(at, at + readBytes))
      yield* ready.splice(0)
    }
  }
  stream.push(new Uint8Array(0), true)
  yield* ready.splice(0)
  if (!ended) throw new Error('the zstd stream has no end')
}

/** Pulls bytes out of a stream of chunks. What breaks on the way ends the bytes and becomes their `problem`. */
class StreamSource implements ByteSource {
  problem: string | undefined
  readonly isAtHand = false
  private readonly chunks: AsyncIterator<Uint8Array>
  private rest: Uint8Array = new Uint8Array(0)

  constructor(
    chunks: AsyncIterable<Uint8Array>,
    readonly compression: string | undefined,
  ) {
    this.chunks = chunks[Symbol.asyncIterator]()
  }

  async read(bytes: Uint8Array, at: number, length: number): Promise<number> {
    while (this.rest.length === 0) {
      try {
        const { value, done } = await this.chunks.next()
        if (done) return 0
        this.rest = value
      } catch (error) {
        this.problem = messageOf(error)
        return 0
      }
    }
    const taken = this.rest.subarray(0, length)
    bytes.set(taken, at)
    this.rest = this.rest.subarray(taken.length)
    return taken.length
  }

  async close(): Promise<void> {
    await this.chunks.return?.()
  }
}
