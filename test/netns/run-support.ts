/** Runs the built command as a user does, and finds out whether it left anything behind. */

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ClassResult } from '../../src/analysis/run-classes.js'
import { programFile } from '../../src/experiment/agent-process.js'
import type { MigrationResult, RunResult } from '../../src/experiment/result.js'
import { rememberedPrefix } from '../../src/topology/boot-memory.js'
import { namespaces } from './support.js'

/** Where every process of ours has its program from. */
const program = fileURLToPath(new URL('../../src/', import.meta.url))

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface StartOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly uid?: number
}

/** Starts `pagewire ...args`; `finished` resolves when it has ended, `said` with the first stderr that matches. */
export function start(args: readonly string[], options: StartOptions = {}) {
  const child = spawn(process.execPath, [programFile, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  return { child, finished: ended(child) }
}

function ended(child: ChildProcess): Promise<Finished> {
  const text = { stdout: '', stderr: '' }
  child.stdout?.on('data', (bytes: Buffer) => {
    text.stdout += bytes.toString()
  })
  child.stderr?.on('data', (bytes: Buffer) => {
    text.stderr += bytes.toString()
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...text }))
  })
}

/** `pagewire run --json` with these settings; the result and the exit code. */
export async function run(
  out: string,
  set: readonly string[],
  more: readonly string[] = [],
): Promise<Finished & { result: RunResult }> {
  const settings = set.flatMap((setting) => ['--set', setting])
  const finished = await start(['run', '--json', '--out', out, ...settings, ...more]).finished
  const printed: RunResult | { readonly error: object } = JSON.parse(finished.stdout)
  if ('error' in printed) throw new Error(`run ended with ${finished.code}: ${JSON.stringify(printed.error)}`)
  return { ...finished, result: printed }
}

export const unmarked = ['migration.marking.bulk=best-effort', 'migration.marking.final=best-effort']

/** A guest and a link small enough for a test that is not about speed. */
export const small = [
  'guest.memory=4MiB',
  'link.rate=50mbit',
  'cross_traffic=[{kind: udp-cbr, rate: 30mbit, class: best-effort}]',
]

export function migrationOf(result: RunResult): MigrationResult {
  if (result.migration === null) throw new Error(`no migration: ${result.outcome} ${result.reason}`)
  return result.migration
}

export function classesOf(result: RunResult): readonly ClassResult[] {
  return result.classes as readonly ClassResult[]
}

/** What a test says when a run is not what it should be: enough to know why. */
export function story(result: RunResult): string {
  const broken = result.fidelity.checks.filter((check) => !check.ok)
  return JSON.stringify({ outcome: result.outcome, reason: result.reason, broken, marks: result.marks })
}

/** Everything of ours that a run may leave: namespaces, veths, agents and tcpdumps, temporary files, manifests. */
export function traces(): readonly string[] {
  return [
    ...namespaces().filter((name) => name.startsWith('pw-')),
    ...readdirSync('/sys/class/net').filter((name) => name.startsWith('pw')),
    ...processes().filter(
      (line) => line.includes(program) || /^tcpdump .*pagewire|^tcpdump .*pw-/.test(line),
    ),
    // What is known of the box itself stays until it is booted again.
    ...(directory('/run/pagewire') ?? []).filter((name) => !name.startsWith(rememberedPrefix)),
  ].sort()
}

function directory(path: string): string[] | undefined {
  try {
    return readdirSync(path)
  } catch {
    return undefined
  }
}

function processes(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map((pid) => {
      try {
        return readFileSync(join('/proc', pid, 'cmdline'), 'utf8')
          .replaceAll('\0', ' ')
          .trim()
      } catch {
        return ''
      }
    })
}

/** Resolves when the condition holds; fails after a generous time, with the last state. */
export async function until(what: string, holds: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
