import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrate } from '../../src/migration/engine.js'
import { silentJournal } from '../../src/migration/journal.js'
import { framedLink } from '../../src/model/link.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { modelSpec, near, pageNs, run, type Setting, watched } from '../support/model.js'

const pages = 8192
/** QEMU's times where a pass over the guest takes 8 ms instead of some 8 s. */
const fast = {
  downtime_limit: '300us',
  window: '100us',
  period: '1ms',
  forced_sync: '5ms',
  max_bandwidth: '0bit',
} as const

/** Every share of guest time that the scheme withheld, in order. */
async function throttles(options: Readonly<Record<string, unknown>>, setting: Setting): Promise<number[]> {
  const shares: number[] = []
  const strategy = watched(strategyNamed('qemu').create(options), (_view, next) => {
    if (next?.do === 'throttle') shares.push(Math.round(100 * next.withhold))
  })
  await run(strategy, {}, { pages, ...setting })
  return shares
}

test('the guest is suspended when the rest fits the downtime limit, and the last copy takes no longer', async () => {
  for (const ratio of [0, 0.3, 0.6]) {
    const { record } = await run('qemu', fast, { pages, ratio })
    assert.ok(record.downtimeNs! <= 300_000, `${record.downtimeNs} at ${ratio}`)
    assert.ok(record.downtimeNs! > 0, 'the tail of the sweep goes out with the guest suspended')
  }
})

test('the sweep is cyclic: it goes on where it stopped, and reads the dirty log only when it is nearly through', async () => {
  let syncs = 0
  const starts: number[] = []
  const strategy = watched(strategyNamed('qemu').create(fast), (_view, next) => {
    if (next?.do === 'syncDirty') syncs++
    if (next?.do === 'copy' && syncs === 0) starts.push(next.lanes[0]!.from!)
  })
  await run(strategy, {}, { pages, ratio: 0.5 })
  assert.equal(starts[0], 0)
  assert.ok(starts.every((from, i) => i === 0 || from > starts[i - 1]!))
  assert.ok(starts.at(-1)! > 0.9 * pages)
})

test('without a brake a guest that outruns the link never converges; with auto-converge it ends', async () => {
  const setting: Setting = { pages, ratio: 1.2, workload: { kind: 'iid' } }
  const testbed = new ModelTestbed(modelSpec(setting))
  const strategy = strategyNamed('qemu').create(fast)
  const record = await migrate(strategy, testbed, { maxTotalNs: 40 * pages * pageNs }, silentJournal)
  assert.equal(record.outcome, 'aborted')
  const braked = await run('qemu', { ...fast, brake: 'auto-converge' }, setting)
  assert.equal(braked.record.outcome, 'completed')
  assert.ok(braked.record.downtimeNs! <= 300_000)
  assert.ok(braked.record.guestThrottleMax >= 0.2 && braked.record.guestStallNs > 0)
})

test('auto-converge throttles 20, 30, 40 ... 99 percent and never less again', async () => {
  const shares = await throttles(
    { ...fast, brake: 'auto-converge' },
    { ratio: 30, workload: { kind: 'iid' } },
  )
  assert.deepEqual(shares.slice(0, 8), [20, 30, 40, 50, 60, 70, 80, 90])
  assert.ok(shares.length === 8 || shares[8] === 99)
})

test('auto-converge leaves a guest alone that dirties less than half of what is sent', async () => {
  assert.deepEqual(await throttles({ ...fast, brake: 'auto-converge' }, { ratio: 0.45 }), [])
})

test('tail slow takes smaller steps when less is enough', async () => {
  const setting: Setting = { ratio: 1.3, workload: { kind: 'iid' } }
  const usual = await throttles({ ...fast, brake: 'auto-converge' }, setting)
  const slow = await throttles({ ...fast, brake: 'auto-converge', tail_slow: true }, setting)
  assert.ok(Math.max(...slow) <= Math.max(...usual))
})

test('a brake that is off changes nothing', async () => {
  const setting: Setting = { pages, ratio: 0.4 }
  const plain = await run('qemu', fast, setting)
  const idle = await run('qemu', { ...fast, brake: 'auto-converge' }, setting)
  assert.deepEqual(idle.record, plain.record)
})

test('the dirty limit brings the dirty rate near its quota', async () => {
  // The guest writes 2 pages a microsecond: 65.5 Gbit/s of fresh dirty pages against a link of 32.8.
  const setting: Setting = { pages: 65536, ratio: 2 }
  const options = {
    ...fast,
    window: '500us',
    brake: 'dirty-limit',
    dirty_quota: '13gbit',
    tolerance: '1gbit',
    downtime_limit: '2ms',
  }
  const { record } = await run('qemu', options, setting)
  assert.equal(record.outcome, 'completed')
  assert.ok(record.guestStallNs > 0)
  const plain = new ModelTestbed(modelSpec(setting))
  const without = strategyNamed('qemu').create({ ...options, brake: 'none' })
  const limits = { maxTotalNs: 2 * record.totalNs }
  assert.equal((await migrate(without, plain, limits, silentJournal)).outcome, 'aborted')
})

test('one channel sends what no multifd sends; more channels send the same pages, each once', async () => {
  const setting: Setting = { pages, ratio: 0, link: framedLink(1e9, 1500) }
  const one = await run('qemu', { max_bandwidth: '0bit' }, setting)
  const eight = await run('qemu', { max_bandwidth: '0bit', channels: 8 }, setting)
  assert.equal(one.record.pagesSent, pages)
  assert.equal(eight.record.pagesSent, pages)
  near(eight.record.totalNs / one.record.totalNs, 1, 0.02, 'the link is the same')
})

test('more channels take a larger share of a link that others use in the same class', async () => {
  const rivals = [{ pcp: 7, elasticFlows: 4, startNs: 0, stopNs: Number.POSITIVE_INFINITY }]
  const setting: Setting = { pages: 2048, ratio: 0, link: framedLink(1e9, 1500, { competitors: rivals }) }
  const options = { max_bandwidth: '0bit', downtime_limit: '1ms' } as const
  const one = await run('qemu', options, setting)
  const four = await run('qemu', { ...options, channels: 4 }, setting)
  near(one.record.totalNs / four.record.totalNs, 2.5, 0.2, '4 of 8 against 1 of 5')
})

test('the rate limit holds while the guest runs and is lifted for the last copy', async () => {
  const setting: Setting = { pages, ratio: 0.1 }
  const { record } = await run('qemu', { ...fast, max_bandwidth: '8.192gbit' }, setting)
  const rate = (round: (typeof record.rounds)[number]): number => (round.payloadBytes * 8) / round.durationNs
  near(rate(record.rounds[0]!), 8.192, 0.1, 'a quarter of the link')
  const last = record.rounds.filter(({ phase }) => phase === 'suspended')[0]!
  assert.ok(rate(last) > 25)
})

test('a guest of zero pages costs a header a page', async () => {
  const { record } = await run('qemu', fast, { pages, ratio: 0.2, content: { kind: 'zero' } })
  assert.equal(record.pagesZero, record.pagesSent)
  assert.equal(record.payloadBytes, 0)
})
