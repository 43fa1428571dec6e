import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { analysePair, type PairResult } from '../../src/analysis/pair-analysis.js'
import { type NetworkOptions, network, type Truth } from '../support/network.js'
import { pcapFile, udpFrame } from '../support/pcap-builder.js'
import { temporaryFile } from '../support/temporary.js'

async function paired(
  t: TestContext,
  truth: Truth,
  snapLengths: readonly [number, number] = [262_144, 262_144],
): Promise<PairResult> {
  const result = await analysePair(
    temporaryFile(t, 'a.pcap', pcapFile(truth.a, { snapLength: snapLengths[0] })),
    temporaryFile(t, 'b.pcap', pcapFile(truth.b, { snapLength: snapLengths[1] })),
  )
  assert.ok(result)
  return result
}

function sum(result: PairResult, of: 'lost' | 'extra' | 'reordered' | 'matched' | 'packets'): number {
  return result.classes.reduce((total, row) => total + row[of], 0)
}

const bad: NetworkOptions = {
  frames: 8000,
  seed: 5,
  lossRatio: 0.1,
  duplicateRatio: 0.03,
  reorderRatio: 0.05,
}
const cases: readonly (readonly [string, NetworkOptions])[] = [
  ['loss', { frames: 8000, seed: 1, lossRatio: 0.3 }],
  ['duplication', { frames: 8000, seed: 2, duplicateRatio: 0.1 }],
  ['reordering', { frames: 8000, seed: 3, reorderRatio: 0.1 }],
  ['byte-identical retransmission and loss', { frames: 8000, seed: 4, repeatRatio: 0.2, lossRatio: 0.2 }],
  ['all of it', bad],
  ['all of it, with every mark rewritten', { ...bad, rewrite: true }],
  ['all of it, both ways', { ...bad, bothWays: true }],
  ['all of it, both ways, clocks 3 s apart', { ...bad, bothWays: true, offsetNs: 3e9 }],
  ['all of it, both ways, clocks two hours apart', { ...bad, bothWays: true, offsetNs: -7200e9 }],
]
for (const [name, options] of cases) {
  test(`two points are exact on ${name}`, async (t) => {
    const truth = network(options)
    const result = await paired(t, truth)
    assert.deepEqual(
      {
        sent: sum(result, 'packets'),
        lost: sum(result, 'lost'),
        duplicated: sum(result, 'extra'),
        reordered: sum(result, 'reordered'),
      },
      { sent: truth.sent, lost: truth.lost, duplicated: truth.duplicated, reordered: truth.reordered },
      `seed ${options.seed}`,
    )
    assert.equal(result.foreign_a + result.foreign_b, 0)
    if (options.rewrite === true) {
      for (const row of result.classes.filter((one) => one.matched > 0)) {
        assert.deepEqual(row.rewritten, [{ vlan: 300 + row.pcp!, pcp: 1, dscp: 8, packets: row.matched }])
      }
    }
    if (options.offsetNs !== undefined) {
      assert.ok(
        Math.abs(result.clock.offset_ms - options.offsetNs / 1e6) < 0.05,
        `offset ${result.clock.offset_ms}`,
      )
      assert.equal(result.clock.method, 'both directions')
    }
  })
}

test('different snaplens and a cut payload do not keep frames from being recognised', async (t) => {
  const truth = network({ ...bad, payloadBytes: 400 })
  for (const snapLengths of [
    [68, 262_144],
    [262_144, 80],
    [96, 128],
  ] as const) {
    const result = await paired(t, truth, snapLengths)
    assert.equal(sum(result, 'lost'), truth.lost, snapLengths.join(' and '))
    assert.equal(sum(result, 'extra'), truth.duplicated, snapLengths.join(' and '))
  }
})

test('one-way and queueing delay are those of the network', async (t) => {
  const result = await paired(t, network({ frames: 4000, seed: 9, bothWays: true, offsetNs: 1.5e9 }))
  for (const row of result.classes) {
    assert.ok(row.one_way_delay_ms && row.queue_delay_ms)
    assert.ok(Math.abs(row.one_way_delay_ms.p50 - 0.21) < 0.02, `one way ${row.one_way_delay_ms.p50}`)
    assert.ok(row.queue_delay_ms.max < 0.021, `queueing ${row.queue_delay_ms.max}`)
  }
  const directions = new Set(result.classes.map((row) => row.direction))
  assert.deepEqual([...directions].toSorted(), ['a_to_b', 'b_to_a'])
})

test('traffic that does not pass the other point is foreign, not lost', async (t) => {
  const truth = network({ frames: 1000, seed: 6 })
  const stranger = { source: '10.9.0.1', destination: '10.9.0.2' }
  for (let i = 0; i < 50; i++) truth.b.push({ atNs: 60e6 + i, bytes: udpFrame({ ...stranger, ipId: i }) })
  truth.b.sort((one, other) => one.atNs - other.atNs)
  const result = await paired(t, truth)
  assert.equal(result.foreign_b, 50)
  assert.equal(sum(result, 'extra'), 0)
  assert.equal(sum(result, 'lost'), 0)
})

test('frames from before the other capture began are no loss', async (t) => {
  const truth = network({ frames: 100_000, seed: 7 })
  const later = truth.b.filter((frame) => frame.atNs > 3e9)
  const result = await paired(t, { ...truth, b: later })
  const earlier = truth.b.length - later.length
  const withinASecond = 1e9 / 50_000
  assert.ok(
    sum(result, 'lost') <= withinASecond + 10 && earlier > 50_000,
    `${sum(result, 'lost')} of ${earlier}`,
  )
  assert.equal(
    result.classes.reduce((total, row) => total + row.lost_at_edges, 0),
    sum(result, 'lost'),
  )
})

test('captures without a common frame are no pair', async (t) => {
  const one = temporaryFile(t, 'one.pcap', pcapFile(network({ frames: 50, seed: 1 }).a))
  const frames = [{ atNs: 0, bytes: udpFrame({ source: '10.7.0.1' }) }]
  const other = temporaryFile(t, 'other.pcap', pcapFile(frames))
  assert.equal(await analysePair(one, other), undefined)
  assert.equal(await analysePair(one, temporaryFile(t, 'empty.pcap', pcapFile([]))), undefined)
})
