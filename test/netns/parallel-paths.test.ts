/** Two paths, and turns within a class, on real frames: a flood in the migration's own class takes half of one path. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/temporary.js'
import { classesOf, migrationOf, run, story, traces, unmarked } from './run-support.js'
import { needsRoot } from './support.js'

const linkMbps = 40

test('channels fill both paths, and a flood of their class cannot have more than its turn', {
  skip: needsRoot,
}, async (t) => {
  const before = traces()
  const { result } = await run(
    join(temporaryDirectory(t), 'run'),
    [
      'dataplane=tc-bpf',
      'guest.memory=4MiB',
      'guest.device_state=64KiB',
      'guest.workload={kind: idle}',
      `link.rate=${linkMbps}mbit`,
      'link.paths=2',
      'link.per_flow=true',
      'migration.strategy=multipath',
      'migration.options={channels: 2}',
      ...unmarked,
      'client.class=AF41',
      'cross_traffic=[{kind: udp-cbr, rate: 60mbit, class: best-effort}]',
    ],
    ['--force'],
  )
  assert.equal(result.outcome, 'completed', story(result))
  assert.equal(migrationOf(result).verified, true)
  assert.equal((result.marks as { frames_wrong: number }).frames_wrong, 0, story(result))
  assert.equal((result.ledger as { balanced: boolean }).balanced, true, story(result))

  const delivered = (role: string): { vlan: number | null; mbps: number } => {
    const row = classesOf(result).find((one) => one.role === role && one.direction === 'client-to-server')
    assert.ok(row !== undefined, `${role} in ${story(result)}`)
    return { vlan: row.vlan, mbps: row.throughput_mbps }
  }
  const [first, last, second, flood] = [
    delivered('migration bulk'),
    delivered('migration final'),
    delivered('migration channel-2'),
    delivered('cross-traffic 0 udp-cbr'),
  ]
  t.diagnostic(`channels ${first.mbps} and ${second.mbps} Mbit/s, flood ${flood.mbps} Mbit/s`)
  assert.deepEqual([first.vlan, second.vlan, flood.vlan], [100, 101, 200])
  // Pages, and then the device state: one of the two connections at a time.
  const turns = first.mbps + last.mbps
  const share = turns / (turns + flood.mbps)
  assert.ok(share > 0.4 && share < 0.6, `the migration has ${share} of the flooded path`)
  assert.ok(second.mbps > 1.2 * first.mbps, 'nobody else is on the other path')
  assert.ok(migrationOf(result).goodput_mbps > linkMbps, 'more than one path carries pages')
  assert.deepEqual(traces(), before, 'nothing is left behind')
})
