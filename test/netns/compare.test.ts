/** A measured comparison that is killed in the middle of a run: what had ended stays, the rest is done, nothing is left. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Comparison } from '../../src/experiment/comparison.js'
import { temporaryDirectory } from '../support/temporary.js'
import { start, traces, until } from './run-support.js'
import { needsRoot } from './support.js'

const plan = `
name: killed
repetitions: 1
scenario:
  link: { rate: 20mbit }
  guest: { memory: 2MiB, device_state: 64KiB, workload: { kind: idle } }
  client: { rate: 0 }
  cross_traffic: []
axes:
  migration.marking.bulk: [best-effort, CS7]
`

test('killed in its second run, a comparison resumes with the first one kept', {
  skip: needsRoot,
}, async (t) => {
  const directory = temporaryDirectory(t)
  const before = traces()
  const [file, out] = [join(directory, 'plan.yaml'), join(directory, 'out')]
  writeFileSync(file, plan)
  const first = start(['compare', file, '--out', out])
  t.after(() => first.child.kill('SIGKILL'))
  await until(
    'the second run',
    () => (runs(out).length === 2 && capturing(out)) || first.child.exitCode !== null,
  )
  first.child.kill('SIGKILL')
  await first.finished
  const [kept] = runs(out).filter((name) => existsSync(join(out, 'runs', name, 'result.json')))

  const { code, stdout, stderr } = await start(['compare', out, '--resume', '--json']).finished
  const comparison: Comparison = JSON.parse(stdout)
  assert.equal(comparison.complete, true, stderr)
  assert.equal(comparison.rows.length, 2)
  assert.equal(new Set(comparison.rows.map(({ cell }) => cell)).size, 2)
  assert.ok(comparison.rows.every((row) => row.origin === 'measured' && row.outcome === 'completed'))
  assert.ok(
    kept !== undefined && runs(out).filter((name) => name.startsWith(kept)).length === 1,
    'not done twice',
  )
  assert.equal(code, comparison.invalid_rows === 0 ? 0 : 5)
  assert.deepEqual(traces(), before, 'what the killed run left is swept')
})

function runs(out: string): readonly string[] {
  return existsSync(join(out, 'runs')) ? readdirSync(join(out, 'runs')).toSorted() : []
}

/** Every run that has no result yet records already. */
function capturing(out: string): boolean {
  const open = runs(out).filter((name) => !existsSync(join(out, 'runs', name, 'result.json')))
  return open.length > 0 && open.every((name) => readdirSync(join(out, 'runs', name, 'captures')).length > 0)
}
