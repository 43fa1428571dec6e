/**
 * Statistics of paired effects, pure and seeded: a BCa bootstrap interval of the mean, a sign-flip permutation test,
 * and effects that are known only to be at least or at most something, because a run was cut off at its time limit.
 */

import jstat from 'jstat'
import { assert } from '../support/assert.js'
import type { Random } from '../support/random.js'

const { normal, studentt } = jstat.jStat

/** What is known of one pair's effect. Equal ends: observed. An infinite end: nothing is known on that side. */
export interface Effect {
  readonly lo: number
  readonly hi: number
}

export interface Interval {
  readonly lo: number
  readonly hi: number
}

const resamples = 10_000

/**
 * Bias-corrected and accelerated bootstrap interval of the mean (Efron 1987; Efron & Tibshirani 1993, ch. 14), with
 * the levels expanded for small samples (Hesterberg 2015, The American Statistician 69(4), section 4.5): the normal
 * quantile becomes sqrt(n / (n - 1)) times the t quantile, because a bootstrap's spread is too small by that much;
 * `plain` is Efron's own. `confidence` is two-sided, such as 0.95. At least 2 finite values.
 */
export function bcaInterval(
  values: readonly number[],
  confidence: number,
  random: Random,
  levels: 'expanded' | 'plain' = 'expanded',
): Interval {
  assert(values.length >= 2, 'an interval needs two values')
  const estimate = mean(values)
  if (values.every((value) => value === values[0])) return { lo: estimate, hi: estimate }
  const means = resampledMeans(values, random)
  const z0 = biasCorrection(means, estimate)
  const acceleration = accelerationOf(values, estimate)
  const share = (1 - confidence) / 2
  const tail = levels === 'plain' ? normal.inv(share, 0, 1) : expandedQuantile(share, values.length)
  const level = (z: number): number => {
    const shifted = z0 + z
    return normal.cdf(z0 + shifted / (1 - acceleration * shifted), 0, 1)
  }
  return { lo: quantile(means, level(tail)), hi: quantile(means, level(-tail)) }
}

/** Below this many values every pattern of signs is tried; above, so many random ones. */
const exactMax = 16
const randomPatterns = 20_000

/**
 * One-sided p of "the mean effect is at most `center`" by flipping the signs of the differences from it (Fisher
 * 1935, section 21): the share of sign patterns whose sum is at least the observed one. Exact up to 16 values,
 * otherwise by seeded sampling with the observed pattern counted in (Phipson & Smyth 2010).
 */
export function signFlipP(values: readonly number[], center: number, random: Random): number {
  const differences = values.map((value) => value - center)
  const observed = sum(differences)
  // Rounding must not make the observed pattern smaller than itself.
  const enough = observed - 1e-12 * sum(differences.map(Math.abs))
  return differences.length <= exactMax
    ? exactShare(differences, enough)
    : (1 + sampledCount(differences, enough, random)) / (1 + randomPatterns)
}

/** All 2^n patterns, each one flip away from the one before (Gray code). */
function exactShare(differences: readonly number[], enough: number): number {
  const signed = [...differences]
  let total = sum(signed)
  let count = 0
  const patterns = 2 ** differences.length
  for (let pattern = 1; pattern <= patterns; pattern++) {
    if (total >= enough) count++
    const flipped = 31 - Math.clz32(pattern & -pattern)
    if (flipped >= signed.length) break
    signed[flipped] = -signed[flipped]!
    total += 2 * signed[flipped]!
  }
  return count / patterns
}

function sampledCount(differences: readonly number[], enough: number, random: Random): number {
  let count = 0
  for (let i = 0; i < randomPatterns; i++) {
    let total = 0
    let signs = 0
    for (let j = 0; j < differences.length; j++) {
      signs = j % 32 === 0 ? random.uint32() : signs >>> 1
      total += (signs & 1) === 0 ? differences[j]! : -differences[j]!
    }
    if (total >= enough) count++
  }
  return count
}

export interface EffectSummary {
  /** Mean over the pairs; with cut-off runs the end that is known, and `bound` says on which side the truth may lie. */
  readonly effect: number
  readonly bound: 'exact' | 'at least' | 'at most' | 'unknown'
  /** 95 %. An end is infinite where cut-off runs leave it open. */
  readonly interval: Interval
  /** Two-sided, of "no effect". */
  readonly p: number
}

/**
 * Mean effect of the pairs. Nothing is assumed of what was cut off: each end of the interval is computed with every
 * uncertain effect at the end that moves it outwards, so that it covers whatever the runs would have given.
 */
