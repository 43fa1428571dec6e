/** Akoush et al.: bounds that hold for every run, and reckonings that are exact where the guest is what they assume. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  average,
  bounds,
  type Conditions,
  ConstantRate,
  type Dirtying,
  type Forecast,
  forecast,
  RecordedLog,
} from '../../src/model/forecast.js'
import { recordHistory } from '../../src/model/history.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { modelSpec, pageNs, type Run, run, type Setting } from '../support/model.js'
import { testSeeds } from '../support/seeds.js'

const pages = 2048
const profiles = ['xen42', 'xen-new'] as const
/** As many looks at the log a round as a guest of 64 MiB gets. */
const pagesPerPeek = 128

function conditions(profile: 'xen42' | 'xen-new', skip: boolean): Conditions {
  const maxRounds = profile === 'xen42' ? 29 : 5
  return {
    totalPages: pages,
    pageNs,
    policy: { profile, thresholdPages: 50, maxRounds, skip },
    pagesPerPeek,
    overheadNs: 0,
    downtimeOverheadNs: 0,
  }
}

function measured(profile: string, skip: boolean, setting: Setting): Promise<Run> {
  const testbed = new ModelTestbed({ ...modelSpec({ pages, ...setting }), pagesPerPeek })
  return run('pre-copy', { profile, skip: skip ? 'on' : 'off' }, setting, testbed)
}

const record = (setting: Setting, intervalNs: number) =>
  recordHistory(
    modelSpec({ pages, ...setting }).guest,
    intervalNs,
    Math.ceil((6 * pages * pageNs) / intervalNs),
  )

const pagesOfRounds = (forecasted: Forecast): number[] => forecasted.rounds.map(({ sent }) => sent)
const pagesOfRun = ({ record }: Run): number[] => record.rounds.map(({ pagesSent }) => pagesSent)

const workloads = [
  { kind: 'cycle' },
  { kind: 'hot', workingSetPages: 200 },
  { kind: 'iid' },
  { kind: 'phase', workingSetPages: 100, periodNs: 400 * pageNs },
  { kind: 'scan' },
] as const

testSeeds('the bounds hold for every run under either stop rule', 60, async (seed) => {
  const setting: Setting = {
    seed,
    ratio: [0.1, 0.5, 0.9, 1.3, 3][seed % 5]!,
    workload: workloads[seed % workloads.length]!,
    deviceBytes: 4096,
  }
  const overheadNs = pageNs
  for (const profile of profiles) {
    const { record } = await measured(profile, profile === 'xen42', setting)
    const rounds = profile === 'xen42' ? 29 : 5
    const limits = bounds(profile, rounds, {
      totalPages: pages,
      pageNs,
      overheadNs,
      downtimeOverheadNs: overheadNs,
    })
    assert.ok(record.totalNs >= limits.totalNsMin && record.totalNs <= limits.totalNsMax, profile)
    assert.ok(record.downtimeNs! >= limits.downtimeNsMin && record.downtimeNs! <= limits.downtimeNsMax)
  }
})

test('a constant rate is exact for a guest that cycles, to a page a round', async () => {
  for (const ratio of [0.1, 0.35, 0.5, 0.8, 0.9, 1.2]) {
    for (const profile of profiles) {
      const real = pagesOfRun(await measured(profile, false, { ratio, workload: { kind: 'cycle' } }))
      const guest = new ConstantRate(pages, (ratio * 1e9) / pageNs, pages)
      const reckoned = pagesOfRounds(forecast(conditions(profile, false), guest))
      // A last round with nothing to send is no round of the engine's.
      assert.ok(reckoned.length >= real.length && reckoned.slice(real.length).every((count) => count === 0))
      for (const [i, sent] of real.entries()) {
        assert.ok(
          Math.abs(sent - reckoned[i]!) <= 1,
          `${profile} ${ratio} round ${i}: ${sent} ${reckoned[i]}`,
        )
      }
    }
  }
})

testSeeds(
  'the very trace of the run gives the run, page for page, skipped pages included',
  40,
  async (seed) => {
    const setting: Setting = {
      seed,
      ratio: [0.2, 0.6, 0.9, 1.5][seed % 4]!,
      workload: workloads[seed % workloads.length]!,
    }
    const skip = seed % 2 === 0
    const profile = profiles[seed % 3 === 0 ? 1 : 0]
    const real = await measured(profile, skip, setting)
    const reckoned = forecast(conditions(profile, skip), new RecordedLog(pages, record(setting, pageNs)))
    assert.equal(reckoned.pagesSent, real.record.pagesSent)
    assert.equal(reckoned.totalNs, real.record.totalNs)
    assert.equal(reckoned.downtimeNs, real.record.downtimeNs)
    assert.deepEqual(
      pagesOfRounds(reckoned).filter((sent) => sent > 0),
      pagesOfRun(real).filter((sent) => sent > 0),
    )
  },
)

test('of guests that work in phases the record knows more than the average', async () => {
  const errors = { avg: 0, hist: 0 }
  for (let seed = 1; seed <= 20; seed++) {
    const workload = { kind: 'phase', workingSetPages: 150, periodNs: 700 * pageNs } as const
    const setting: Setting = { seed, ratio: 0.8, workload }
    const real = await measured('xen42', true, setting)
    const history = record({ ...setting, seed: seed + 1000 }, 50 * pageNs)
    const { pagesPerSecond, workingSetPages } = average(pages, history)
    const miss = (guest: Dirtying): number =>
      Math.abs(forecast(conditions('xen42', true), guest).totalNs / real.record.totalNs - 1)
    errors.avg += miss(new ConstantRate(pages, pagesPerSecond, workingSetPages))
    errors.hist += miss(new RecordedLog(pages, history))
  }
  assert.ok(errors.hist <= errors.avg, `${errors.hist} against ${errors.avg}`)
  assert.ok(errors.hist / 20 < 0.1, `mean error ${errors.hist / 20}, the abstract says within 10 %`)
})
