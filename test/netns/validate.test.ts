/** `pagewire validate` on real runs: one short pair, its document, and nothing left behind. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { programFile } from '../../src/experiment/agent-process.js'
import type { Validation } from '../../src/experiment/validate.js'
import { temporaryDirectory } from '../support/temporary.js'
import { namespaces, needsRoot } from './support.js'

const small = [
  'link.rate=50mbit',
  'guest.memory=4MiB',
  'guest.device_state=64KiB',
  'cross_traffic.0.rate=30mbit',
]

test('one pair: same guest, other marks, figures of both, and no verdict from so few', {
  skip: needsRoot,
}, async (t) => {
  const out = join(temporaryDirectory(t), 'validation')
  const before = namespaces()
  const { code, stdout } = await validate(['--pairs', '1', '--run-limit', '2s', '--out', out])
  assert.equal(code, 5)
  const validation: Validation & { run_dir: string } = JSON.parse(stdout)
  assert.equal(validation.schema, 'pagewire.validation/1')
  assert.deepEqual([validation.verdict, validation.pairs], ['INCONCLUSIVE', 1])
  const counted = validation.runs.filter(({ use }) => use === 'counted')
  assert.equal(new Set(counted.map(({ seed }) => seed)).size, 1)
  const goodput = validation.claims.find(({ metric }) => metric === 'goodput')
  assert.ok(goodput!.marked! > goodput!.unmarked!, 'a marked migration gets more of a contended link')
  for (const { run_dir, arm } of counted) {
    const result = JSON.parse(readFileSync(join(run_dir ?? '', 'result.json'), 'utf8'))
    const bulk = result.classes.find(
      (row: { role: string; direction: string }) =>
        row.role === 'migration bulk' && row.direction === 'client-to-server',
    )
    assert.equal(bulk.pcp, arm === 'marked' ? 7 : 0)
    assert.ok(!readdirSync(run_dir ?? '').includes('captures'), 'captures are kept only on demand')
  }
  assert.deepEqual(JSON.parse(readFileSync(join(out, 'validation.json'), 'utf8')).claims, validation.claims)
  assert.deepEqual(namespaces(), before)
})

function validate(args: readonly string[]): Promise<{ code: number; stdout: string }> {
  const set = small.flatMap((one) => ['--set', one])
  return new Promise((resolve) => {
    const options = { timeout: 120_000 }
    const child = execFile(
      process.execPath,
      [programFile, 'validate', '--json', ...set, ...args],
      options,
      (_, stdout) => resolve({ code: child.exitCode ?? -1, stdout }),
    )
  })
}
