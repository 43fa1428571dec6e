/** What a hostile switch does to a whole run: found, and blamed on the right hop. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { MarksResult } from '../../src/analysis/marks-audit.js'
import type { RunResult } from '../../src/experiment/result.js'
import { temporaryDirectory } from '../support/temporary.js'
import { migrationOf, run, small, story } from './run-support.js'
import { needsRoot } from './support.js'

const port = 'switch-in -> switch-out'

for (const [path, seen] of [
  ['{bleach: true}', { dscp: 0, pcp: 7 }],
  ['{remark: 3}', { dscp: 56, pcp: 3 }],
  ['{strip: true}', { dscp: 56, pcp: null }],
] as const) {
  test(`path ${path}: the run is invalid, and the marks audit names the port`, {
    skip: needsRoot,
  }, async (t) => {
    const { code, result } = await run(join(temporaryDirectory(t), 'run'), [...small, `path=${path}`])
    assert.equal(code, 5, story(result))
    const { changes } = result.marks as MarksResult
    const bulk = changes.find((one) => one.role === 'migration bulk' && one.direction === 'client-to-server')
    assert.ok(bulk !== undefined, story(result))
    assert.equal(bulk.hop, port)
    assert.deepEqual({ dscp: bulk.seen.dscp, pcp: bulk.seen.pcp }, seen)
    const check = result.fidelity.checks.find(({ name }) => name === 'marks_wrong')
    assert.equal(check?.ok, false)
  })
}

test('police and invert take away what the mark brings, and change no mark', {
  skip: needsRoot,
}, async (t) => {
  const directory = temporaryDirectory(t)
  const set = [...small, 'guest.memory=8MiB', 'migration.max_total_time=3s']
  const goodput = async (name: string, path: readonly string[]): Promise<number> => {
    const { result } = await run(join(directory, name), [...set, ...path])
    assert.equal((result.marks as MarksResult).frames_wrong, 0, story(result))
    return goodputOf(result)
  }
  const policed = await goodput('police', ['path={police: 5mbit}'])
  const inverted = await goodput('invert', ['path={invert: true}'])
  t.diagnostic(`goodput Mbit/s: ${JSON.stringify({ policed, inverted })}`)
  assert.ok(policed <= 5, 'the policer holds the marked class to its rate')
  assert.ok(inverted <= 0.6 * 50, 'served last, it gets what the others leave')
})

function goodputOf(result: RunResult): number {
  return migrationOf(result).goodput_mbps
}
