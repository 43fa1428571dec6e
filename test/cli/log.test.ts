/** Logs never reach stdout, and the last line before an exit is in the file. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/temporary.js'

test('a process that exits right after logging loses nothing and keeps stdout clean', (context) => {
  const file = join(temporaryDirectory(context), 'logs', 'run.log')
  const module = new URL('../../src/cli/log.js', import.meta.url).href
  const script = `const { openLog } = await import(${JSON.stringify(module)})
const log = openLog({ name: 'run', level: 'error', file: ${JSON.stringify(file)} })
log.info({ pages: 3 }, 'quiet')
log.error('loud')
process.exit(0)`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.equal(stdout, '')
  assert.match(stderr, /^\{[^\n]*"msg":"loud"\}\n$/)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  assert.equal(lines.length, 2)
  assert.match(lines[0] ?? '', /"name":"run".*"pages":3.*"msg":"quiet"/)
})
