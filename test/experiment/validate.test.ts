/** What a validation runs and concludes, on runs that a test makes up. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Claim,
  type ClaimResult,
  levelClaims,
  migrationClaims,
  othersClaims,
} from '../../src/experiment/claims.js'
import type { RunResult } from '../../src/experiment/result.js'
import { firstLook } from '../../src/experiment/statistics.js'
import {
  type Arm,
  type RunRequest,
  type Validation,
  type ValidationInput,
  validate,
} from '../../src/experiment/validate.js'
import { failure } from '../../src/support/errors.js'
import { type Random, random } from '../../src/support/random.js'
import { testSeeds } from '../support/seeds.js'
import { type FakeRun, fakeRun } from './fake-run.js'

const unmarked: Arm = { name: 'unmarked', marking: { bulk: 'best-effort', final: 'best-effort' } }
const marked: Arm = { name: 'marked', marking: { bulk: 'CS7', final: 'CS7' } }
const others = [{ stream: 'cross-traffic 0 udp-cbr', class: 'best-effort' }]

/** A marked run takes 3 s, an unmarked one 60 s unless it is cut off. */
const helpful: FakeRun = ({ arm, seed }) => {
  const noise = 1 + 0.02 * random(seed, arm.name.length).unit()
  return arm.name === 'unmarked'
    ? { goodputMbps: 20 * noise, totalMs: 60_000 * noise, downtimeMs: 100, otherMbps: 120 }
    : { goodputMbps: 180 * noise, totalMs: 3000 * noise, downtimeMs: 25, otherMbps: 5 }
}

test('a large gain passes at the first look, and what it costs is in the same table', async () => {
  const { validation } = await run({ runs: helpful })
  assert.equal(validation.verdict, 'PASS')
  assert.equal(validation.pairs, firstLook)
  assert.equal(validation.ended, 'clear')
  const goodput = claim(validation, 'goodput')
  assert.ok(goodput.effect! > 700 && goodput.effect! < 900, `effect ${goodput.effect}`)
  assert.ok(goodput.ci95[0]! > 700 && goodput.ci95[1]! < 900 && goodput.ci95[0]! < goodput.effect!)
  const price = claim(validation, 'throughput')
  assert.equal(price.verdict, 'FAIL')
  assert.ok(price.effect! < -90)
  assert.equal(price.class, 'best-effort')
})

test('the limit of a run is four times what the marked one took, and cut-off runs count as bounds', async () => {
  const { validation, requests } = await run({ runs: helpful })
  const limits = requests.filter(({ label }) => !label.startsWith('warm-up')).map(({ limitNs }) => limitNs)
  assert.ok(
    limits.every((limit) => limit >= 12e9 && limit <= 12.3e9),
    String(limits),
  )
  assert.equal(validation.censored_runs, firstLook)
  const total = claim(validation, 'total_time')
  assert.equal(total.verdict, 'PASS')
  assert.equal(total.effect_is, 'at most')
  assert.deepEqual([total.ci95[0], total.censored_pairs], [null, firstLook])
  assert.match(total.because, /8 pairs with a run that was cut off/)
  const downtime = claim(validation, 'downtime')
  assert.deepEqual([downtime.verdict, downtime.effect, downtime.ci95], ['INCONCLUSIVE', null, [null, null]])
})

test('where both arms are slow, runs are short so that many pairs fit into the time', async () => {
  const slow: FakeRun = ({ arm, seed }) => {
    const mbps = 20 + random(seed, arm.name.length).unit()
    return { goodputMbps: mbps, totalMs: 60_000, downtimeMs: 100, otherMbps: 120 }
  }
  const { validation } = await run({ runs: slow, maxTimeNs: 450e9 })
  assert.equal(validation.verdict, 'FAIL')
  assert.match(validation.because, /no effect/)
  assert.ok(validation.run_limit_ms >= 2500 && validation.run_limit_ms < 5000, `${validation.run_limit_ms}`)
  const patient = await run({ runs: slow, maxTimeNs: 3600e9 })
  assert.ok(patient.validation.run_limit_ms > 20_000, `${patient.validation.run_limit_ms}`)
})

test('every run is announced while the one before it runs, unless that one has to be made again', async () => {
  const { requests, announced } = await run({
    runs: (request) => ({ ...helpful(request), invalid: request.label === '02-marked' }),
  })
  for (const [i, { label }] of requests.entries()) {
    const learnt = label.startsWith('warm-up')
    const unforeseen = label.includes('again')
    assert.equal(announced[i - 1]?.label === label, !learnt && !unforeseen, label)
  }
  assert.ok(requests.some(({ label }) => label === '02-marked-again-1'))
})

