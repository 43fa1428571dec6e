/** What a bundle says of itself: `bundle.json`, its first entry. Whatever it says is checked against what is there. */

import { usageError } from '../support/errors.js'

export const bundleSchema = 'pagewire.bundle/1'
export const indexName = 'bundle.json'

export type PartKind = 'run' | 'validation' | 'comparison'

/** One directory that a command wrote. */
export interface BundlePart {
  /** Its folder in the bundle. */
  readonly path: string
  readonly kind: PartKind
}

export interface BundledFile {
  /** With slashes, below the bundle. */
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

export interface BundleIndex {
  readonly schema: typeof bundleSchema
  /** The version that packed it. */
  readonly pagewire: string
  readonly parts: readonly BundlePart[]
  readonly files: readonly BundledFile[]
}

/** Why a name must not be unpacked, or undefined. Only plain relative paths go into a bundle, so only such come out. */
export function badName(name: string): string | undefined {
  if (name === '' || name.length > 400) return 'its length is out of bounds'
  if (!/^[\w=,.+@ /-]+$/.test(name)) return 'it has characters that no file of a bundle has'
  if (name.startsWith('/')) return 'it is absolute'
  const steps = name.split('/')
  if (steps.some((step) => step === '' || step === '.' || step === '..')) return 'it leads elsewhere'
  return undefined
}

/** Usage error that names what is wrong with the index. */
export function readIndex(text: string, bundle: string): BundleIndex {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refused(bundle, 'it is not JSON')
  }
  if (!isMap(value) || value['schema'] !== bundleSchema)
    throw refused(bundle, `its schema is not ${bundleSchema}`)
  const { pagewire, parts, files } = value
  if (!Array.isArray(parts) || !Array.isArray(files) || typeof pagewire !== 'string') {
    throw refused(bundle, 'pagewire, parts or files are missing')
  }
  return {
    schema: bundleSchema,
    pagewire,
    parts: parts.map((part: unknown) => readPart(part, bundle)),
    files: files.map((file: unknown) => readFile(file, bundle)),
  }
}

function readPart(part: unknown, bundle: string): BundlePart {
  const { path, kind } = isMap(part) ? part : {}
  if (typeof path !== 'string' || badName(path) !== undefined)
    throw refused(bundle, 'a part has no proper path')
  if (kind !== 'run' && kind !== 'validation' && kind !== 'comparison') {
    throw refused(bundle, `part ${path} is neither run, validation nor comparison`)
  }
  return { path, kind }
}

function readFile(file: unknown, bundle: string): BundledFile {
  const { path, bytes, sha256 } = isMap(file) ? file : {}
  if (typeof path !== 'string' || badName(path) !== undefined)
    throw refused(bundle, 'a file has no proper path')
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) {
    throw refused(bundle, `the size of ${path} is no number of bytes`)
  }
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw refused(bundle, `the checksum of ${path} is none`)
  }
  return { path, bytes, sha256 }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refused(bundle: string, reason: string): Error {
  return usageError(`${bundle}: ${indexName}: ${reason}`, { code: 'bad-bundle' })
}
