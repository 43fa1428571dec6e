import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageSet } from '../../src/memory/page-set.js'
import { framedLink } from '../../src/model/link.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { PageQueue } from '../../src/strategies/page-queue.js'
import { random } from '../../src/support/random.js'
import { modelSpec, near, run, type Setting, watched } from '../support/model.js'
import { testSeeds } from '../support/seeds.js'

const pages = 8192
const share = (part: number): number => Math.round(part * pages)

interface Level {
  /** Share of memory in the cache: outstanding pages that the stream has passed. */
  readonly highest: number
  /** Guest stall at the first moment that the cache reached PrmB. */
  readonly stalledBelow: boolean
}

/** Runs the scheme and watches the level of its cache. */
async function levels(
  options: Readonly<Record<string, unknown>>,
  setting: Setting,
  prmB = 0.7,
): Promise<Level> {
  const testbed = new ModelTestbed(modelSpec({ pages, ...setting }))
  let highest = 0
  let stalledBelow = false
  const ahead = PageSet.full(pages)
  const strategy = watched(strategyNamed('async-cache').create(options), (view, next) => {
    if (view.phase !== 'running' || next?.do !== 'copy') return
    const cache = view.unsent.clone()
    cache.deleteAll(ahead)
    if (highest < prmB && testbed.guestStallNs > 0) stalledBelow = true
    highest = Math.max(highest, cache.count / pages)
    for (const lane of next.lanes) {
      assert.ok(lane.pages instanceof Uint32Array)
      for (const page of lane.pages) ahead.delete(page)
    }
  })
  await run(strategy, {}, setting, testbed)
  return { highest, stalledBelow }
}

test('what it sends, and leaves for the end, under the linear model', async () => {
  // algorithms.md 8.5, from an independent simulation of the same rules.
  const expected = [
    { ratio: 0.2, workingSet: 1, total: 1.12, final: 0 },
    { ratio: 0.5, workingSet: 1, total: 1.43, final: 0.002 },
    { ratio: 0.9, workingSet: 1, total: 2.59, final: 0.14 },
    { ratio: 2, workingSet: 0.02, total: 1.05, final: 0.016 },
    { ratio: 2, workingSet: 0.3, total: 2.65, final: 0.2 },
  ]
  for (const { ratio, workingSet, total, final } of expected) {
    const workload = { workingSetPages: share(workingSet) }
    const { totalShare, finalShare } = await run('async-cache', {}, { pages, ratio, workload })
    near(totalShare, total, 0.05, `total at R=${ratio}, W=${workingSet}`)
    near(finalShare, final, 0.05, `final set at R=${ratio}, W=${workingSet}`)
  }
})

test('without thresholds it is a continuous queue: the limit of STORD for ever finer pieces', async () => {
  for (const ratio of [0.2, 0.5]) {
    const { totalShare, record } = await run(
      'async-cache',
      { prm_a: 0, prm_b: 1, max_volume: 10 },
      { pages, ratio },
    )
    near(totalShare, -Math.log(1 - ratio) / ratio, 0.02, `total at ${ratio}`)
    assert.equal(record.guestStallNs, 0)
  }
})

test('a working set below PrmA never leaves before the stream is through, and then in passes', async () => {
  const working = share(0.04)
  let early = 0
  const strategy = watched(strategyNamed('async-cache').create({}), (view) => {
    if (view.phase === 'running' && view.sentPages <= pages) early = Math.max(early, view.sentPages + 0)
  })
  const setting = { pages, ratio: 2, workload: { workingSetPages: working } }
  const { record } = await run(strategy, {}, setting)
  assert.equal(early, pages, 'the stream and nothing else')
  assert.ok(record.pagesSent <= pages + (1 + 5) * working)
  assert.equal(record.guestStallNs, 0)
})

test('writers wait only from PrmB on, and then the cache stays there', async () => {
  const calm = await levels({}, { ratio: 2, workload: { workingSetPages: share(0.6) } })
  assert.ok(!calm.stalledBelow && calm.highest < 0.7)
  const busy = await levels({}, { ratio: 2, workload: { workingSetPages: share(0.95) } })
  assert.ok(!busy.stalledBelow)
  assert.ok(busy.highest >= 0.69 && busy.highest <= 0.7 + 1024 / pages, `${busy.highest}`)
  const { record } = await run(
    'async-cache',
    {},
    { pages, ratio: 2, workload: { workingSetPages: share(0.95) } },
  )
  assert.ok(record.guestStallNs > 0.05 * record.totalNs)
})

