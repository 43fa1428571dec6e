/** The priority manager on real frames: its migration outranks everybody, and the port still keeps for others what they were promised. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/temporary.js'
import { classesOf, migrationOf, run, story } from './run-support.js'
import { needsRoot } from './support.js'

test('a best-effort stream gets what it was promised beside a migration on CS5 to CS7', {
  skip: needsRoot,
}, async (t) => {
  const { result } = await run(join(temporaryDirectory(t), 'run'), [
    'guest.memory=8MiB',
    'guest.workload.dirty_ratio=0.2',
    'link.rate=50mbit',
    'cross_traffic=[{kind: udp-cbr, rate: 20mbit, class: best-effort}]',
    'client={rate: 0}',
    'migration.strategy=priority-manager',
    // It does not hold itself back: the promise is the port's.
    'migration.options={link_rate: 50mbit, deadline: 60s}',
    'link.guarantees={best-effort: 21mbit}',
    'dataplane=tc-bpf',
  ])
  assert.equal(result.outcome, 'completed', story(result))
  assert.ok(migrationOf(result).verified)
  const promised = classesOf(result).find((row) => row.pcp === 0 && row.packets > 100)
  assert.ok(promised !== undefined && promised.loss_ratio !== null, story(result))
  assert.ok(promised.loss_ratio <= 0.05, `${promised.loss_ratio} of the stream was lost`)
  const used = new Set(classesOf(result).map((row) => row.pcp))
  assert.ok(used.has(5) && used.has(7), 'live rounds on CS5, the last copy on CS7')
})
