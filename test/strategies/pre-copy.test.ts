import assert from 'node:assert/strict'
import { test } from 'node:test'
import { near, pageBytes, pageNs, run } from '../support/model.js'
import { testSeeds } from '../support/seeds.js'

const gib4 = 2 ** 20
const live = (rounds: readonly { phase: string }[]): number =>
  rounds.filter(({ phase }) => phase === 'running').length

// algorithms.md, scheme 2: closed form of the linear model, skipping off.
const table = [
  { ratio: 0.2, profile: 'xen42', liveRounds: 8, total: 1.25, final: 0 },
  { ratio: 0.5, profile: 'xen42', liveRounds: 16, total: 2.0, final: 0 },
  { ratio: 0.9, profile: 'xen42', liveRounds: 4, total: 4.095, final: 0.656 },
  { ratio: 0.2, profile: 'xen-new', liveRounds: 5, total: 1.25, final: 0.0003 },
  { ratio: 0.5, profile: 'xen-new', liveRounds: 5, total: 1.969, final: 0.031 },
  { ratio: 0.9, profile: 'xen-new', liveRounds: 5, total: 4.686, final: 0.59 },
]

for (const { ratio, profile, liveRounds, total, final } of table) {
  test(`${profile} under the linear model at dirty ratio ${ratio}`, async () => {
    const { record, totalShare, finalShare } = await run(
      'pre-copy',
      { profile, skip: 'off' },
      { pages: gib4, ratio },
    )
    assert.equal(live(record.rounds), liveRounds)
    near(totalShare, total, 0.001, 'total')
    near(finalShare, final, 0.001, 'final set')
  })
}

test('threshold-only sends V / (1 - R)', async () => {
  for (const [ratio, total] of [
    [0.2, 1.25],
    [0.5, 2],
    [0.9, 10],
  ] as const) {
    const { totalShare } = await run(
      'pre-copy',
      { profile: 'threshold-only', threshold_pages: 5 },
      { pages: 65536, ratio },
    )
    near(totalShare, total, total * 0.002, `total at ${ratio}`)
  }
})

test('a silent guest: one live round, then nothing but device state', async () => {
  for (const profile of ['xen42', 'xen-new', 'clark05', 'threshold-only']) {
    const { record } = await run('pre-copy', { profile }, { ratio: 0, deviceBytes: pageBytes })
    assert.equal(record.pagesSent, 4096, profile)
    assert.equal(record.downtimeNs, pageNs, profile)
  }
})

test('skipping leaves out 1 - ln(1 + R) / R of the first round under independent writes', async () => {
  // At share u of the memory passed, exp(-R t) of the pages are clean, and time goes on with pages sent only:
  // dt/du = exp(-R t), so that 1 / (1 + R u) of the pages there are sent.
  for (const ratio of [0.5, 1, 2]) {
    const { record } = await run('pre-copy', {}, { pages: 65536, ratio, workload: { kind: 'iid' } })
    const share = record.rounds[0]!.pagesSkipped / 65536
    near(share, 1 - Math.log(1 + ratio) / ratio, 0.01, `share skipped at ${ratio}`)
  }
})

// Where the volume ends both (a ratio above 1), which of them goes farther beyond it is chance.
testSeeds('skipping never sends more in all than not skipping', 5, async (seed) => {
  for (const ratio of [0.3, 0.8]) {
    const workload = { kind: 'hot', workingSetPages: 800 } as const
    const on = await run('pre-copy', { skip: 'on' }, { ratio, workload, seed })
    const off = await run('pre-copy', { skip: 'off' }, { ratio, workload, seed })
    assert.ok(on.record.pagesSent <= off.record.pagesSent, `${ratio}`)
  }
})

test('rounds and volume are bounded however fast the guest writes', async () => {
  const old = await run('pre-copy', { profile: 'xen42', skip: 'off' }, { ratio: 3 })
  assert.ok(old.totalShare <= 5 && live(old.record.rounds) <= 29)
  const recent = await run('pre-copy', { profile: 'xen-new' }, { ratio: 3 })
  assert.ok(recent.totalShare <= 6 && live(recent.record.rounds) <= 5)
})

test('each round accounts for every page that it was to send', async () => {
  const { record } = await run('pre-copy', {}, { ratio: 0.8, workload: { kind: 'iid' } })
  let toSend = 4096
  for (const round of record.rounds) {
    assert.equal(round.pagesSent + round.pagesSkipped, toSend, `round ${round.round}`)
    // Skipped pages are dirty, so the sync at the end of the round finds them again.
    toSend = round.pagesDirtied
  }
})

test('clark05 follows the dirty rate between its bounds, and sends the last round at the highest rate', async () => {
  // The link carries 32.768 Gbit/s of pages; bounds are scaled to it.
  const rates = { min_rate: '4gbit', max_rate: '30gbit', rate_step: '2gbit' }
  const { record } = await run(
    'pre-copy',
    { profile: 'clark05', ...rates },
    { pages: 65536, ratio: 0.25, workload: { kind: 'hot', workingSetPages: 8192 } },
  )
  const bps = record.rounds
    .filter((round) => round.pagesSent > 2000)
    .map((round) => ({ phase: round.phase, bps: (round.payloadBytes * 8e9) / round.durationNs }))
  assert.ok(bps.length >= 3)
  near(bps[0]!.bps, 4e9, 0.1e9, 'first round')
  for (const round of bps) assert.ok(round.bps <= 30.1e9 && round.bps >= 3.9e9, `${round.bps}`)
})

test('clark05 with the rule of the code never lowers its rate', async () => {
  const rates = { min_rate: '4gbit', max_rate: '30gbit', rate_step: '2gbit', rate_rule: 'code' }
  const { record } = await run(
    'pre-copy',
    { profile: 'clark05', ...rates },
    { pages: 65536, ratio: 0.4, workload: { kind: 'hot', workingSetPages: 16384 } },
  )
  const bps = record.rounds
    .filter((round) => round.pagesSent > 3000 && round.phase === 'running')
    .map((round) => (round.payloadBytes * 8e9) / round.durationNs)
  assert.ok(bps.length >= 3)
  for (const [i, rate] of bps.entries()) assert.ok(i === 0 || rate >= 0.98 * bps[i - 1]!, bps.join(' '))
})