test('each gap in the paper that is a switch makes the difference that it should', async () => {
  const busy: Setting = { pages, ratio: 2, workload: { workingSetPages: share(0.95) } }
  const stall = async (options: Readonly<Record<string, unknown>>): Promise<number> => {
    const { record } = await run('async-cache', options, busy)
    return record.guestStallNs / record.totalNs
  }
  const usual = await stall({})
  assert.ok((await stall({ latch: true })) > usual, 'once held, held to the end')
  const { record: paused } = await run('async-cache', { sync_mode: 'pause-all' }, busy)
  assert.equal(paused.guestThrottleMax, 1)
  const { record: counted } = await run('async-cache', { count_stream: true }, busy)
  assert.ok(counted.guestStallNs > 0.05 * counted.totalNs, 'held from the start')

  const calm: Setting = { pages, ratio: 0.5 }
  const drained = await run('async-cache', {}, calm)
  const stopped = await run('async-cache', { after_stream: 'stop-at-a' }, calm)
  assert.ok(stopped.finalShare <= 0.05 && stopped.finalShare > drained.finalShare)

  const small: Setting = { pages, ratio: 2, workload: { workingSetPages: share(0.02) } }
  const kept = await run('async-cache', {}, small)
  const expired = await run('async-cache', { expire: '500us' }, small)
  assert.ok(expired.record.pagesSent > kept.record.pagesSent, 'old pages are flushed below PrmA')
})

test('pages written again and again go late when they go to the end', async () => {
  const setting: Setting = {
    pages,
    ratio: 1,
    workload: { kind: 'hot', workingSetPages: share(0.1), hotShare: 0.8 },
  }
  const kept = await run('async-cache', {}, setting)
  const moved = await run('async-cache', { redirtied: 'to-end' }, setting)
  assert.ok(moved.record.pagesSent < kept.record.pagesSent)
})

test('against Xen it sends less and stops shorter when the guest writes much', async () => {
  for (const ratio of [0.5, 0.9]) {
    const ours = await run('async-cache', {}, { pages, ratio })
    const xen = await run('pre-copy', { skip: 'off' }, { pages, ratio })
    assert.ok(ours.record.pagesSent < 0.75 * xen.record.pagesSent, `pages at ${ratio}`)
    if (ratio === 0.9) assert.ok(ours.record.downtimeNs! < xen.record.downtimeNs!, 'downtime')
  }
})

test('priority changes nothing on an idle link and much on a contended one', async () => {
  const always = { startNs: 0, stopNs: Number.POSITIVE_INFINITY }
  const rivals = [{ pcp: 0, elasticFlows: 3, ...always }]
  const goodput = async (pcp: number, competitors: typeof rivals): Promise<number> => {
    const link = framedLink(200e6, 1500, { competitors })
    const spec = { ...modelSpec({ link, ratio: 0, pages: 2048 }), lanes: { bulk: pcp, final: pcp } }
    return (await run('async-cache', {}, {}, new ModelTestbed(spec))).record.goodputBps
  }
  assert.equal(await goodput(7, []), await goodput(0, []))
  near((await goodput(0, rivals)) / (await goodput(7, rivals)), 0.25, 0.01, 'a fair share of four flows')
})

testSeeds('the queue hands pages out once, oldest first, and forgets none', 40, (seed) => {
  const numbers = random(seed)
  const capacity = 1 + numbers.below(60)
  const queue = new PageQueue(capacity)
  let reference: number[] = []
  for (let step = 0; step < 200; step++) {
    const some = new Set(Array.from({ length: numbers.below(20) }, () => numbers.below(capacity)))
    const sorted = [...some].sort((a, b) => a - b)
    switch (numbers.below(3)) {
      case 0:
        queue.add(PageSet.of(capacity, some), step)
        reference.push(...sorted.filter((page) => !reference.includes(page)))
        break
      case 1: {
        queue.moveToEnd(PageSet.of(capacity, some))
        const moved = sorted.filter((page) => reference.includes(page))
        reference = [...reference.filter((page) => !some.has(page)), ...moved]
        break
      }
      default: {
        const most = numbers.below(15)
        assert.deepEqual([...queue.take(most)], reference.splice(0, most))
      }
    }
    assert.equal(queue.count, reference.length)
  }
})
