/** Scheme 20: the two sentences of future work of Moslehi & Mohebbi. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrate } from '../../src/migration/engine.js'
import type { JournalEntry } from '../../src/migration/journal.js'
import type { MigrationRecord } from '../../src/migration/metrics.js'
import type { Intent } from '../../src/migration/strategy.js'
import { type Competitor, framedLink, shareBps, wireBits } from '../../src/model/link.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { modelSpec, near, pageBytes, run, type Setting, watched } from '../support/model.js'

const pages = 4096
const linkBps = 200e6
const udp = (offeredBps: number, pcp = 0): Competitor => ({
  pcp,
  offeredBps,
  elasticFlows: 0,
  startNs: 0,
  stopNs: Number.POSITIVE_INFINITY,
})
const link = (competitors: readonly Competitor[] = [], paths = 1) =>
  framedLink(linkBps, 1500, { competitors, paths })
/** Pages a second that the idle link carries. */
const pageRate = linkBps / wireBits(framedLink(linkBps, 1500), pageBytes + 16)
const writes = (ratio: number) => ({ kind: 'cycle', writesPerSecond: ratio * pageRate }) as const

interface Managed {
  readonly record: MigrationRecord
  /** Lanes of the copies, in their order, with the times at which they began. */
  readonly levels: readonly { readonly level: number; readonly atNs: number; readonly phase: string }[]
}

async function managed(options: Readonly<Record<string, unknown>>, setting: Setting): Promise<Managed> {
  const levels: { level: number; atNs: number; phase: string }[] = []
  const strategy = watched(strategyNamed('priority-manager').create(options), (view, next) => {
    if (next?.do !== 'copy' || view.unsent.count === 0) return
    levels.push({ level: Number(next.lanes[0]!.via.slice(6)), atNs: view.nowNs, phase: view.phase })
  })
  const { record } = await run(strategy, {}, { pages, ...setting })
  return { record, levels }
}

test('with nobody else on the link the manager changes nothing', async () => {
  for (const ratio of [0.3, 0.8, 1.2]) {
    const ours = await run('priority-manager', { skip: false, interval: '1h' }, { pages, ratio })
    const none = await run('pre-copy', { profile: 'xen42', skip: 'off' }, { pages, ratio })
    assert.deepEqual({ ...ours.record, strategy: '' }, { ...none.record, strategy: '' })
    const cut = await run('priority-manager', { skip: false, interval: '500us' }, { pages, ratio })
    assert.equal(cut.record.pagesSent, none.record.pagesSent, 'nor do its looks in between')
  }
})

test('the level is low while there is time, higher when there is not, highest when it does not converge', async () => {
  const calm = await managed({ deadline: '60s' }, { link: link(), workload: writes(0.3) })
  const live = calm.levels.filter(({ phase }) => phase === 'running')
  assert.ok(live.every(({ level }) => level === 5))
  const hurried = await managed({ deadline: '300ms' }, { link: link(), workload: writes(0.3) })
  assert.ok(hurried.levels.some(({ level }) => level === 6))
  const losing = await managed({ deadline: '60s' }, { link: link(), workload: writes(1.1) })
  assert.ok(losing.levels.some(({ level, phase }) => level === 7 && phase === 'running'))
  for (const { levels } of [calm, hurried, losing]) {
    assert.ok(levels.filter(({ phase }) => phase === 'suspended').every(({ level }) => level === 7))
  }
})

test('the level changes at most once in half a second, but for the last copy', async () => {
  for (const [deadline, ratio] of [
    ['400ms', 0.8],
    ['2s', 0.95],
    ['1s', 1.1],
  ] as const) {
    const { levels } = await managed({ deadline }, { link: link(), workload: writes(ratio) })
    const live = levels.filter(({ phase }) => phase === 'running')
    const changes = live.filter(({ level }, i) => i > 0 && level !== live[i - 1]!.level)
    for (const [i, { atNs }] of changes.entries()) {
      if (i > 0) assert.ok(atNs - changes[i - 1]!.atNs >= 500e6, `${deadline} ${ratio}`)
    }
  }
})

test('level 7 has the wire only while escalated or in the last copy, and the journal has every change', async () => {
  const entries: JournalEntry[] = []
  const testbed = new ModelTestbed(modelSpec({ pages, link: link(), workload: writes(0.3) }))
  const strategy = strategyNamed('priority-manager').create({})
  await migrate(strategy, testbed, { maxTotalNs: 60e9 }, { record: (entry) => entries.push(entry) })
  const copies = entries.filter((entry) => entry.event === 'intent' && 'do' in entry && entry.do === 'copy')
  const at = entries.findIndex((entry) => 'do' in entry && entry.do === 'suspend')
  assert.ok(at > 0)
  for (const entry of copies) {
    const lanes = 'lanes' in entry ? entry.lanes : []
    assert.deepEqual(lanes, [entries.indexOf(entry) > at ? 'level-7' : 'level-5'])
  }
})

