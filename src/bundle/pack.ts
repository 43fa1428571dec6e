/**
 * Directories of results as one zip archive: everything that their checksum lists name, and nothing that changed since.
 * The same directories give the same bytes, whoever packs them and when.
 */

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import yazl from 'yazl'
import { failure, messageOf, usageError } from '../support/errors.js'
import {
  type BundledFile,
  type BundleIndex,
  type BundlePart,
  badName,
  bundleSchema,
  indexName,
} from './bundle-index.js'

export interface PartSource extends BundlePart {
  /** The directory on disk. */
  readonly directory: string
}

/** Made from the results, by whoever wants to see them; it may be made anew at any time. */
const madeFromResults = 'report.html'
const checksums = 'SHA256SUMS'

/** The same for every entry: time and rights of a file say nothing about a result. */
const entryOptions = {
  mtime: new Date(1980, 0, 1),
  mode: 0o100644,
  forceDosTimestamp: true,
  compressionLevel: 6,
}

/** Writes the archive. Usage error when a directory was never finished, or differs from its own checksums. */
export async function packBundle(
  sources: readonly PartSource[],
  file: string,
  version: string,
): Promise<BundleIndex> {
  const found: { readonly from: string; readonly entry: BundledFile }[] = []
  for (const source of sources) {
    for (const listed of await listOf(source.directory)) {
      const from = join(source.directory, listed.name)
      found.push({ from, entry: await checked(from, `${source.path}/${listed.name}`, listed.sha256) })
    }
    // The list vouches for the rest, and goes with it.
    const own = join(source.directory, checksums)
    found.push({ from: own, entry: await checked(own, `${source.path}/${checksums}`, undefined) })
  }
  const index: BundleIndex = {
    schema: bundleSchema,
    pagewire: version,
    parts: sources.map(({ path, kind }) => ({ path, kind })),
    files: found.map(({ entry }) => entry),
  }
  const zip = new yazl.ZipFile()
  zip.addBuffer(Buffer.from(`${JSON.stringify(index, null, 2)}\n`), indexName, entryOptions)
  for (const { from, entry } of found) zip.addFile(from, entry.path, entryOptions)
  zip.end()
  const broken = new Promise<never>((_, reject) => zip.once('error', reject))
  try {
    await Promise.race([pipeline(zip.outputStream, createWriteStream(file)), broken])
  } catch (error) {
    await rm(file, { force: true })
    throw failure(`cannot write ${file}: ${messageOf(error)}`, { code: 'unwritable', cause: error })
  }
  return index
}

interface Listed {
  readonly name: string
  readonly sha256: string
}

async function listOf(directory: string): Promise<readonly Listed[]> {
  let text: string
  try {
    text = await readFile(join(directory, checksums), 'utf8')
  } catch (error) {
    throw usageError(`${directory} has no ${checksums}: ${messageOf(error)}`, {
      code: 'unsealed',
      next: 'Only what a run, a validation or a comparison has finished can be bundled.',
      cause: error,
    })
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, sha256 = '', name = ''] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? []
      const wrong = badName(name)
      if (wrong === undefined) return { name, sha256 }
      throw usageError(`${join(directory, checksums)}: cannot bundle '${name}': ${wrong}`, {
        code: 'bad-checksums',
      })
    })
    .filter(({ name }) => name.split('/').at(-1) !== madeFromResults)
}

async function checked(from: string, path: string, sha256: string | undefined): Promise<BundledFile> {
  const known = await lstat(from).catch(() => undefined)
  if (known?.isFile() !== true) {
    throw usageError(`${from} is on the list of checksums, and not there`, { code: 'changed-since' })
  }
  const hash = createHash('sha256')
  await pipeline(createReadStream(from), hash)
  const entry = { path, bytes: known.size, sha256: hash.digest('hex') }
  if (sha256 === undefined || entry.sha256 === sha256) return entry
  throw usageError(`${from} is not what was measured: its checksum differs from ${checksums}`, {
    code: 'changed-since',
    next: 'A bundle vouches for its files, so it is not made of changed ones.',
  })
}