test('pairs share a seed that no other pair has; the order within is drawn; the warm-up does not count', async () => {
  const { validation, requests } = await run({ runs: helpful, pairs: 12 })
  const counted = validation.runs.filter(({ use }) => use === 'counted')
  const seeds = new Set(counted.map(({ seed }) => seed))
  assert.equal(seeds.size, 12)
  for (const one of seeds) {
    const arms = counted.filter(({ seed }) => seed === one).map(({ arm }) => arm)
    assert.deepEqual(arms.toSorted(), ['marked', 'unmarked'])
  }
  const first = counted.filter(({ order }) => order === 0).map(({ arm }) => arm)
  assert.equal(new Set(first).size, 2)
  assert.deepEqual(
    requests.slice(0, 2).map(({ label }) => label),
    ['warm-up-marked', 'warm-up-unmarked'],
  )
  assert.equal(validation.runs.filter(({ use }) => use === 'warm-up').length, 2)
})

test('the same seed draws the same orders and gives the same document', async () => {
  const once = await run({ runs: helpful })
  const again = await run({ runs: helpful })
  assert.deepEqual(once.validation, again.validation)
})

test('no effect is a FAIL that says so', async () => {
  const { validation } = await run({ runs: (request) => ({ ...helpful(request), ...alike(request.seed) }) })
  assert.equal(validation.verdict, 'FAIL')
  assert.match(validation.because, /no effect/)
  assert.equal(validation.pairs, firstLook)
})

test('marks that do harm are a FAIL that says so', async () => {
  const { validation } = await run({
    runs: ({ arm, seed }) => {
      const noise = 1 + 0.02 * random(seed, arm.name.length).unit()
      const mbps = arm.name === 'marked' ? 50 : 100
      return { goodputMbps: mbps * noise, totalMs: 5000, downtimeMs: 30, otherMbps: 50 }
    },
  })
  assert.equal(validation.verdict, 'FAIL')
  assert.match(validation.because, /worse/)
})

test('noise as large as the effect stays INCONCLUSIVE up to the limit of pairs', async () => {
  const { validation } = await run({
    maxPairs: 10,
    runs: (request) => ({
      ...helpful(request),
      goodputMbps: Math.exp(2 * random(request.seed, request.arm.name.length).unit()),
    }),
  })
  assert.deepEqual(
    [validation.verdict, validation.ended, validation.pairs],
    ['INCONCLUSIVE', 'max-pairs', 10],
  )
})

test('invalid runs are replaced and counted, and failed ones too', async () => {
  const { validation } = await run({
    runs: (request) => {
      if (request.label === '02-marked') return { ...helpful(request), invalid: true }
      if (request.label === '03-unmarked') throw failure('agent lost', { code: 'agent-lost' })
      return helpful(request)
    },
  })
  assert.deepEqual([validation.verdict, validation.invalid_runs, validation.pairs], ['PASS', 2, firstLook])
  const invalid = validation.runs.filter(({ use }) => use === 'invalid')
  assert.deepEqual(invalid.map(({ label }) => label).toSorted(), ['02-marked', '03-unmarked'])
  assert.match(invalid.map(({ because }) => because).join(), /source_cpu_share 2, limit 0.9/)
})

test('a box that cannot sustain the runs ends the validation without a verdict', async () => {
  const { validation, requests } = await run({ runs: (request) => ({ ...helpful(request), invalid: true }) })
  assert.deepEqual([validation.verdict, validation.ended, validation.pairs], ['INCONCLUSIVE', 'invalid', 0])
  assert.equal(requests.length, 2 + 3 * 4)
  assert.equal(validation.invalid_runs, 12)
})

test('no pair is started that would not end in time, and what there is is judged', async () => {
  const { validation } = await run({ runs: helpful, maxTimeNs: 100e9 })
  assert.equal(validation.ended, 'max-time')
  assert.equal(validation.verdict, 'INCONCLUSIVE')
  assert.ok(validation.duration_s <= 100, `${validation.duration_s} s`)
  assert.match(validation.because, /fewer than 6/)
})

test('an interrupt ends the validation with what was measured', async () => {
  const { validation } = await run({
    runs: (request) => ({ ...helpful(request), cancelled: request.label.startsWith('03-') }),
  })
  assert.deepEqual([validation.verdict, validation.ended, validation.pairs], ['INCONCLUSIVE', 'cancelled', 2])
})

test('every way of marking is compared with unmarked in the price table', async () => {
  const bulkOnly: Arm = { name: 'bulk-only', marking: { bulk: 'CS7', final: 'best-effort' } }
  const { validation } = await run({ runs: helpful, arms: [unmarked, marked, bulkOnly] })
  assert.deepEqual(
    validation.price.map(({ arm }) => arm),
    ['marked', 'bulk-only'],
  )
  assert.deepEqual(validation.price[0]?.claims, validation.claims)
  assert.equal(validation.price[1]?.claims.find(({ metric }) => metric === 'goodput')?.verdict, 'PASS')
})

