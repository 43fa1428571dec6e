/**
 * Unpacks a bundle into a directory of its own, recomputes what it reports and says what matches. Captures, the bulk
 * of a bundle, are there one run at a time.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Difference, differencesOf } from '../analysis/differences.js'
import { expectationFile } from '../analysis/run-expectation.js'
import type { Job } from '../experiment/comparison.js'
import type { RunResult } from '../experiment/result.js'
import type { BundledFile, BundleIndex, BundlePart } from './bundle-index.js'
import { type OpenBundle, openBundle, requireRoom } from './open.js'
import { type Recomputed, recomputeComparison, recomputeRun, recomputeValidation } from './recompute.js'

export const verificationSchema = 'pagewire.verification/1'

/** What one document of the bundle says, against what it was made of. */
export interface Finding {
  /** Path in the bundle: of a run, a validation or a comparison. */
  readonly part: string
  readonly from: 'captures' | 'runs'
  /** Numbers that were recomputed, those that differ included. */
  readonly numbers: number
  readonly differences: readonly Difference[]
  /** Why nothing could be recomputed. */
  readonly skipped?: string
}

export interface Verification {
  readonly schema: typeof verificationSchema
  readonly bundle: string
  /** Every checksum holds, and every recomputed number is the reported one. */
  readonly matches: boolean
  /** The version that made the bundle. */
  readonly pagewire: string
  readonly files: number
  readonly bytes: number
  readonly numbers: number
  readonly findings: readonly Finding[]
}

export interface VerifyOptions {
  /** One cell of a predicted comparison again. */
  readonly predictAgain: (text: string, job: Job) => Promise<RunResult>
  readonly onPart?: (part: string) => void
}

/** Usage error (exit 2) for a bundle that is cut off, damaged or changed. Needs no privilege. */
export async function verifyBundle(path: string, options: VerifyOptions): Promise<Verification> {
  const bundle = await openBundle(path)
  const directory = await mkdtemp(join(tmpdir(), 'pagewire-verify-'))
  try {
    await requireRoom(directory, bundle.bytes)
    const { index } = bundle
    const findings: Finding[] = []
    for (const file of index.files) if (!isCapture(file)) await bundle.unpack(file, directory)
    for (const run of runsOf(index)) {
      options.onPart?.(run)
      findings.push(await ofRun(run, bundle, directory))
    }
    for (const part of index.parts) {
      if (part.kind === 'run') continue
      options.onPart?.(part.path)
      findings.push(await ofRuns(part, directory, options))
    }
    return {
      schema: verificationSchema,
      bundle: path,
      matches: findings.every(({ differences }) => differences.length === 0),
      pagewire: index.pagewire,
      files: index.files.length,
      bytes: bundle.bytes,
      numbers: findings.reduce((sum, { numbers }) => sum + numbers, 0),
      findings,
    }
  } finally {
    bundle.close()
    await rm(directory, { recursive: true, force: true })
  }
}

function isCapture({ path }: BundledFile): boolean {
  return path.endsWith('.pcap')
}

/** The folders of all runs, in the order of the bundle. */
function runsOf({ files }: BundleIndex): readonly string[] {
  return files.flatMap(({ path }) =>
    path.endsWith('/result.json') ? [path.slice(0, -'/result.json'.length)] : [],
  )
}

async function ofRun(run: string, { index, unpack }: OpenBundle, directory: string): Promise<Finding> {
  const captures = index.files.filter((file) => isCapture(file) && file.path.startsWith(`${run}/captures/`))
  const expected = index.files.some(({ path }) => path === `${run}/captures/${expectationFile}`)
  for (const file of captures) await unpack(file, directory)
  if (captures.length === 0 || !expected) {
    return { part: run, from: 'captures', numbers: 0, differences: [], skipped: 'its captures were not kept' }
  }
  try {
    return { part: run, from: 'captures', ...compared(await recomputeRun(join(directory, run))) }
  } finally {
    for (const { path } of captures) await rm(join(directory, path), { force: true })
  }
}

async function ofRuns(part: BundlePart, directory: string, options: VerifyOptions): Promise<Finding> {
  const at = join(directory, part.path)
  const pair =
    part.kind === 'validation'
      ? await recomputeValidation(at)
      : await recomputeComparison(at, options.predictAgain)
  return { part: part.path, from: 'runs', ...compared(pair) }
}

function compared({ recorded, recomputed }: Recomputed): Pick<Finding, 'numbers' | 'differences'> {
  return { numbers: numbersIn(recorded), differences: withoutPaths(differencesOf(recorded, recomputed)) }
}

/** Where a run's directory was when it was made is no result: the bundle is elsewhere now. */
function withoutPaths(differences: readonly Difference[]): readonly Difference[] {
  return differences.filter(({ path }) => !path.endsWith('run_dir'))
}

function numbersIn(value: unknown): number {
  if (typeof value === 'number') return 1
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce((sum: number, part: unknown) => sum + numbersIn(part), 0)
}
