/** The effect of the mark in one small run on whatever dataplane this box, or its guest kernel, has. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/temporary.js'
import { migrationOf, run, story, unmarked } from './run-support.js'
import { needsRoot, testDataplane } from './support.js'

/** One slow processor carries this, five captures included; before 4 MiB have gone, programs are still being compiled. */
const modest = [
  `dataplane=${testDataplane}`,
  'link.rate=20mbit',
  'guest.memory=8MiB',
  'guest.workload={kind: hot, dirty_ratio: 0.2, working_set: 10%}',
  'migration.max_total_time=20s',
  'client={rate: 20, class: AF41}',
]
/** TCP alone: datagrams at a rate that the port drops cost the processor what the migration then lacks. */
const contention = 'cross_traffic=[{kind: tcp-bulk, flows: 3}]'

const skip =
  needsRoot || (testDataplane === 'vlan' ? false : 'run.test.ts holds the default scenario to more than this')

test('marked keeps nine tenths of its goodput under contention, unmarked at most six', {
  skip,
}, async (t) => {
  const directory = temporaryDirectory(t)
  // A guest kernel's timers are coarse: whether the run is valid is for the tests of the gate.
  const alone = await run(join(directory, 'alone'), [...modest, 'cross_traffic=[]', 'client.rate=0'])
  const marked = await run(join(directory, 'marked'), [...modest, contention])
  const plain = await run(join(directory, 'unmarked'), [
    ...modest,
    contention,
    ...unmarked,
    'migration.max_total_time=4s',
    'client.rate=0',
  ])
  // Whenever the guest kernel's only processor is away its shaper stands still, and nobody gets anything: goodput is
  // compared by what the port could carry in that run, which a quiet box makes its rate.
  const offRate = (one: typeof alone): number =>
    one.result.fidelity.checks.find((check) => check.name === 'link_rate_error')?.value ?? 0
  const goodput = (one: typeof alone): number =>
    migrationOf(one.result).goodput_mbps / (1 - Math.min(offRate(one), 0.5))
  for (const [name, one] of Object.entries({ alone, marked, unmarked: plain })) {
    const { goodput_mbps } = migrationOf(one.result)
    t.diagnostic(
      `${name}: goodput ${goodput_mbps} Mbit/s, ${goodput(one)} on a port at its rate, it was off by ${offRate(one)}`,
    )
  }
  for (const { result } of [alone, marked, plain]) {
    assert.equal((result.marks as { frames_wrong: number }).frames_wrong, 0, story(result))
  }
  assert.equal(migrationOf(marked.result).verified, true, story(marked.result))
  assert.equal(marked.result.outage?.open, false, 'the guest answers its client after the handover')
  assert.ok(typeof marked.result.outage.wire?.first_answer_ms === 'number', 'from the destination')
  assert.ok(goodput(marked) >= 0.9 * goodput(alone))
  assert.ok(goodput(plain) <= 0.6 * goodput(alone))
})
