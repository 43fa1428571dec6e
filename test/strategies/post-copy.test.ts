import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageSet } from '../../src/memory/page-set.js'
import { migrate } from '../../src/migration/engine.js'
import { silentJournal } from '../../src/migration/journal.js'
import { framedLink } from '../../src/model/link.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { Bubbles } from '../../src/strategies/post-copy.js'
import { random } from '../../src/support/random.js'
import { modelSpec, near, run, type Setting } from '../support/model.js'
import { testSeeds } from '../support/seeds.js'

const pages = 4096
const link = framedLink(200e6, 1500, { queuePackets: 256 })
const secondsForAll = pages / 5793

/** A hot writer with neighbouring pages, in accesses per second. */
function hot(accesses: number, given: Partial<Setting> = {}): Setting {
  return {
    pages,
    link,
    workload: { kind: 'hot', workingSetPages: 400, hotShare: 0.95, writesPerSecond: accesses },
    ...given,
  }
}

const variants = ['push', 'bubble', 'bubble-m', 'demand'] as const

for (const variant of variants) {
  test(`${variant}: every page is sent once, and nothing is missing at the end`, async () => {
    const options = { variant, demand_for: '300ms' }
    const { record, testbed } = await run('post-copy', options, hot(500))
    assert.equal(record.pagesSent, pages)
    assert.equal(record.pagesUnique, pages)
    assert.ok(record.postcopyRequests > 0)
    // The last page is there, so that the guest never waits again.
    const stalled = testbed.guest.stallNs
    testbed.guest.advance(testbed.nowNs() + 1e9)
    assert.equal(testbed.guest.stallNs, stalled)
  })
}

test('downtime does not depend on how much the guest writes', async () => {
  const downtimes = new Set<number>()
  for (const accesses of [0.1, 500, 20_000]) {
    const { record } = await run('post-copy', {}, hot(accesses, { deviceBytes: 2 ** 18 }))
    downtimes.add(record.downtimeNs!)
    near(
      record.totalNs / 1e9,
      secondsForAll,
      0.35 * secondsForAll,
      'total time is near that of a cold migration',
    )
  }
  assert.equal(downtimes.size, 1)
})

test('pushing around the faults leaves fewer of them', async () => {
  const requests = async (variant: string): Promise<number> => {
    let sum = 0
    for (let seed = 1; seed <= 5; seed++) {
      sum += (await run('post-copy', { variant }, hot(2000, { seed }))).record.postcopyRequests
    }
    return sum
  }
  const [push, bubble, several] = [
    await requests('push'),
    await requests('bubble'),
    await requests('bubble-m'),
  ]
  assert.ok(bubble! < push! && several! < push!, `${push} ${bubble} ${several}`)
})

test('a silent guest asks for nothing', async () => {
  const { record } = await run('post-copy', {}, { pages, link, ratio: 0 })
  assert.equal(record.postcopyRequests, 0)
  assert.equal(record.pagesSent, pages)
})

test('a fault in a class of its own does not wait behind the push', async () => {
  const stall = async (faults: number): Promise<number> => {
    const spec = { ...modelSpec(hot(300)), lanes: { bulk: 0, final: 0, faults } }
    const { record } = await run('post-copy', { variant: 'push' }, {}, new ModelTestbed(spec))
    return record.guestStallNs / record.postcopyRequests
  }
  const [apart, together] = [await stall(7), await stall(0)]
  assert.ok(together! > 5 * apart!, `${together} against ${apart} ns a fault`)
})

test('hybrid: what a round of pre-copy brought and nobody changed is not sent again', async () => {
  const none = await run('post-copy', {}, hot(800))
  const one = await run('post-copy', { rounds: 1 }, hot(800))
  const two = await run('post-copy', { rounds: 2 }, hot(800))
  assert.equal(none.record.pagesSent, pages)
  assert.ok(one.record.pagesSent > pages && one.record.pagesSent <= 2 * pages)
  assert.ok(two.record.pagesSent <= 3 * pages)
  assert.ok(one.record.postcopyRequests < none.record.postcopyRequests)
})

test('memory that must be there first lengthens the downtime', async () => {
  const setting = hot(100)
  const short = await run('post-copy', {}, setting)
  const long = await run('post-copy', { nonpageable: 0.05 }, setting)
  near(
    (long.record.downtimeNs! - short.record.downtimeNs!) / 1e9,
    0.05 * secondsForAll,
    0.002,
    'seconds more',
  )
})

test('a migration that runs out of time after the handover has lost the guest, and says so', async () => {
  const testbed = new ModelTestbed(modelSpec(hot(500)))
  const strategy = strategyNamed('post-copy').create({})
  const record = await migrate(strategy, testbed, { maxTotalNs: 0.2e9 }, silentJournal)
  assert.equal(record.outcome, 'failed')
  assert.match(record.reason ?? '', /lacks \d+ pages/)
  assert.ok(!testbed.guest.running)
})

testSeeds('bubbles hand out every page once, whatever faults', 60, (seed) => {
  const numbers = random(seed)
  const capacity = 1 + numbers.below(300)
  const missing = PageSet.of(
    capacity,
    Array.from({ length: numbers.below(2 * capacity) }, () => numbers.below(capacity)),
  )
  const order = new Bubbles(missing, 1 + numbers.below(4), numbers.below(2) === 0)
  const seen = new Set<number>()
  const out = new Uint32Array(1 + numbers.below(6))
  const left = missing.clone()
  while (left.count > 0) {
    if (numbers.below(3) === 0) {
      const page = left.next(numbers.below(capacity))
      if (page !== -1) {
        order.faulted(page)
        assert.ok(!seen.has(page))
        seen.add(page)
        left.delete(page)
        continue
      }
    }
    const count = order.next(out)
    assert.ok(count > 0)
    for (const page of out.subarray(0, count)) {
      assert.ok(missing.has(page) && !seen.has(page), `page ${page}`)
      seen.add(page)
      left.delete(page)
    }
  }
  assert.equal(order.next(out), 0)
  assert.equal(seen.size, missing.count)
})

test('a bubble grows to both sides of the last fault, or upwards only', () => {
  const out = new Uint32Array(6)
  const both = new Bubbles(PageSet.full(100), 1, false)
  both.faulted(50)
  both.next(out)
  assert.deepEqual([...out], [49, 51, 48, 52, 47, 53])
  const upwards = new Bubbles(PageSet.full(100), 1, true)
  upwards.faulted(50)
  upwards.next(out)
  assert.deepEqual([...out], [51, 52, 53, 54, 55, 56])
})

test('the oldest of too many pivots is dropped; the others take turns', () => {
  const order = new Bubbles(PageSet.full(1000), 2, true)
  for (const fault of [100, 500, 800]) order.faulted(fault)
  const out = new Uint32Array(4)
  order.next(out)
  assert.deepEqual(
    [...out].toSorted((a, b) => a - b),
    [501, 502, 801, 802],
  )
})
