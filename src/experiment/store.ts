/**
 * The rows of a comparison in one SQLite file: kept for good one at a time, whatever kills the program in between,
 * and each job at most once. One program at a time may write it.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import sqlite, { type Database } from 'node-sqlite3-wasm'
import { assert } from '../support/assert.js'
import { failure, messageOf, usageError } from '../support/errors.js'
import type { Job, Row } from './comparison.js'

export class ComparisonStore {
  readonly #db: Database
  readonly #release: () => void

  private constructor(db: Database, release: () => void) {
    this.#db = db
    this.#release = release
  }

  /** Opens or makes the store. A failure when another program that lives has it open. */
  static open(file: string): ComparisonStore {
    const release = claim(`${file}.pid`)
    // SQLite's own lock here is a directory, which a killed program leaves behind; the claim says that nobody holds it.
    rmSync(`${file}.lock`, { recursive: true, force: true })
    try {
      const db = new sqlite.Database(file)
      db.exec('pragma synchronous = full')
      db.exec(
        'create table if not exists rows (cell text not null, repetition integer not null, valid integer not null, document text not null, primary key (cell, repetition)) without rowid',
      )
      db.exec('create index if not exists rows_by_validity on rows (valid, cell)')
      return new ComparisonStore(db, release)
    } catch (error) {
      release()
      throw failure(`cannot open ${file}: ${messageOf(error)}`, { code: 'store', cause: error })
    }
  }

  /** Whether a job has a valid row. An invalid one measured nothing, and is worth another try. */
  has({ cell, repetition }: Pick<Job, 'cell' | 'repetition'>): boolean {
    const found = 'select 1 from rows where cell = ? and repetition = ? and valid = 1'
    return this.#db.get(found, [cell, repetition]) !== null
  }

  /** Returns when the row is on the disk. A second row beside a valid one is a broken promise, and refused. */
  keep(row: Row): void {
    const { changes } = this.#db.run(
      `insert into rows values (?, ?, ?, ?) on conflict (cell, repetition)
       do update set valid = excluded.valid, document = excluded.document where valid = 0`,
      [row.cell, row.repetition, row.valid ? 1 : 0, JSON.stringify(row)],
    )
    assert(changes === 1, 'no job is done twice')
  }

  /** All rows by cell and repetition. */
  rows(): readonly Row[] {
    const found = this.#db.all('select document from rows order by cell, repetition')
    return found.map(({ document }) => JSON.parse(String(document)))
  }

  close(): void {
    this.#db.close()
    this.#release()
  }
}

/** Writes our process id; takes over from a process that is gone. Gives what undoes it. */
function claim(file: string): () => void {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch (error) {
      if (!isExisting(error)) {
        throw failure(`cannot write ${file}: ${messageOf(error)}`, { code: 'store', cause: error })
      }
      const holder = Number(readFileSync(file, 'utf8'))
      if (holder > 0 && isAlive(holder)) {
        throw usageError(`process ${holder} is at work on this comparison`, {
          code: 'store-busy',
          next: `Wait for it, or if ${holder} is something else by now, delete ${file}.`,
        })
      }
      rmSync(file, { force: true })
    }
  }
  throw failure(`cannot claim ${file}`, { code: 'store' })
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST'
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
