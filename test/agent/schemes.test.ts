/** Every scheme on real sockets: the agents agree on every byte of every page, whatever the encoding. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ContentSpec } from '../../src/memory/content.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { cases, nameOf } from '../conformance/cases.js'
import { migrateOverLoopback } from './loopback.js'

const mix: ContentSpec = {
  kind: 'mix',
  shares: { zero: 1, regular: 1, pointer: 1, random: 1, 'sparse-update': 2 },
}

for (const one of cases) {
  test(`${nameOf(one)}: over real sockets, every page verified`, async () => {
    const strategy = strategyNamed(one.scheme).create(one.options)
    const { source, destination } = await migrateOverLoopback(strategy, { content: mix })
    assert.equal(source.record.outcome, 'completed', source.record.reason)
    assert.ok(source.verified && destination.verified, 'memory compared page by page')
    assert.equal(source.record.pagesUnique, 512)
    assert.equal(destination.pagesReceived, source.record.pagesSent)
  })
}

test('pages on demand really cross the network: the guest asks, waits, and runs on', async () => {
  const strategy = strategyNamed('post-copy').create({ variant: 'demand', demand_for: '400ms' })
  const { source, destination } = await migrateOverLoopback(strategy, {
    pages: 2048,
    workload: { writesPerSecond: 20_000, workingSetPages: 200 },
  })
  const { record } = source
  assert.equal(record.outcome, 'completed', record.reason)
  assert.ok(source.verified)
  assert.ok(record.postcopyRequests > 50, `${record.postcopyRequests} requests`)
  assert.ok(record.guestStallNs > 0)
  assert.equal(record.pagesSent, 2048, 'each page once')
  assert.equal(destination.pagesReceived, 2048)
  const faults = source.lanes.find(({ name }) => name === 'faults')
  assert.ok(faults !== undefined && faults.pagesWritten >= 50, 'on their own lane')
})

test('after some rounds of pre-copy only what changed since is missing', async () => {
  const strategy = strategyNamed('post-copy').create({ rounds: 1 })
  const { source } = await migrateOverLoopback(strategy, { pages: 2048 })
  assert.ok(source.verified)
  assert.ok(source.record.pagesSent >= 2048 && source.record.pagesSent < 4096)
})

test('a migration that must stop after an early handover has lost the guest, and both agents end', async () => {
  const strategy = strategyNamed('post-copy').create({ variant: 'demand', demand_for: '10s' })
  const { source, destination } = await migrateOverLoopback(strategy, { maxTotalNs: 0.4e9 })
  assert.equal(source.record.outcome, 'failed')
  assert.match(source.record.reason ?? '', /lacks \d+ pages/)
  assert.equal(destination.outcome, 'aborted')
  assert.ok(!source.verified)
})

const chased = { lag_threshold: '30ms', log_threshold: '16KiB' }
const busy = { pages: 2048, guest: { inputs: { perSecond: 5000, bytes: 64 } } } as const

test('a guest that is executed again from its checkpoint and its log is the same guest', async () => {
  const strategy = strategyNamed('cr-tr').create(chased)
  const { source, destination } = await migrateOverLoopback(strategy, busy)
  assert.equal(source.record.outcome, 'completed', source.record.reason)
  assert.ok(source.verified && destination.verified)
  assert.equal(source.record.pagesSent, 2048, 'no page twice')
  assert.ok(source.record.logBytes! > 76)
  const log = source.lanes.find(({ name }) => name === 'log')
  assert.ok(log !== undefined && log.bytesWritten >= source.record.logBytes!, 'on a connection of its own')
})

test('one record of the log lost: another guest, and the audit sees it', async () => {
  const strategy = strategyNamed('cr-tr').create(chased)
  const { source } = await migrateOverLoopback(strategy, { ...busy, hooks: { dropLogRecord: 3 } })
  assert.equal(source.record.outcome, 'failed')
  assert.match(source.record.reason ?? '', /pages at the destination differ/)
})

test('a destination that executes no faster than the guest: reported, and the guest runs on', async () => {
  // Over loopback the checkpoint takes some 30 ms, of which the destination has then executed half.
  const strategy = strategyNamed('cr-tr').create({ ...chased, lag_threshold: '1ms', replay_speed: 0.5 })
  const { source, destination } = await migrateOverLoopback(strategy, { ...busy, pages: 8192 })
  assert.equal(source.record.outcome, 'aborted')
  assert.match(source.record.reason ?? '', /does not catch up/)
  assert.equal(destination.outcome, 'aborted')
})

test('memory that the guest has returned is not sent, and the agents agree on the rest', async () => {
  const guest = { freePages: 200, balloonedPages: 120 } as const
  for (const [name, options, sent] of [
    ['stop-and-copy', {}, 392],
    ['post-copy', { self_balloon: true }, 312],
    ['cr-tr', chased, 392],
  ] as const) {
    const strategy = strategyNamed(name).create(options)
    const { source, destination } = await migrateOverLoopback(strategy, { guest })
    assert.equal(source.record.outcome, 'completed', source.record.reason)
    assert.ok(source.verified && destination.verified, name)
    assert.equal(destination.pagesReceived, sent, name)
  }
})

test('a balloon that deflates meanwhile: what the guest takes from it arrives, and it grows on at the destination', async () => {
  const guest = { freePages: 300, balloonedPages: 290 }
  const workload = { kind: 'hot', workingSetPages: 100, writesPerSecond: 100_000, growthShare: 0.2 } as const
  for (const [scheme, options] of [
    ['pre-copy', {}],
    ['post-copy', { rounds: 2, self_balloon: true }],
    ['cr-tr', { replay_speed: 0 }],
  ] as const) {
    const strategy = strategyNamed(scheme).create(options)
    const { source } = await migrateOverLoopback(strategy, { pages: 4096, guest, workload })
    assert.equal(source.record.outcome, 'completed', `${scheme}: ${source.record.reason}`)
    assert.ok(source.verified, scheme)
    assert.ok((source.record.pagesBallooned ?? 0) < 290, scheme)
  }
})

test('a guest that replays a trace runs on from it at the destination', async () => {
  const timesNs = Array.from({ length: 20_000 }, (_, i) => (i + 1) * 20_000)
  const pages = timesNs.map((_, i) => (i * 37) % 300)
  const strategy = strategyNamed('post-copy').create({ variant: 'demand', demand_for: '100ms' })
  const { source } = await migrateOverLoopback(strategy, {
    workload: { kind: 'trace', trace: { timesNs, pages }, writesPerSecond: 50_000, workingSetPages: 300 },
  })
  assert.equal(source.record.outcome, 'completed', source.record.reason)
  assert.ok(
    source.verified && source.record.postcopyRequests > 5,
    `${source.record.postcopyRequests} requests`,
  )
})
