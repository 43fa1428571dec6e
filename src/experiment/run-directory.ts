/** The directory of one run: made for the person who called sudo, complete with checksums at the end. */

import { createHash } from 'node:crypto'
import { chownSync, createReadStream, createWriteStream, type WriteStream } from 'node:fs'
import { chown, lchown, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { failure, messageOf, usageError } from '../support/errors.js'

export class RunDirectory {
  readonly path: string
  readonly #firstMade: string | undefined
  readonly #events: WriteStream

  private constructor(path: string, firstMade: string | undefined) {
    this.path = path
    this.#firstMade = firstMade
    this.#events = createWriteStream(join(path, 'events.jsonl'), { flags: 'a' })
  }

  /** Makes the directory with these parts in it. A usage error when it exists and is not empty: results are never overwritten. */
  static async make(path: string, parts: readonly string[] = ['logs', 'captures']): Promise<RunDirectory> {
    const full = resolve(path)
    try {
      const firstMade = await mkdir(full, { recursive: true })
      if ((await readdir(full)).length > 0) {
        throw usageError(`${path} is not empty`, {
          code: 'run-dir-exists',
          next: 'Name another directory with --out.',
        })
      }
      for (const part of parts) await mkdir(join(full, part))
      return new RunDirectory(full, firstMade)
    } catch (error) {
      if (error instanceof Error && 'exit' in error) throw error
      throw failure(`cannot make the run directory ${path}: ${messageOf(error)}`, {
        code: 'run-dir',
        next: 'Name another directory with --out.',
        cause: error,
      })
    }
  }

  /** The directory of something that goes on; its events are added to. */
  static reopen(path: string): RunDirectory {
    return new RunDirectory(resolve(path), undefined)
  }

  logFile(agent: string): string {
    return join(this.path, 'logs', `${agent}.log`)
  }

  captureFile(point: string): string {
    return join(this.path, 'captures', `${point}.pcap`)
  }

  /** One line of events.jsonl. */
  event(entry: object): void {
    this.#events.write(`${JSON.stringify(entry)}\n`)
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.path, name), text)
  }

  /** Deletes the captures, where their figures are wanted and they are too large to keep. */
  async dropCaptures(): Promise<void> {
    await rm(join(this.path, 'captures'), { recursive: true, force: true })
  }

  /** Closes the events, lists the checksums and gives everything to the person who called sudo. */
  async seal(): Promise<void> {
    await new Promise<void>((done) => this.#events.end(done))
    const files = (await filesBelow(this.path)).filter((file) => file !== 'SHA256SUMS').sort()
    const lines: string[] = []
    for (const file of files) lines.push(`${await sha256(join(this.path, file))}  ${file}\n`)
    await this.write('SHA256SUMS', lines.join(''))
    await this.#giveAway()
  }

  async #giveAway(): Promise<void> {
    const owner = sudoCaller()
    if (owner === undefined) return
    await giveTree(this.path, owner)
    // Parents that this run made, such as pagewire-runs, belong to the caller too.
    if (this.#firstMade === undefined) return
    for (let parent = dirname(this.path); parent.startsWith(this.#firstMade); parent = dirname(parent)) {
      await chown(parent, owner.uid, owner.gid)
    }
  }
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Who called sudo, if somebody did. */
export function sudoCaller(): Owner | undefined {
  const uid = Number(process.env['SUDO_UID'])
  const gid = Number(process.env['SUDO_GID'])
  const known = process.getuid?.() === 0 && Number.isInteger(uid) && Number.isInteger(gid) && uid > 0
  return known ? { uid, gid } : undefined
}

/** A file that was made under sudo belongs to the person who called sudo. */
export function giveFile(file: string): void {
  const owner = sudoCaller()
  if (owner !== undefined) chownSync(file, owner.uid, owner.gid)
}

async function giveTree(path: string, owner: Owner): Promise<void> {
  for (const file of await filesBelow(path, true)) await lchown(join(path, file), owner.uid, owner.gid)
  await chown(path, owner.uid, owner.gid)
}

/** Paths of all files below, and of directories too when asked, relative to the directory. */
async function filesBelow(path: string, directories = false): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => directories || !entry.isDirectory())
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
