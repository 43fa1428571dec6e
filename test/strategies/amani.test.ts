import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrate } from '../../src/migration/engine.js'
import { silentJournal } from '../../src/migration/journal.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { type Domain, ranMs, sliceMs } from '../../src/strategies/credit-scheduler.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { random } from '../../src/support/random.js'
import { modelSpec, pageBytes, pageNs, run, type Setting } from '../support/model.js'
import { testSeeds } from '../support/seeds.js'

const busy = (weight: number, cap = 0): Domain => ({ weight, cap, demand: 1, boost: false })
const total = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0)

testSeeds('shares add up to the processors at most, and nobody runs on two', 60, (seed) => {
  const numbers = random(seed)
  const processors = 1 + numbers.below(4)
  const domains = Array.from({ length: 1 + numbers.below(8) }, () => ({
    weight: 32 + numbers.below(1000),
    cap: numbers.below(3) === 0 ? 5 + numbers.below(95) : 0,
    demand: numbers.below(2) === 0 ? 1 : numbers.unit(),
    boost: numbers.below(2) === 0,
  }))
  const ran = ranMs(domains, processors, 2000)
  assert.ok(total(ran) <= processors * 2000)
  for (const ms of ran) assert.ok(ms >= 0 && ms <= 2000)
})

testSeeds('without a migration shares are proportional to weights, within one slice', 100, (seed) => {
  const numbers = random(seed)
  const domains = Array.from({ length: 2 + numbers.below(5) }, () => busy(64 + numbers.below(512)))
  const durationMs = 2000 + numbers.below(3000)
  const weights = total(domains.map(({ weight }) => weight))
  for (const [i, ms] of ranMs(domains, 1, durationMs).entries()) {
    const fair = (durationMs * domains[i]!.weight) / weights
    assert.ok(Math.abs(ms - fair) <= sliceMs, `domain ${i} ran ${ms} ms of ${fair}`)
  }
})

test('a cap is honoured within 5 %, with and without others', () => {
  for (const cap of [20, 35, 50, 80]) {
    for (const others of [[], [busy(16)], [busy(16), busy(16)]]) {
      const [capped] = ranMs([busy(256, cap), ...others], 1, 10_000)
      assert.ok(Math.abs(capped! / 100 - cap) <= 0.05 * cap, `cap ${cap}: ${capped! / 100} %`)
    }
  }
})

test('twice the weight and BOOST get the sender what it wants', () => {
  const sender = { weight: 256, cap: 0, demand: 0.4, boost: false }
  const share = (one: Domain): number => ranMs([busy(256), busy(256), one], 1, 10_000)[1 + 1]! / 10_000
  assert.ok(share(sender) < 0.3)
  assert.ok(share({ ...sender, weight: 512, boost: true }) > 0.38)
})

const pages = 4096
const fast: Setting = { pages, ratio: 1.4, workload: { kind: 'hot', workingSetPages: 800 } }

test('both levers off: Xen’s pre-copy, page for page', async () => {
  for (const ratio of [0.2, 0.9, 1.4]) {
    const setting = { ...fast, ratio }
    const ours = await run('amani', { lever_guest: false, lever_sender: false }, setting)
    const xen = await run('pre-copy', { profile: 'xen42' }, setting)
    assert.deepEqual({ ...ours.record, strategy: '' }, { ...xen.record, strategy: '' })
  }
})

test('a guest that writes too fast is slowed, at the price of its work; one that does not is let alone', async () => {
  const alone = { lever_sender: false }
  const slowed = await run('amani', alone, fast)
  const xen = await run('pre-copy', { profile: 'xen42' }, fast)
  assert.ok(slowed.record.totalNs < 0.9 * xen.record.totalNs)
  assert.ok(slowed.record.guestThrottleMax > 0.3 && slowed.record.guestStallNs > 0)
  const calm = await run('amani', alone, { pages, ratio: 0.3 })
  assert.equal(calm.record.guestThrottleMax, 0)
})

test('a sender that waits for a processor is quicker with its lever', async () => {
  const sender_rate = `${Math.round((pageBytes * 8e9) / pageNs / 1e6)}mbit`
  const setting: Setting = { pages, ratio: 0.1 }
  const given = { sender_rate, lever_guest: false }
  const without = await run('amani', { ...given, lever_sender: false }, setting)
  const withLever = await run('amani', given, setting)
  assert.ok(withLever.record.totalNs < 0.8 * without.record.totalNs)
})

test('after an abort the guest has its share again', async () => {
  const testbed = new ModelTestbed(modelSpec({ pages, ratio: 3, workload: { kind: 'iid' } }))
  const strategy = strategyNamed('amani').create({})
  const record = await migrate(strategy, testbed, { maxTotalNs: 1.5 * pages * pageNs }, silentJournal)
  assert.equal(record.outcome, 'aborted')
  assert.ok(record.guestThrottleMax > 0, 'it was slowed before')
  assert.equal(testbed.guest.withheld, 0)
  assert.ok(testbed.guest.running)
})