test('a limit for the others fails the whole although the migration gains', async () => {
  const limit = levelClaims('tenants throughput > 50 Mbit/s', others)
  assert.ok(!('problem' in limit))
  const { validation } = await run({ runs: helpful, claims: [...defaultClaims, ...limit] })
  assert.equal(claim(validation, 'goodput').verdict, 'PASS')
  assert.equal(validation.verdict, 'FAIL')
  const level = validation.claims.find(({ kind }) => kind === 'level')
  assert.deepEqual([level?.verdict, level?.min_effect, level?.effect], ['FAIL', 50, 5])
})

test('a limit is written as people say it, and a wrong one says what is known', () => {
  for (const text of ['downtime < 300 ms', 'tenants p99 < 5 ms', 'best-effort loss < 1 %', 'goodput > 100']) {
    assert.ok(!('problem' in levelClaims(text, others)), text)
  }
  const wrong = levelClaims('speed < 3', others)
  assert.ok('problem' in wrong && wrong.problem.includes('goodput'))
  assert.deepEqual(levelClaims('downtime < 3 s', others), { problem: 'downtime is in ms' })
})

testSeeds('noisy A/A never passes', 20, async (seed) => {
  const r = random(seed)
  const { validation } = await run({
    seed,
    maxPairs: 16,
    arms: [unmarked, { ...unmarked, name: 'marked' }],
    runs: () => ({ ...alike(r.uint32()), goodputMbps: skewed(r), otherMbps: 50 }),
  })
  assert.notEqual(validation.verdict, 'PASS')
  assert.equal(validation.a_a, true)
})

/**
 * Goodput in Mbit/s of unmarked runs on real frames: 50 Mbit/s link, 6 MiB guest, 30 Mbit/s of UDP and two TCP flows
 * beside it, cut off after 4 s: the valid runs of one A/A validation, in the order in which they were made.
 */
const recorded = [
  4.741, 5.358, 7.142, 6.48, 3.565, 6.033, 5.939, 7.731, 5.347, 4.773, 5.322, 6.591, 4.802, 5.375, 4.831,
  5.313, 4.738, 6.584, 3.563, 3.547, 5.381, 6.425,
]

testSeeds('A/A on recorded runs never passes, in 40 trials', 40, async (seed) => {
  const r = random(seed)
  const drawn = (): number => recorded[r.below(recorded.length)]!
  const { validation } = await run({
    seed,
    arms: [unmarked, { ...unmarked, name: 'marked' }],
    runs: () => ({ goodputMbps: drawn(), totalMs: 60_000, downtimeMs: 30, otherMbps: 28 }),
  })
  assert.notEqual(validation.verdict, 'PASS')
})

const defaultClaims = [...migrationClaims(0.1, ['goodput']), ...othersClaims(others, 0.1)]

function claim(validation: Validation, metric: string): ClaimResult {
  const found = validation.claims.find((row) => row.metric === metric && row.kind !== 'level')
  assert.ok(found !== undefined, `a claim on ${metric}`)
  return found
}

/** The same for both arms, up to noise of the pair. */
function alike(seed: number): { goodputMbps: number; totalMs: number; downtimeMs: number } {
  const goodputMbps = 100 * (1 + 0.01 * random(seed).unit())
  return { goodputMbps, totalMs: 300_000 / goodputMbps, downtimeMs: 30 }
}

function skewed(r: Random): number {
  return 20 - 5 * Math.log(1 - r.unit())
}

interface Wish extends Partial<Pick<ValidationInput, 'seed' | 'pairs' | 'maxPairs' | 'maxTimeNs' | 'arms'>> {
  readonly runs: FakeRun
  readonly claims?: readonly Claim[]
}

/** Runs a validation whose clock runs with its runs: each takes what its migration took, and 5 s. */
async function run({ runs, claims, ...wish }: Wish): Promise<{
  validation: Validation
  requests: readonly RunRequest[]
  announced: readonly (RunRequest | undefined)[]
}> {
  let now = 0
  const requests: RunRequest[] = []
  const announced: (RunRequest | undefined)[] = []
  const validation = await validate({
    arms: [unmarked, marked],
    claims: claims ?? defaultClaims,
    seed: 7,
    maxPairs: 24,
    maxTimeNs: 3600e9,
    passNs: 3e9,
    scenarioLimitNs: 120e9,
    run: async (request, ahead): Promise<RunResult> => {
      requests.push(request)
      announced.push(ahead)
      const result = fakeRun(runs(request), request)
      now += (result.migration?.total_time_ms ?? 0) * 1e6 + 5e9
      return result
    },
    nowNs: () => now,
    ...wish,
  })
  return { validation, requests, announced }
}
