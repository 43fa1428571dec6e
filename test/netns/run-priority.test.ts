/** The effect of the mark in one small run on whatever dataplane this box, or its guest kernel, has. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/temporary.js'
import { migrationOf, run, story, unmarked } from './run-support.js'
import { needsRoot, testDataplane } from './support.js'

/** One slow processor carries this, five captures included. */
const modest = [
  `dataplane=${testDataplane}`,
  'link.rate=20mbit',
  'guest.memory=4MiB',
  'guest.workload={kind: hot, dirty_ratio: 0.2, working_set: 10%}',
  'migration.max_total_time=10s',
  'client={rate: 20, class: AF41}',
]
const contention = 'cross_traffic=[{kind: udp-cbr, rate: 14mbit}, {kind: tcp-bulk, flows: 1}]'

const skip =
  needsRoot || (testDataplane === 'vlan' ? false : 'run.test.ts holds the default scenario to more than this')

test('marked keeps nine tenths of its goodput under contention, unmarked at most six', {
  skip,
}, async (t) => {
  const directory = temporaryDirectory(t)
  // A guest kernel's timers are coarse: whether the run is valid is for the tests of the gate. But where its only
  // processor was away, its shaper stood still, and the goodput says nothing of priority: such a run is made again.
  let spare = 2
  const sustained = async (name: string, set: readonly string[]) => {
    for (;;) {
      const one = await run(join(directory, `${name}${spare}`), [...modest, ...set])
      const error = one.result.fidelity.checks.find((check) => check.name === 'link_rate_error')
      t.diagnostic(`${name}: the port was ${error?.value} off its rate`)
      if (error === undefined || error.value <= 0.05 || spare === 0) return one
      spare -= 1
    }
  }
  const alone = await sustained('alone', ['cross_traffic=[]'])
  const marked = await sustained('marked', [contention])
  const plain = await sustained('unmarked', [
    contention,
    ...unmarked,
    'migration.max_total_time=4s',
    'client.rate=0',
  ])
  const goodput = (one: typeof alone): number => migrationOf(one.result).goodput_mbps
  t.diagnostic(
    `goodput Mbit/s: alone ${goodput(alone)}, marked ${goodput(marked)}, unmarked ${goodput(plain)}`,
  )
  for (const { result } of [alone, marked, plain]) {
    assert.equal((result.marks as { frames_wrong: number }).frames_wrong, 0, story(result))
  }
  assert.equal(migrationOf(marked.result).verified, true, story(marked.result))
  assert.equal(marked.result.outage?.open, false, 'the guest answers its client after the handover')
  assert.ok(typeof marked.result.outage.wire?.first_answer_ms === 'number', 'from the destination')
  assert.ok(goodput(marked) >= 0.9 * goodput(alone))
  assert.ok(goodput(plain) <= 0.6 * goodput(alone))
})
