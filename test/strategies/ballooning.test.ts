/** Free memory that the guest has returned to the hypervisor is never sent, whatever the scheme. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { strategies } from '../../src/strategies/index.js'
import { Guest } from '../../src/workload/guest.js'
import { run, type Setting } from '../support/model.js'

const pages = 512
const free: Setting = { pages, freePages: 150, ratio: 0.8, workload: { kind: 'hot', workingSetPages: 60 } }

for (const { info } of strategies) {
  test(`${info.name}: ballooned pages are not sent, free ones are`, async () => {
    const ballooned = await run(info.name, {}, { ...free, balloonedPages: 100 })
    assert.equal(ballooned.record.outcome, 'completed', ballooned.record.reason)
    assert.equal(ballooned.record.pagesUnique, pages - 100)
    assert.equal(ballooned.record.pagesBallooned, 100)
    const plain = await run(info.name, {}, free)
    assert.equal(plain.record.pagesUnique, pages)
    assert.equal(plain.record.pagesBallooned, undefined)
  })
}

/** What is executed again at the destination need not be sent. */
const executedAgain = ['cr-tr']

test('a guest that needs more memory takes it from the balloon, and what it takes arrives', async () => {
  const growing: Setting = { ...free, workload: { kind: 'hot', workingSetPages: 60, growthShare: 0.3 } }
  let deflated = 0
  for (const { info } of strategies) {
    const { record, testbed } = await run(info.name, {}, { ...growing, balloonedPages: 100 })
    assert.equal(record.outcome, 'completed', `${info.name}: ${record.reason}`)
    assert.equal(testbed.differingPages(), 0, info.name)
    const ballooned = record.pagesBallooned ?? 0
    if (ballooned < 100) deflated++
    if (!executedAgain.includes(info.name)) assert.equal(record.pagesUnique, pages - ballooned, info.name)
  }
  // All but those that suspend the guest at once.
  assert.ok(deflated >= strategies.length - 4, `${deflated}`)
})

test('one access in so many takes a free page, in order, until there is none', () => {
  const spec = {
    kind: 'iid',
    writesPerSecond: 1000,
    workingSetPages: 40,
    hotShare: 0,
    growthShare: 0.25,
  } as const
  const guest = new Guest(
    { totalPages: 100, pageBytes: 4096, seed: 1, workload: spec, freePages: 60, balloonedPages: 30 },
    0,
  )
  const inUse = (): number => guest.memory.versions.list().findLastIndex((version) => version > 0) + 1
  guest.advance(0.1e9)
  assert.equal(inUse(), 40 + 25)
  assert.equal(guest.memory.ballooned.count, 30)
  guest.advance(0.2e9)
  assert.equal(inUse(), 40 + 50)
  assert.equal(guest.memory.ballooned.count, 10)
  guest.advance(1e9)
  assert.equal(inUse(), 100)
  assert.equal(guest.memory.ballooned.count, 0)
  assert.equal(guest.memory.writes, 1000)
})

test('a guest that writes stays within the memory that it uses', async () => {
  for (const kind of ['cycle', 'iid', 'hot', 'phase', 'scan', 'nested'] as const) {
    const workload = { kind, workingSetPages: 60, periodNs: 100_000 }
    const { testbed } = await run('pre-copy', {}, { ...free, ratio: 2, workload })
    assert.ok(
      testbed.guest.memory.versions
        .list()
        .subarray(pages - 150)
        .every((version) => version === 0),
    )
  }
})

test('post-copy with self-ballooning sends each page that is in use once, and its reserve', async () => {
  const all = await run('post-copy', { self_balloon: true }, free)
  assert.equal(all.record.pagesSent, pages - 150)
  const some = await run('post-copy', { self_balloon: true, balloon_reserve: 0.125 }, free)
  assert.equal(some.record.pagesSent, pages - 150 + 64)
  const hybrid = await run('post-copy', { self_balloon: true, rounds: 1 }, free)
  assert.equal(hybrid.record.pagesUnique, pages - 150)
})

test('a guest without free pages is migrated as without self-ballooning', async () => {
  const setting = { ...free, freePages: 0 }
  for (const rounds of [0, 1]) {
    const ours = await run('post-copy', { self_balloon: true, rounds }, setting)
    const none = await run('post-copy', { rounds }, setting)
    assert.deepEqual(ours.record, none.record)
  }
})
