/** What is read back of a lab: a card that is down is a difference, but one that may go by itself. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { labUp } from '../../src/topology/lab.js'
import { readBack } from '../../src/topology/read-back.js'
import { namespaceOf } from '../../src/topology/spec.js'
import { needsRoot, testSpec } from './support.js'

test('a card that is down is a difference that may go by itself, another setting is none', {
  skip: needsRoot,
}, async (t) => {
  const spec = testSpec()
  const lab = await labUp(spec)
  t.after(() => lab.down())
  const whole = await readBack(spec, null)
  assert.deepEqual([whole.differences, whole.isSettling], [[], false])

  const source = namespaceOf(spec.runId, 'source')
  execFileSync('ip', ['-n', source, 'link', 'set', 'uplink', 'mtu', '1400'])
  const other = await readBack(spec, null)
  assert.match(other.differences.join('; '), /source uplink mtu: asked 1500, found 1400/)
  assert.equal(other.isSettling, false)

  execFileSync('ip', ['-n', source, 'link', 'set', 'uplink', 'down'])
  const down = await readBack(spec, null)
  assert.match(down.differences.join('; '), /source uplink state: asked UP, found DOWN/)
  assert.equal(down.isSettling, true)
})
