/** Replicas over sites: what a plan sends, stores and saves. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readScenario } from '../../src/experiment/scenario.js'
import { exampleSites, readSiteFile } from '../../src/experiment/site-file.js'
import { planSites, type SitePlan } from '../../src/experiment/site-plan.js'
import { PagewireError } from '../../src/support/errors.js'

const mib = 2 ** 20

/** The example, with lines of it replaced. */
function plan(more: Readonly<Record<string, string>>, writeRatio: number): Promise<SitePlan> {
  const text = Object.entries(more).reduce(
    (sites, [key, value]) => sites.replace(new RegExp(`^${key}: .*$`, 'm'), `${key}: ${value}`),
    exampleSites,
  )
  const scenario = readScenario('guest: { memory: 4MiB, workload: { kind: idle } }', 'test', [
    `guest.disk={size: 4MiB, write_ratio: ${writeRatio}}`,
  ]).scenario
  return planSites(readSiteFile(text, 'test'), scenario)
}

test('the guest follows the price, and a migration sends memory and what is not synchronised yet', async () => {
  const { sites, moves, cost } = await plan({}, 0.0001)
  assert.deepEqual(
    sites.filter(({ replica }) => replica).map(({ name }) => name),
    ['europe', 'america'],
  )
  assert.deepEqual(
    sites.map(({ feasible }) => feasible),
    [true, true, true, false],
  )
  assert.deepEqual(new Set(moves.map(({ to }) => to)), new Set(['asia', 'europe', 'america']))
  assert.ok(cost.planned < cost.staying)
  for (const move of moves) {
    assert.equal(move.outcome, 'completed')
    assert.ok(move.at_h === 0 || move.unsynced_blocks > 0, 'it wrote since the last synchronisation')
    // Hashes of all blocks and what is written meanwhile come on top.
    const needed = 4 * mib + move.unsynced_bytes
    assert.ok(move.payload_bytes >= needed && move.payload_bytes < needed + 0.2 * mib, JSON.stringify(move))
    assert.ok(move.total_time_ms < move.without_replica_total_time_ms)
  }
})

test('de-duplication: the first synchronisation sends what other images have not brought', async () => {
  const { sites } = await plan({}, 0)
  const bytes = (name: string): number[] =>
    sites
      .filter((site) => site.name === name)
      .flatMap((one) => [one.first_sync_bytes, one.extra_storage_bytes])
  assert.deepEqual(bytes('america'), [4 * mib, 4 * mib])
  const [europe] = bytes('europe')
  assert.ok(Math.abs(europe! - 0.4 * 4 * mib) <= 4096)
})

test('without a write a synchronisation sends nothing; without a synchronisation all writes are in the way', async () => {
  const silent = await plan({}, 0)
  assert.equal(silent.sync_bytes, 0)
  assert.ok(silent.moves.every(({ unsynced_blocks }) => unsynced_blocks === 0))
  const never = await plan({ sync: '24h' }, 0.00002)
  const often = await plan({ sync: '15min' }, 0.00002)
  assert.equal(never.sync_bytes, 0)
  assert.ok(often.sync_bytes > 0)
  assert.ok((never.moves[1]?.unsynced_blocks ?? 0) > (often.moves[1]?.unsynced_blocks ?? 0))
})

test('a move that costs more than it saves is not made', async () => {
  assert.deepEqual((await plan({ transfer: '1e6' }, 0)).moves, [])
})

test('a file that cannot be is refused with the key', () => {
  const wrong: readonly [string, RegExp][] = [
    ['[]', /the file: is not a map/],
    ['sites: [', /sites/],
    [exampleSites.replace('replicas', 'replica'), /replica: is not known; did you mean replicas/],
    [exampleSites.replace('primary: asia', 'primary: mars'), /primary: is none of asia/],
    [exampleSites.replace('latency: 30ms', 'latency: 30'), /sites\.1\.latency: is not a duration/],
    [exampleSites.replace('holds: 60%', 'holds: 160%'), /sites\.1\.holds/],
    [exampleSites.replace('compute: 0.1', 'compute: cheap'), /sites\.3\.compute/],
    [exampleSites.replace('name: moon', 'name: asia'), /two are called asia/],
    [exampleSites.replace('every: 1h', 'every: 1ms'), /more than 10000 times/],
  ]
  for (const [text, words] of wrong) {
    assert.throws(
      () => readSiteFile(text, 'sites.yaml'),
      (error) => error instanceof PagewireError && error.exit === 2 && words.test(error.message),
      String(words),
    )
  }
})