test('what others were promised is left to them within 5 %, whatever the level', async () => {
  for (const guaranteedBps of [40e6, 120e6, 160e6]) {
    const { record } = await managed(
      { guaranteed: `${guaranteedBps / 1e6}mbit`, deadline: '1s' },
      { link: link([udp(guaranteedBps)]), workload: writes(0.1) },
    )
    for (const round of record.rounds.filter(({ durationNs }) => durationNs >= 1e9)) {
      const usedBps = (wireBits(link(), round.bytesSent) * 1e9) / round.durationNs
      assert.ok(linkBps - usedBps >= 0.95 * guaranteedBps, `${usedBps} of ${linkBps - guaranteedBps}`)
    }
  }
})

test('a deadline that guarantees rule out is reported', async () => {
  const setting = { link: link([udp(180e6)]), workload: writes(0.1) }
  const { record } = await managed({ guaranteed: '180mbit', deadline: '1s' }, setting)
  assert.deepEqual(record.notes, ['deadline infeasible'])
  const { record: other } = await managed({ deadline: '60s' }, setting)
  assert.equal(other.notes, undefined)
})

test('two equal flows of one class share it equally, four of ours and one of theirs by flow', () => {
  const tcp: Competitor = { pcp: 5, elasticFlows: 1, startNs: 0, stopNs: 1 }
  near(shareBps(link([tcp]), 5, 1, 0) / linkBps, 0.5, 0.05, 'share')
  near(shareBps(link([tcp]), 5, 4, 0) / linkBps, 0.8, 0.05, 'share')
})

test('deficit round robin: two equal flows share their class equally, though one of them does not yield', () => {
  const flood = { ...udp(300e6, 5), flows: 1 }
  const inTurn = { ...link([flood]), perFlow: true } as const
  near(shareBps(inTurn, 5, 1, 0) / linkBps, 0.5, 0.05, 'share beside a flood')
  assert.ok(shareBps(link([flood]), 5, 1, 0) < 0.05 * linkBps, 'in order of arrival the flood takes it all')
  const modest = { ...link([udp(40e6, 5)]), perFlow: true } as const
  near(shareBps(modest, 5, 1, 0) / linkBps, 0.8, 0.01, 'what a flow does not want goes to the other')
  const many = { ...link([{ ...udp(300e6, 5), flows: 3 }]), perFlow: true } as const
  near(shareBps(many, 5, 1, 0) / linkBps, 0.25, 0.05, 'one of four')
})

const channels = (count: number, setting: Setting) =>
  run('multipath', { channels: count }, { pages, ...setting })

test('one channel is plain pre-copy', async () => {
  const setting = { ratio: 0.6 }
  const ours = await channels(1, setting)
  const plain = await run('pre-copy', { profile: 'xen42', skip: 'off' }, { pages, ...setting })
  assert.equal(ours.record.pagesSent, plain.record.pagesSent)
  assert.equal(ours.record.totalNs, plain.record.totalNs)
})

test('m paths carry m times as much, and a channel too few leaves one of them idle', async () => {
  const time = async (count: number, paths: number): Promise<number> =>
    (await channels(count, { ratio: 0, link: link([], paths) })).record.totalNs
  const one = await time(1, 1)
  for (const paths of [2, 3, 4]) near((await time(paths, paths)) / one, 1 / paths, 0.03, `${paths} paths`)
  near((await time(6, 3)) / one, 1 / 3, 0.03, 'two channels a path')
  near((await time(2, 4)) / one, 1 / 2, 0.03, 'two channels on four paths')
})

test('QEMU’s channels keep to paths as well, and wait for each other at the end of each window', async () => {
  const goodput = async (paths: number): Promise<number> => {
    const setting = { pages: 8192, ratio: 0, link: link([], paths) }
    const { record } = await run('qemu', { channels: 2, max_bandwidth: '10gbit' }, setting)
    assert.equal(record.pagesSent, 8192)
    return record.goodputBps
  }
  const gain = (await goodput(2)) / (await goodput(1))
  assert.ok(gain > 1.5 && gain <= 2, `${gain} times as fast`)
})

test('the shortest queue gets the next batch: a crowded path carries less, and none waits for it', async () => {
  const crowded = link([udp(150e6, 7)], 2)
  const { record } = await channels(2, { pages: 32_768, ratio: 0, link: crowded })
  const idle = await channels(2, { pages: 32_768, ratio: 0, link: link([], 2) })
  // Lanes are on PCP 7 in this setting: 50 of the one path and 200 of the other.
  near(record.totalNs / idle.record.totalNs, 400 / 250, 0.05, 'time against two idle paths')
})

test('each page goes once a round, on one channel', async () => {
  const seen = (intent: Intent | undefined): number =>
    intent?.do === 'copy' && intent.sharePages ? intent.lanes.length : 0
  let widest = 0
  const strategy = watched(strategyNamed('multipath').create({ channels: 3 }), (_view, next) => {
    widest = Math.max(widest, seen(next))
  })
  const { record } = await run(strategy, {}, { pages, ratio: 0, link: link([], 3) })
  assert.equal(widest, 3)
  assert.equal(record.pagesSent, pages)
})
