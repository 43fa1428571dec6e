/** The statistics against published examples, and their error rates by simulation. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  alphaAt,
  bcaInterval,
  type Effect,
  firstLook,
  mean,
  signFlipP,
  summarise,
  totalAlpha,
  type Verdict,
  verdictOf,
} from '../../src/experiment/statistics.js'
import { type Random, random } from '../../src/support/random.js'
import { testSeeds } from '../support/seeds.js'

/** Pair by pair what Darwin's crossed maize grew above the self-fertilised, in eighths of an inch (Fisher 1935, table 3). */
const darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]

test('sign flips give the 863 of 32768 arrangements that Fisher counted for Darwin’s maize', () => {
  assert.equal(signFlipP(darwin, 0, random(1)) * 2 ** 15, 863)
})

test('many pairs are sampled: the p of Darwin’s maize twice over is that of the exact test of its halves’ sum', () => {
  const twice = [...darwin, ...darwin]
  // The normal approximation of the sign-flip distribution: sum 628, variance 2 * sum of squares.
  const z = 628 / Math.sqrt(2 * darwin.reduce((total, value) => total + value ** 2, 0))
  const p = signFlipP(twice, 0, random(1))
  assert.ok(Math.abs(z - 2.74) < 0.02, `z is ${z}`)
  assert.ok(p > 0.001 && p < 0.005, `p is ${p}, about 0.0031 by the normal approximation`)
})

test('the plain BCa interval of a mean is that of R’s boot package', () => {
  // boot.ci of 10^6 resamples gives (32.31, 91.43); ours have 10^4 each, so ten of them are averaged.
  const values = [10, 12, 12.5, 12.5, 13.9, 15, 21, 22, 23, 34, 50, 81, 89, 121, 134, 213]
  const intervals = Array.from({ length: 10 }, (_, i) => bcaInterval(values, 0.95, random(i), 'plain'))
  const lo = mean(intervals.map((interval) => interval.lo))
  const hi = mean(intervals.map((interval) => interval.hi))
  assert.ok(Math.abs(lo / 32.31 - 1) < 0.01, `lower end ${lo}`)
  assert.ok(Math.abs(hi / 91.43 - 1) < 0.01, `upper end ${hi}`)
})

testSeeds('95 % intervals of few pairs cover the truth about that often', 2, (seed) => {
  const r = random(seed)
  for (const pairs of [6, 8, 16]) {
    const trials = 200
    let covered = 0
    for (let i = 0; i < trials; i++) {
      const { lo, hi } = bcaInterval(normals(r, pairs, 3, 1), 0.95, r)
      if (lo <= 3 && 3 <= hi) covered++
    }
    // 3.5 standard errors below the 92 % that the expanded levels reach with six pairs; the plain ones reach 86 %.
    assert.ok(covered / trials >= 0.85, `${pairs} pairs: ${covered} of ${trials}`)
  }
})

testSeeds(
  'growing a sample look by look passes A/A and a gain at the threshold in at most 5 % of trials',
  2,
  (seed) => {
    for (const [truth, threshold] of [
      [0, 0],
      [0.1, 0.1],
    ] as const) {
      const r = random(seed)
      const trials = 200
      let passes = 0
      for (let i = 0; i < trials; i++) {
        if (grow((n) => normals(r, n, truth, 0.2), threshold, 24, r).verdict === 'PASS') passes++
      }
      assert.ok(passes / trials <= 0.05, `${passes} of ${trials} at ${truth}`)
    }
  },
)

test('whatever the runs’ distribution, A/A pairs pass in at most 5 % of trials', () => {
  const r = random(3)
  let passes = 0
  const trials = 400
  // Two runs of one and the same kind are exchangeable, so their difference is symmetric even if they are not.
  const run = (): number => Math.log(r.below(5) === 0 ? 10 : -Math.log(1 - r.unit()))
  const draw = (n: number): number[] => Array.from({ length: n }, () => run() - run())
  for (let i = 0; i < trials; i++) if (grow(draw, 0, 24, r).verdict === 'PASS') passes++
  assert.ok(passes / trials <= 0.05, `${passes} of ${trials}`)
})