export function summarise(effects: readonly Effect[], random: Random): EffectSummary {
  const low = effects.map(({ lo }) => lo)
  const high = effects.map(({ hi }) => hi)
  const [lowKnown, highKnown] = [low.every(Number.isFinite), high.every(Number.isFinite)]
  const sure = effects.every(({ lo, hi }) => lo === hi)
  const enough = effects.length >= 2
  const above = lowKnown ? signFlipP(low, 0, random) : 1
  const below = highKnown ? signFlipP(negated(high), 0, random) : 1
  return {
    effect: lowKnown ? mean(low) : highKnown ? mean(high) : Number.NaN,
    bound: sure ? 'exact' : lowKnown ? 'at least' : highKnown ? 'at most' : 'unknown',
    interval: {
      lo: lowKnown && enough ? bcaInterval(low, 0.95, random).lo : Number.NEGATIVE_INFINITY,
      hi: highKnown && enough ? bcaInterval(high, 0.95, random).hi : Number.POSITIVE_INFINITY,
    },
    p: Math.min(1, 2 * Math.min(above, below)),
  }
}

export type Verdict = 'PASS' | 'FAIL' | 'INCONCLUSIVE'

/**
 * Whether the mean effect is above `threshold` (PASS), below (FAIL), or cannot be told apart from it. Each needs two
 * witnesses: the sign-flip test of the opposite at `alpha`, one-sided, and the interval with that error on each side.
 * The test is exact at any number of pairs if effects are symmetric; the interval minds when they are not.
 */
export function verdictOf(
  effects: readonly Effect[],
  threshold: number,
  alpha: number,
  random: Random,
): Verdict {
  if (isAbove(effects, threshold, alpha, random)) return 'PASS'
  const mirrored = effects.map(({ lo, hi }) => ({ lo: -hi, hi: -lo }))
  return isAbove(mirrored, -threshold, alpha, random) ? 'FAIL' : 'INCONCLUSIVE'
}

function isAbove(effects: readonly Effect[], threshold: number, alpha: number, random: Random): boolean {
  const worst = effects.map(({ lo }) => lo)
  if (worst.length < 2 || !worst.every(Number.isFinite) || mean(worst) <= threshold) return false
  return (
    signFlipP(worst, threshold, random) <= alpha && bcaInterval(worst, 1 - 2 * alpha, random).lo > threshold
  )
}

/** One-sided error that a verdict may have over all looks at growing data: that of a two-sided 95 % interval. */
export const totalAlpha = 0.025

/** Pairs before an early verdict. */
export const firstLook = 8

/**
 * Looks at growing data and the share of `totalAlpha` that each may spend (Bonferroni, so no assumption): the first
 * spends what eight pairs that all agree can reach (1/256), and most is kept for the last, because an answer that eight
 * pairs do not show needs all the pairs that there is time for. Six that agree would take two thirds of it (1/64).
 */
const looks: readonly (readonly [pairs: number, alpha: number])[] = [
  [firstLook, 0.004],
  [16, 0.001],
  [32, 0.002],
  [64, 0.002],
]

/** The least number of pairs that can give a verdict at all, at the last look or a number fixed beforehand. */
export const leastPairs = 6

/**
 * The one-sided level at `pairs`, or undefined where nobody may look. The last look, at the limit of pairs or time,
 * takes what the earlier ones left.
 */
export function alphaAt(pairs: number, last: boolean): number | undefined {
  if (!last) return looks.find(([at]) => at === pairs)?.[1]
  const spent = looks.filter(([at]) => at < pairs).map(([, alpha]) => alpha)
  return totalAlpha - sum(spent)
}

function resampledMeans(values: readonly number[], random: Random): Float64Array {
  const means = new Float64Array(resamples)
  const n = values.length
  for (let i = 0; i < resamples; i++) {
    let total = 0
    for (let j = 0; j < n; j++) total += values[random.below(n)]!
    means[i] = total / n
  }
  return means.sort()
}

/** How far the bootstrap's median is from the estimate, in standard deviations; ties count half. */
function biasCorrection(means: Float64Array, estimate: number): number {
  let below = 0
  const same = 1e-12 * Math.max(Math.abs(means[0]!), Math.abs(means.at(-1)!))
  for (const value of means) {
    if (Math.abs(value - estimate) <= same) below += 0.5
    else if (value < estimate) below++
  }
  const share = Math.min(Math.max(below, 0.5), means.length - 0.5) / means.length
  return normal.inv(share, 0, 1)
}

/** The jackknife's, which for a mean is the skewness of the sample over 6 sqrt(n). */
function accelerationOf(values: readonly number[], estimate: number): number {
  const squares = sum(values.map((value) => (value - estimate) ** 2))
  const cubes = sum(values.map((value) => (value - estimate) ** 3))
  return cubes / (6 * squares ** 1.5)
}

/** A negative number of standard deviations for a lower tail. */
function expandedQuantile(tail: number, n: number): number {
  return Math.sqrt(n / (n - 1)) * studentt.inv(tail, n - 1)
}

function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1)
  const below = Math.floor(at)
  const left = sorted[below]!
  const right = sorted[Math.min(below + 1, sorted.length - 1)]!
  return left + (at - below) * (right - left)
}

function negated(values: readonly number[]): number[] {
  return values.map((value) => -value)
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
