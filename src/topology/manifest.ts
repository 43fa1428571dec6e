/**
 * The list of labs that this program made, one file per lab: who owns it and what is in it. It is written before the
 * first namespace is made, so whatever a killed run leaves is listed; and only what is listed is ever swept.
 */

import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../support/errors.js'

/** Namespaces are named under /run/netns, so their list lives and dies with /run as well. */
export const manifestDirectory = '/run/pagewire'

export interface Process {
  readonly pid: number
  /** Clock ticks since boot at which it started: a process number alone may have gone to somebody else. */
  readonly start_ticks: number
}

export interface Manifest {
  readonly schema: 'pagewire.lab/1'
  readonly run_id: string
  /** Who takes the lab down; null for one that `lab up` left standing for a person. */
  readonly owner: Process | null
  readonly boot_id: string
  readonly created: string
  readonly namespaces: readonly string[]
  /** Private files of the lab, removed with it. */
  readonly directory: string
}

export type OwnerState = 'running' | 'kept' | 'dead'

export function manifestPath(runId: string): string {
  return join(manifestDirectory, `${runId}.json`)
}

/** Writes the manifest whole; false when a lab of that name is listed already. */
export async function claim(manifest: Manifest): Promise<boolean> {
  await mkdir(manifest.directory, { recursive: true, mode: 0o755 })
  const draft = join(manifest.directory, `manifest-${process.pid}`)
  await writeFile(draft, `${JSON.stringify(manifest, null, 2)}\n`)
  try {
    await link(draft, manifestPath(manifest.run_id))
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

/** Forgets a lab and its private files; forgotten already is fine. */
export async function forget(manifest: Manifest): Promise<void> {
  await rm(manifest.directory, { recursive: true, force: true })
  await rm(manifestPath(manifest.run_id), { force: true })
}

/**
 * Takes a dead lab for sweeping; false when another sweeper was faster. The manifest keeps its place in the list (with
 * the sweeper as its owner), so that a sweeper that dies half-way is swept as well.
 */
export async function takeOver(manifest: Manifest): Promise<boolean> {
  const taken = join(manifestDirectory, `.${manifest.run_id}-${process.pid}`)
  try {
    await rename(manifestPath(manifest.run_id), taken)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
  const isStillDead = (await stateOf(await read(taken))) === 'dead'
  if (isStillDead)
    await writeFile(taken, `${JSON.stringify({ ...manifest, owner: await thisProcess() }, null, 2)}\n`)
  await rename(taken, manifestPath(manifest.run_id))
  return isStillDead
}

/** Puts a manifest back whose sweeper was killed between the two renames above. */
async function putBack(name: string): Promise<string> {
  const [, runId = '', pid = ''] = /^\.([a-z0-9]+)-(\d+)$/.exec(name) ?? []
  if (runId === '' || (await startTicks(Number(pid))) !== undefined) return name
  await rename(join(manifestDirectory, name), manifestPath(runId))
  return `${runId}.json`
}

/** Every lab on the list. */
export async function listed(): Promise<readonly Manifest[]> {
  const names: string[] = []
  try {
    for (const name of await readdir(manifestDirectory)) names.push(await putBack(name))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
  const found: Manifest[] = []
  for (const name of names.filter((entry) => entry.endsWith('.json')).sort()) {
    const manifest = await readIfThere(join(manifestDirectory, name))
    if (manifest) found.push(manifest)
  }
  return found
}

export async function find(runId: string): Promise<Manifest | undefined> {
  return readIfThere(manifestPath(runId))
}

/** Whether the owner still lives. A list from before the last boot has no living owner and no namespaces either. */
export async function stateOf(manifest: Manifest): Promise<OwnerState> {
  if (manifest.boot_id !== (await bootId())) return 'dead'
  if (manifest.owner === null) return 'kept'
  return (await startTicks(manifest.owner.pid)) === manifest.owner.start_ticks ? 'running' : 'dead'
}

export async function thisProcess(): Promise<Process> {
  return { pid: process.pid, start_ticks: (await startTicks(process.pid)) ?? 0 }
}

export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}

/** Field 22 of proc(5)'s stat, counted after the name, which may hold anything; undefined when there is no process. */
async function startTicks(pid: number): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie holds nothing any more; it only waits for its parent.
    return fields[0] === 'Z' ? undefined : Number(fields[19])
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(codeOf(error))) return undefined
    throw error
  }
}

async function readIfThere(path: string): Promise<Manifest | undefined> {
  try {
    return await read(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Decodes a file that only this program writes, and checks what deleting relies on. */
async function read(path: string): Promise<Manifest> {
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest
  if (manifest.schema !== 'pagewire.lab/1' || !/^[a-z0-9]{1,12}$/.test(manifest.run_id)) {
    throw new Error(`${path} is not a list of a lab; remove it`)
  }
  return { ...manifest, directory: join(manifestDirectory, manifest.run_id) }
}