test('a large effect is clear at the first look, and no effect is a FAIL', () => {
  const r = random(5)
  assert.deepEqual(
    grow((n) => normals(r, n, 2, 0.1), 0.095, 24, r),
    { verdict: 'PASS', pairs: firstLook },
  )
  assert.deepEqual(
    grow((n) => normals(r, n, 0, 0.01), 0.095, 24, r),
    { verdict: 'FAIL', pairs: firstLook },
  )
})

test('fewer than the least number of pairs decide nothing, however large the effect', () => {
  const four = [2, 2.1, 1.9, 2].map(observed)
  assert.equal(verdictOf(four, 0, totalAlpha, random(1)), 'INCONCLUSIVE')
})

test('a run that was cut off can decide only what it could not have undone', () => {
  const atLeast = [1, 1.1, 0.9, 1, 1.05, 0.95].map((lo): Effect => ({ lo, hi: Number.POSITIVE_INFINITY }))
  assert.equal(verdictOf(atLeast, 0.5, totalAlpha, random(1)), 'PASS')
  assert.equal(verdictOf(atLeast, 2, totalAlpha, random(1)), 'INCONCLUSIVE')
  const { bound, interval, effect } = summarise(atLeast, random(1))
  assert.equal(bound, 'at least')
  assert.equal(interval.hi, Number.POSITIVE_INFINITY)
  assert.ok(interval.lo > 0.8 && interval.lo < effect)
})

test('a pair of which nothing is known keeps the verdict open', () => {
  const unknown: Effect = { lo: Number.NEGATIVE_INFINITY, hi: Number.POSITIVE_INFINITY }
  const effects = [...[5, 5, 5, 5, 5, 5, 5].map(observed), unknown]
  assert.equal(verdictOf(effects, 0, totalAlpha, random(1)), 'INCONCLUSIVE')
  assert.equal(summarise(effects, random(1)).bound, 'unknown')
})

testSeeds('what is cut off is never a gain: censoring never turns FAIL into PASS', 30, (seed) => {
  const r = random(seed)
  const full = normals(r, 8, -0.4, 0.1).map(observed)
  const cut = full.map((effect) =>
    r.below(2) === 0 ? effect : { lo: effect.lo - r.unit(), hi: Number.POSITIVE_INFINITY },
  )
  assert.equal(verdictOf(full, 0, totalAlpha, r), 'FAIL')
  assert.notEqual(verdictOf(cut, 0, totalAlpha, r), 'PASS')
})

test('all looks together spend no more than the one error rate', () => {
  const planned = Array.from({ length: 100 }, (_, pairs) => alphaAt(pairs, false) ?? 0)
  assert.ok(planned.reduce((total, alpha) => total + alpha, 0) <= totalAlpha + 1e-12)
  for (const last of [6, 7, 11, 24, 40]) {
    const before = planned.slice(0, last).reduce((total, alpha) => total + alpha, 0)
    assert.ok(before + alphaAt(last, true)! <= totalAlpha + 1e-12)
  }
})

function observed(value: number): Effect {
  return { lo: value, hi: value }
}

/** The procedure of `validate`: one more pair until the verdict is clear or the limit is reached. */
function grow(
  draw: (pairs: number) => readonly number[],
  threshold: number,
  maxPairs: number,
  r: Random,
): { verdict: Verdict; pairs: number } {
  const all = draw(maxPairs).map(observed)
  for (let pairs = 1; pairs <= maxPairs; pairs++) {
    const alpha = alphaAt(pairs, pairs === maxPairs)
    if (alpha === undefined) continue
    const verdict = verdictOf(all.slice(0, pairs), threshold, alpha, r)
    if (verdict !== 'INCONCLUSIVE') return { verdict, pairs }
  }
  return { verdict: 'INCONCLUSIVE', pairs: maxPairs }
}

/** Box and Muller (1958). */
function normals(r: Random, count: number, center: number, deviation: number): number[] {
  return Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - r.unit()))
    return center + deviation * radius * Math.cos(2 * Math.PI * r.unit())
  })
}
