/**
 * Opens a bundle that may come from anybody: every name, size and checksum is compared with the bundle's own list
 * before anybody looks inside a file, and nothing is ever written outside of the directory that was asked for.
 */

import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform, type TransformCallback } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { environmentError, messageOf, PagewireError, usageError } from '../support/errors.js'
import { type BundledFile, type BundleIndex, badName, indexName, readIndex } from './bundle-index.js'

const entriesMax = 200_000
const indexBytesMax = 64 * 2 ** 20
/** Deflate can make 1 byte of 1032; captures and logs shrink 3 to 50 times. */
const expansionMax = 200
/** Below this nobody minds. */
const smallBytes = 16 * 2 ** 20

export interface OpenBundle {
  readonly index: BundleIndex
  /** Bytes of all files. */
  readonly bytes: number
  /** Writes one file below `directory`; usage error if it is not what the list says. */
  unpack(file: BundledFile, directory: string): Promise<string>
  close(): void
}

/** Usage error (exit 2) that says what is wrong, and where, with anything that is not a whole and plain bundle. */
export async function openBundle(path: string): Promise<OpenBundle> {
  const zip = await opened(path)
  try {
    const entries = await entriesOf(zip, path)
    const index = readIndex(await indexText(zip, entries.get(indexName), path), path)
    const { size } = await stat(path)
    compareLists(index, entries, size, path)
    return {
      index,
      bytes: index.files.reduce((sum, file) => sum + file.bytes, 0),
      unpack: (file, directory) => unpack(zip, entries.get(file.path), file, directory, path),
      close: () => zip.close(),
    }
  } catch (error) {
    zip.close()
    throw error
  }
}

/** Environment error when the directory's file system has no room for that many bytes. */
export async function requireRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  if (bavail * bsize > bytes) return
  throw environmentError(`${directory} has no room for ${Math.ceil(bytes / 2 ** 20)} MiB`, {
    code: 'no-room',
    next: 'Set TMPDIR to a directory that has.',
  })
}

async function opened(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { lazyEntries: true, autoClose: false, strictFileNames: true })
  } catch (error) {
    const bytes = (await stat(path).catch(() => undefined))?.size
    const where =
      bytes === undefined ? '' : ` (${bytes} bytes; the list of entries should stand at their end)`
    throw usageError(`${path} is no whole bundle: ${messageOf(error)}${where}`, {
      code: 'bad-bundle',
      next: 'It may be cut off: fetch it again.',
      cause: error,
    })
  }
}

async function entriesOf(zip: ZipFile, path: string): Promise<ReadonlyMap<string, Entry>> {
  const entries = new Map<string, Entry>()
  try {
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileName
      const wrong =
        badName(name) ??
        (entries.has(name) ? 'it is there twice' : undefined) ??
        (entry.isEncrypted() ? 'it is encrypted' : undefined) ??
        (isPlain(entry) ? undefined : 'it is no plain file')
      if (wrong !== undefined)
        throw usageError(`${path}: entry '${shown(name)}': ${wrong}`, { code: 'bad-bundle' })
      entries.set(name, entry)
      if (entries.size > entriesMax) throw usageError(`${path}: too many entries`, { code: 'bad-bundle' })
    }
  } catch (error) {
    if (error instanceof PagewireError) throw error
    const place = `after ${entries.size} entries`
    throw usageError(`${path}: ${messageOf(error)} (${place})`, { code: 'bad-bundle', cause: error })
  }
  return entries
}

/** The upper half holds the rights of a Unix file: a link or a device has another type. */
function isPlain(entry: Entry): boolean {
  const type = (entry.externalFileAttributes >>> 16) & 0o170000
  return (type === 0 || type === 0o100000) && entry.canDecodeFileData()
}

async function indexText(zip: ZipFile, entry: Entry | undefined, path: string): Promise<string> {
  if (entry === undefined) {
    throw usageError(`${path} is no bundle: it has no ${indexName}`, {
      code: 'bad-bundle',
      next: 'Bundles are made by pagewire report --bundle.',
    })
  }
  if (entry.uncompressedSize > indexBytesMax) {
    throw usageError(`${path}: ${indexName} is too large`, { code: 'bad-bundle' })
  }
  const chunks: Buffer[] = []
  try {
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk)
  } catch (error) {
    throw damaged(path, indexName, error)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The list and the entries name the same files with the same sizes, and no file expands beyond reason. */
function compareLists(
  { files }: BundleIndex,
  entries: ReadonlyMap<string, Entry>,
  archiveBytes: number,
  path: string,
): void {
  const wrong = (message: string): never => {
    throw usageError(`${path}: ${message}`, { code: 'bad-bundle', next: 'It was changed after it was made.' })
  }
  const listed = new Map(files.map((file) => [file.path, file]))
  if (listed.size !== files.length) wrong(`${indexName} names a file twice`)
  for (const [name, entry] of entries) {
    const file = listed.get(name)
    if (name === indexName) continue
    if (file === undefined) wrong(`entry '${name}' is not in ${indexName}`)
    else if (file.bytes !== entry.uncompressedSize) {
      wrong(`entry '${name}' holds ${entry.uncompressedSize} bytes, ${indexName} says ${file.bytes}`)
    }
  }
  for (const file of files) if (!entries.has(file.path)) wrong(`'${file.path}' is missing`)
  const all = [...entries.values()]
  const packed = all.reduce((sum, entry) => sum + entry.compressedSize, 0)
  const unpacked = all.reduce((sum, entry) => sum + entry.uncompressedSize, 0)
  if (packed > archiveBytes) wrong('its entries overlap each other')
  if (unpacked > smallBytes && unpacked > expansionMax * archiveBytes) {
    wrong(`it would grow from ${archiveBytes} to ${unpacked} bytes, as no result does`)
  }
}

async function unpack(
  zip: ZipFile,
  entry: Entry | undefined,
  file: BundledFile,
  directory: string,
  path: string,
): Promise<string> {
  const target = join(directory, file.path)
  const hash = createHash('sha256')
  try {
    if (entry === undefined) throw new Error('it is missing')
    await mkdir(dirname(target), { recursive: true })
    // yauzl ends with an error as soon as an entry gives more bytes than it says.
    const bytes = await zip.openReadStreamPromise(entry)
    await pipeline(bytes, hashing(hash), createWriteStream(target, { flags: 'wx' }))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') {
      throw environmentError(`no room to unpack ${file.path}: ${error.message}`, { code: 'no-room' })
    }
    throw damaged(path, file.path, error)
  }
  if (hash.digest('hex') === file.sha256) return target
  throw usageError(`${path}: '${file.path}' is not what was bundled: its checksum differs`, {
    code: 'tampered',
    next: 'It was changed after it was made, or damaged on its way.',
  })
}

function hashing(hash: ReturnType<typeof createHash>): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding: string, done: TransformCallback) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
}

function damaged(path: string, name: string, error: unknown): Error {
  return usageError(`${path}: '${name}' cannot be unpacked: ${messageOf(error)}`, {
    code: 'bad-bundle',
    next: 'It was damaged on its way: fetch it again.',
    cause: error,
  })
}

/** Names of strangers, without what a terminal would act upon. */
function shown(name: string): string {
  return name.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80)
}
