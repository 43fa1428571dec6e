import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runDirectory } from '../support/run-directory.js'
import { temporaryDirectory } from '../support/temporary.js'
import { pagewire } from './cli.js'

test('a run directory gives its figures again, to the last bit', async (t) => {
  const { directory, result } = await runDirectory(t)
  writeFileSync(join(directory, 'result.json'), JSON.stringify(result))
  const { code, stdout, stderr } = await pagewire(['analyze', directory, '--json'])
  assert.equal(code, 0, stderr)
  const document = JSON.parse(stdout)
  assert.equal(document.runs[0].reproduced, true)
  assert.ok(document.runs[0].classes.some((row: { packets_lost: number }) => row.packets_lost > 0))
  assert.equal(document.files.length, 4)
})

test('a figure that the captures do not give is named, and the exit code is 1', async (t) => {
  const { directory, result } = await runDirectory(t)
  const text = JSON.stringify(result)
  const changed = text.replace(/"packets_lost":(\d+)/, (_, lost) => `"packets_lost":${Number(lost) + 1}`)
  assert.notEqual(changed, text)
  writeFileSync(join(directory, 'result.json'), changed)
  const { code, stdout, stderr } = await pagewire(['analyze', directory, '--json'])
  assert.equal(code, 1)
  const { differences } = JSON.parse(stdout).runs[0]
  assert.equal(differences.length, 1)
  assert.match(differences[0].path, /^classes\[\d+\]\.packets_lost$/)
  assert.equal(differences[0].recorded, differences[0].recomputed + 1)
  assert.match(stderr, /packets_lost/)
})

test('a directory that is none of a run is refused with what is missing', async (t) => {
  const { code, stderr } = await pagewire(['analyze', temporaryDirectory(t)])
  assert.equal(code, 2)
  assert.match(stderr, /cannot (open|read) /)
})
