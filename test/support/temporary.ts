/** A directory that lives as long as one test. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export function temporaryDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'pagewire-test-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Writes a file that the test needs; returns its path. */
export function temporaryFile(context: TestContext, name: string, bytes: Uint8Array): string {
  const path = join(temporaryDirectory(context), name)
  writeFileSync(path, bytes)
  return path
}
