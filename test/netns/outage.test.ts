/** A client of the guest, on real frames: its outage is the downtime and little more, and the captures agree with it. */

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { OutageResult, RunResult } from '../../src/experiment/result.js'
import { temporaryDirectory } from '../support/temporary.js'
import { classesOf, migrationOf, run, start, story, traces } from './run-support.js'
import { needsRoot } from './support.js'

const settings = [
  'guest.memory=8MiB',
  'link.rate=50mbit',
  'cross_traffic=[{kind: udp-cbr, rate: 20mbit, class: best-effort}]',
  'client.class=AF41',
]

function outageOf(result: RunResult): OutageResult {
  assert.ok(result.outage !== null, story(result))
  return result.outage
}

function at({ timeline }: OutageResult, what: RegExp): number {
  const found = timeline.find((row) => what.test(row.what))
  assert.ok(found !== undefined, `${what} in ${JSON.stringify(timeline)}`)
  return found.at_ms
}

for (const strategy of ['stop-and-copy', 'pre-copy']) {
  test(`${strategy}: client, wire and downtime tell one story`, { skip: needsRoot }, async (t) => {
    const out = join(temporaryDirectory(t), 'run')
    const before = traces()
    const { result } = await run(out, [...settings, `migration.strategy=${strategy}`, 'migration.options={}'])
    assert.equal(result.outcome, 'completed', story(result))
    const outage = outageOf(result)
    const { wire, client_ms } = outage
    const downtime = migrationOf(result).downtime_ms
    assert.ok(wire !== null && downtime !== null)
    t.diagnostic(`downtime ${downtime} ms, outage ${client_ms} ms, on the wire ${wire.gap_ms} ms`)

    assert.ok(Math.abs(client_ms - wire.gap_ms) <= 2, 'client and captures agree within 2 ms')
    assert.ok(client_ms >= downtime, 'nobody answers while the guest is suspended')
    assert.ok(at(outage, /running/) <= at(outage, /gratuitous/))
    assert.ok(at(outage, /gratuitous/) <= at(outage, /first question/))
    // A busy box can hold the client up for longer than a short downtime: it asks nothing then, and its gap is elsewhere.
    if (strategy === 'stop-and-copy') {
      assert.ok(at(outage, /last answer/) <= at(outage, /suspended/))
      assert.ok(outage.probes_lost >= 0.5 * downtime * (outage.rate_per_s / 1000), 'unanswered meanwhile')
      assert.ok(at(outage, /first answer from/) <= at(outage, /first answer after/))
    }
    assert.ok(outage.probes_sent > outage.probes_lost)
    if (strategy === 'stop-and-copy') assert.ok(client_ms - downtime <= Math.max(20, downtime / 10))

    const marks = result.marks as { frames_wrong: number }
    assert.equal(marks.frames_wrong, 0, story(result))
    assert.equal((result.ledger as { balanced: boolean }).balanced, true)
    const client = classesOf(result).filter(({ role }) => role === 'client')
    assert.deepEqual(client.map(({ direction, vlan, pcp, dscp }) => [direction, vlan, pcp, dscp]).sort(), [
      ['client-to-server', 200, 4, 34],
      ['server-to-client', 200, 4, 34],
    ])
    assert.deepEqual(traces(), before, 'nothing is left behind')

    const again = await start(['analyze', out, '--json']).finished
    assert.equal(again.code, 0, again.stderr)
    assert.deepEqual(JSON.parse(again.stdout).runs[0].outage, { ...wire, client_ms })
    rmSync(out, { recursive: true })
  })
}

test('to another network: the old connection goes on through a real tunnel, new ones find the new address', {
  skip: needsRoot,
}, async (t) => {
  const before = traces()
  const { result } = await run(
    join(temporaryDirectory(t), 'run'),
    [
      ...settings,
      'guest.memory=2MiB',
      'guest.disk.size=1MiB',
      'migration.strategy=bradford',
      'migration.options={}',
      'client.network=other',
    ],
    ['--force'],
  )
  assert.equal(result.outcome, 'completed', story(result))
  assert.equal(migrationOf(result).verified, true)
  const outage = outageOf(result)
  const { moved, wire, client_ms, open } = outage
  assert.ok(moved !== undefined && wire !== null, JSON.stringify(outage))
  t.diagnostic(`outage ${client_ms} ms, ${moved.tunnel} from ${moved.tunnel_ms} ms on`)
  assert.ok(['ipip', 'vxlan'].includes(moved.tunnel))
  assert.equal(open, false, 'the old connection is answered again, at its old address')
  assert.ok(Math.abs(client_ms - wire.gap_ms) <= 2, 'client and captures agree within 2 ms')
  assert.ok(at(outage, /running/) <= moved.tunnel_ms && at(outage, /suspended/) <= at(outage, /running/))
  assert.ok(moved.first_connected_ms !== null && moved.first_connected_ms >= moved.tunnel_ms)
  assert.ok(moved.first_answer_ms !== null && moved.probes_sent > moved.probes_lost)

  assert.equal((result.marks as { frames_wrong: number }).frames_wrong, 0, story(result))
  assert.equal((result.ledger as { balanced: boolean }).balanced, true, story(result))
  const rows = classesOf(result).filter(({ direction }) => direction === 'client-to-server')
  const row = (role: string) => rows.find((one) => one.role === role)
  const tunnel = row('tunnel')
  assert.deepEqual([tunnel?.vlan, tunnel?.pcp, tunnel?.dscp], [200, 4, 34], 'marked as what it carries')
  assert.ok((tunnel?.packets_delivered ?? 0) > 10, 'questions crossed the congested port in it')
  assert.ok((row('client by name')?.packets_delivered ?? 0) > 10)
  assert.deepEqual(traces(), before, 'nothing is left behind')
})

test('an aborted migration leaves the guest answering at the source', { skip: needsRoot }, async (t) => {
  const { result } = await run(join(temporaryDirectory(t), 'run'), [
    ...settings,
    'migration.strategy=stop-and-copy',
    'migration.options={}',
    'migration.max_total_time=500ms',
  ])
  assert.equal(result.outcome, 'aborted', story(result))
  const outage = outageOf(result)
  assert.equal(outage.open, false, 'the guest answers again')
  assert.equal(outage.wire?.first_answer_ms, null, 'the destination never answered')
  assert.ok(outage.to_ms >= 500 && outage.client_ms > 300, JSON.stringify(outage.timeline))
})
