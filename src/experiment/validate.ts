/**
 * A validation: the same scenario run marked and unmarked in pairs, in random order within each, until the claims are
 * clear or the limits are reached. It decides what is run next; how a run is made is the caller's.
 */

import { exitCode, PagewireError } from '../support/errors.js'
import { type Random, random } from '../support/random.js'
import { type Claim, type ClaimResult, claimResult, judge, type Reading, type ReadPair } from './claims.js'
import type { RunResult } from './result.js'
import { alphaAt, leastPairs, totalAlpha, type Verdict } from './statistics.js'

export const validationSchema = 'pagewire.validation/1'

/** One way of marking. The first arm of a validation is the one that the others are compared with. */
export interface Arm {
  readonly name: string
  /** Traffic class per lane. */
  readonly marking: { readonly bulk: string; readonly final: string }
}

export interface RunRequest {
  readonly arm: Arm
  /** Same within a pair: same guest, same cross-traffic. */
  readonly seed: number
  /** The run is cut off after this long, and counts as cut off. */
  readonly limitNs: number
  /** Unique within the validation: `03-marked`, `03-marked-again-1`. */
  readonly label: string
}

export interface ValidationInput {
  /** The unmarked arm, the arm that the verdict is about, and others for the price table. */
  readonly arms: readonly [Arm, Arm, ...Arm[]]
  readonly claims: readonly Claim[]
  readonly seed: number
  /** Pairs to run however clear the answer is; absent: as many as it takes. */
  readonly pairs?: number
  readonly maxPairs: number
  readonly maxTimeNs: number
  /** The scenario's own time limit, which no run exceeds. */
  readonly scenarioLimitNs: number
  /** Given by the user; absent: learnt from the warm-up. */
  readonly limitNs?: number
  /** What one pass over the guest's memory takes on the idle link. */
  readonly passNs: number
  /** `ahead`: what is most likely asked for next. */
  readonly run: (request: RunRequest, ahead?: RunRequest) => Promise<RunResult>
  readonly nowNs: () => number
  readonly onStep?: (step: ValidationStep) => void
}

/** For the progress line. */
export interface ValidationStep {
  readonly doing: string
  /** Finished pairs. */
  readonly pairs: number
  readonly verdict: Verdict
}

/** A row of `runs`: every run that was made, counted or not. */
export interface ValidationRun {
  readonly pair: number
  readonly arm: string
  /** Place within the pair, from 0. */
  readonly order: number
  readonly seed: number
  readonly label: string
  readonly run_dir: string | null
  readonly outcome: RunResult['outcome']
  readonly use: 'counted' | 'warm-up' | 'invalid' | 'left out'
  /** Why it is invalid. */
  readonly because?: string
  readonly goodput_mbps: number | null
  readonly total_time_ms: number | null
  readonly downtime_ms: number | null
}

export interface ArmResult {
  readonly arm: string
  readonly marking: Arm['marking']
  readonly claims: readonly ClaimResult[]
}

export interface Validation {
  readonly schema: typeof validationSchema
  readonly verdict: Verdict
  readonly because: string
  readonly claims: readonly ClaimResult[]
  /** What each way of marking gains and costs; one entry unless a price table was asked for. */
  readonly price: readonly ArmResult[]
  readonly pairs: number
  readonly invalid_runs: number
  /** Counted runs that hit the time limit. */
  readonly censored_runs: number
  /** Both arms carry the same marks: whatever is found is noise. */
  readonly a_a: boolean
  readonly ended: Ended
  readonly run_limit_ms: number
  readonly seed: number
  readonly duration_s: number
  readonly runs: readonly ValidationRun[]
}

export type Ended = 'clear' | 'pairs' | 'max-pairs' | 'max-time' | 'invalid' | 'cancelled'

/**
 * Every run may take this many times as long as the marked one of the warm-up, within 10 to 30 s, and that one as many
 * times as long as its memory takes on the idle link. An unmarked migration beside a flood would otherwise run for
 * minutes to tell what it told in the first seconds. It takes less where `pairsWanted` would not fit into the time.
 */
const limitFactor = 4
const limitNsMin = 10e9
const limitNsMax = 30e9
const limitNsShortest = 5e9
const pairsWanted = 10
/**
 * Where the warm-up's marked run was cut off too, as on a switch without QoS, runs tell nothing but their rate, and the
 * rate of one flow among others is noisy: its mean over 13 s varies by a tenth from run to run, and over 2.5 s by a
 * seventh, so in the same time many short runs tell more.
 */
const rateNsShortest = 2.5e9
const ratePairsWanted = 40
/** Tries for one run before its pair is given up, and such pairs in a row before the validation is. */
const triesMax = 4
const lostPairsMax = 3

/** Where a run stands; pair 0 is the warm-up. */
interface Place {
  readonly pair: number
  readonly order: number
}

interface One extends Place {
  readonly arm: Arm
  /** From 0; what was invalid is tried again. */
  readonly attempt: number
}

/** Runs pairs until the answer is clear. The document always comes; errors of the environment are thrown. */
export async function validate(input: ValidationInput): Promise<Validation> {
  return new Validating(input).carryOut()
}

class Validating {
  readonly #input: ValidationInput
  readonly #order: Random
  readonly #statistics: Random
  readonly #beganNs: number
  readonly #orders: (readonly Arm[])[] = []
  readonly #runs: ValidationRun[] = []
  /** Of each counted block, one result per arm. */
  readonly #blocks: (readonly RunResult[])[] = []
  /** Verdicts once reached stay: the look that reached them has spent its error. */
  readonly #verdicts: Verdict[][]
  #limitNs: number
  #pairNsMax = 0
  #lookedAt = 0
  #ended: Ended | undefined

  constructor(input: ValidationInput) {
    this.#input = input
    this.#order = random(input.seed, 101)
    this.#statistics = random(input.seed, 102)
    this.#beganNs = input.nowNs()
    this.#limitNs = Math.min(input.limitNs ?? longEnough(input.passNs), input.scenarioLimitNs)
    this.#verdicts = input.arms.slice(1).map(() => input.claims.map(() => 'INCONCLUSIVE'))
  }

  async carryOut(): Promise<Validation> {
    await this.#warmUp()
    for (let pair = 1, lost = 0; this.#ended === undefined; pair++) {
      if (!this.#timeForAnother()) {
        this.#ended = 'max-time'
        break
      }
      const began = this.#input.nowNs()
      const block = await this.#block(pair)
      const tookNs = this.#input.nowNs() - began
      // The warm-up's runs may take longer than any that follow.
      this.#pairNsMax = pair === 1 ? tookNs : Math.max(this.#pairNsMax, tookNs)
      if (block === undefined) {
        if (++lost >= lostPairsMax) this.#ended ??= 'invalid'
        continue
      }
      lost = 0
      this.#blocks.push(block)
      this.#decideWhetherToGoOn()
    }
    this.#look(true)
    return this.#result()
  }

  async #warmUp(): Promise<void> {
    const [unmarked, marked] = this.#input.arms
    const { scenarioLimitNs, limitNs } = this.#input
    const began = this.#input.nowNs()
    const first = await this.#once({ arm: marked, pair: 0, order: 0, attempt: 0 })
    if (first !== undefined && limitNs === undefined) {
      this.#limitNs = Math.round(Math.min(this.#limitFor(first), scenarioLimitNs))
    }
    if (this.#ended === undefined) {
      await this.#once({ arm: unmarked, pair: 0, order: 1, attempt: 0 }, { pair: 1, order: 0 })
    }
    this.#pairNsMax = this.#input.nowNs() - began
  }

  /** From the first run, which has just ended. */
  #limitFor({ outcome, migration }: RunResult): number {
    const { maxTimeNs, nowNs, arms } = this.#input
    const elapsedNs = nowNs() - this.#beganNs
    const tookNs = (migration?.total_time_ms ?? Number.POSITIVE_INFINITY) * 1e6
    // What a run costs beside its migration: lab, captures, analysis.
    const besidesNs = Math.max(0, elapsedNs - Math.min(tookNs, this.#limitNs))
    const completed = outcome === 'completed'
    const runs = 1 + arms.length * (completed ? pairsWanted : ratePairsWanted)
    const share = (maxTimeNs - elapsedNs) / runs - besidesNs
    return Math.max(Math.min(longEnough(tookNs), share), completed ? limitNsShortest : rateNsShortest)
  }

  /** One run of every arm, or undefined when one of them could not be had. */
  async #block(pair: number): Promise<readonly RunResult[] | undefined> {
    const { arms } = this.#input
    const results = new Map<Arm, RunResult>()
    for (const [order, arm] of this.#orderOf(pair).entries()) {
      const result = await this.#valid(arm, pair, order)
      if (result === undefined) {
        this.#leaveOut(pair)
        return undefined
      }
      results.set(arm, result)
    }
    return arms.flatMap((arm) => results.get(arm) ?? [])
  }

  /** A valid run; invalid ones are counted and replaced. */
  async #valid(arm: Arm, pair: number, order: number): Promise<RunResult | undefined> {
    for (let attempt = 0; attempt < triesMax && this.#ended === undefined; attempt++) {
      if (attempt > 0 && !this.#timeForAnother()) {
        this.#ended = 'max-time'
        return undefined
      }
      const result = await this.#once({ arm, pair, order, attempt }, this.#after(pair, order))
      if (result !== undefined) return result
    }
    return undefined
  }

  /** The place after this one, if there is to be one. */
  #after(pair: number, order: number): Place | undefined {
    const { arms, pairs, maxPairs } = this.#input
    if (order + 1 < arms.length) return { pair, order: order + 1 }
    const another = this.#blocks.length + 1 < (pairs ?? maxPairs) && this.#timeForAnother()
    return another ? { pair: pair + 1, order: 0 } : undefined
  }

  /** Drawn once, pair after pair. */
  #orderOf(pair: number): readonly Arm[] {
    while (this.#orders.length < pair) this.#orders.push(shuffled(this.#input.arms, this.#order))
    return this.#orders[pair - 1] ?? []
  }

  #request({ arm, pair, attempt }: Pick<One, 'arm' | 'pair' | 'attempt'>): RunRequest {
    const number = pair > 0 ? String(pair).padStart(2, '0') : 'warm-up'
    const label = `${number}-${arm.name}${attempt === 0 ? '' : `-again-${attempt}`}`
    return { arm, seed: (this.#input.seed + pair) >>> 0, limitNs: this.#limitNs, label }
  }

  #ahead(place: Place | undefined): RunRequest | undefined {
    const arm = place && this.#orderOf(place.pair)[place.order]
    return arm && this.#request({ arm, pair: place.pair, attempt: 0 })
  }

  /** The result, or undefined if it cannot be used. */
  async #once(one: One, next?: Place): Promise<RunResult | undefined> {
    const { arm, pair, order } = one
    const counts = pair > 0
    const request = this.#request(one)
    const { label, seed } = request
    this.#say(counts ? `pair ${pair}: ${arm.name}` : `warm-up: ${arm.name}`)
    const row = { pair, arm: arm.name, order, seed, label }
    let result: RunResult
    try {
      result = await this.#input.run(request, this.#ahead(next))
    } catch (error) {
      if (!(error instanceof PagewireError) || error.exit !== exitCode.failure) throw error
      this.#runs.push({ ...row, ...nothing, use: 'invalid', because: error.message })
      return undefined
    }
    if (result.outcome === 'cancelled') this.#ended = 'cancelled'
    const because = counts ? whyInvalid(result) : undefined
    this.#runs.push({
      ...row,
      run_dir: result.run_dir,
      outcome: result.outcome,
      goodput_mbps: result.migration?.goodput_mbps ?? null,
      total_time_ms: result.migration?.total_time_ms ?? null,
      downtime_ms: result.migration?.downtime_ms ?? null,
      use: because !== undefined ? 'invalid' : counts ? 'counted' : 'warm-up',
      ...(because === undefined ? {} : { because }),
    })
    return because === undefined ? result : undefined
  }

  /** Runs of a pair that was never complete tell nothing. */
  #leaveOut(pair: number): void {
    for (const [i, run] of this.#runs.entries()) {
      if (run.pair === pair && run.use === 'counted') this.#runs[i] = { ...run, use: 'left out' }
    }
  }

  #timeForAnother(): boolean {
    const { nowNs, maxTimeNs } = this.#input
    return nowNs() - this.#beganNs + this.#pairNsMax <= maxTimeNs
  }

  #decideWhetherToGoOn(): void {
    const { pairs, maxPairs } = this.#input
    if (pairs !== undefined) {
      if (this.#blocks.length >= pairs) this.#ended ??= 'pairs'
      return
    }
    this.#look(false)
    if (this.#clear()) this.#ended ??= 'clear'
    else if (this.#blocks.length >= maxPairs) this.#ended ??= 'max-pairs'
  }

  #look(last: boolean): void {
    const pairs = this.#blocks.length
    if (pairs === this.#lookedAt || pairs < leastPairs) return
    // A number of pairs fixed beforehand is looked at once, and that look may spend everything.
    const alpha = this.#input.pairs === undefined ? alphaAt(pairs, last) : totalAlpha
    if (alpha === undefined) return
    this.#lookedAt = pairs
    for (const [i, verdicts] of this.#verdicts.entries()) {
      for (const [j, claim] of this.#input.claims.entries()) {
        if (verdicts[j] !== 'INCONCLUSIVE') continue
        verdicts[j] = judge(claim, this.#pairsOf(claim, i + 1), alpha, this.#statistics)
      }
    }
  }

  #pairsOf({ read }: { readonly read: (result: RunResult) => Reading }, arm: number): readonly ReadPair[] {
    return this.#blocks.flatMap((block) => {
      const [unmarked, marked] = [block[0], block[arm]]
      return unmarked === undefined || marked === undefined ? [] : [[read(unmarked), read(marked)] as const]
    })
  }

  #clear(): boolean {
    return this.#verdict() !== 'INCONCLUSIVE'
  }

  /** FAIL as soon as one deciding claim fails, PASS when all pass. */
  #verdict(): Verdict {
    const deciding = (this.#verdicts[0] ?? []).filter((_, i) => this.#input.claims[i]?.decides)
    if (deciding.includes('FAIL')) return 'FAIL'
    return deciding.length > 0 && deciding.every((verdict) => verdict === 'PASS') ? 'PASS' : 'INCONCLUSIVE'
  }

  #say(doing: string): void {
    this.#input.onStep?.({ doing, pairs: this.#blocks.length, verdict: this.#verdict() })
  }

  #result(): Validation {
    const { arms, seed, nowNs } = this.#input
    const price = arms.slice(1).map((arm, i) => this.#armResult(arm, i))
    const claims = price[0]?.claims ?? []
    const [unmarked, marked] = arms
    const verdict = this.#ended === 'cancelled' ? 'INCONCLUSIVE' : this.#verdict()
    return {
      schema: validationSchema,
      verdict,
      because: this.#because(verdict, claims),
      claims,
      price,
      pairs: this.#blocks.length,
      invalid_runs: this.#runs.filter(({ use }) => use === 'invalid').length,
      censored_runs: this.#blocks.flat().filter(({ outcome }) => outcome === 'aborted').length,
      a_a: unmarked.marking.bulk === marked.marking.bulk && unmarked.marking.final === marked.marking.final,
      ended: this.#ended ?? 'clear',
      run_limit_ms: Math.round(this.#limitNs / 1e6),
      seed,
      duration_s: Math.round((nowNs() - this.#beganNs) / 1e8) / 10,
      runs: this.#runs,
    }
  }

  #armResult(arm: Arm, i: number): ArmResult {
    const claims = this.#input.claims.map((claim, j) =>
      claimResult(
        claim,
        this.#pairsOf(claim, i + 1),
        this.#verdicts[i]?.[j] ?? 'INCONCLUSIVE',
        this.#statistics,
      ),
    )
    return { arm: arm.name, marking: arm.marking, claims }
  }

  #because(verdict: Verdict, claims: readonly ClaimResult[]): string {
    const deciding = claims.filter((claim) => claim.decides)
    const telling = deciding.find((claim) => claim.verdict === verdict) ?? deciding[0]
    const about = telling === undefined ? 'no claim' : `${telling.metric}: ${telling.because}`
    if (verdict !== 'INCONCLUSIVE') return about
    if (this.#ended === 'cancelled') return 'stopped by the user'
    if (this.#ended === 'invalid') return 'this box could not sustain the runs; see runs[].because'
    if (this.#blocks.length < leastPairs) {
      return `${this.#blocks.length} pairs; fewer than ${leastPairs} cannot tell an effect from luck at 95 %`
    }
    return about
  }
}

const nothing = {
  run_dir: null,
  outcome: 'failed',
  goodput_mbps: null,
  total_time_ms: null,
  downtime_ms: null,
} as const

/** For a run that takes about `ns` if nothing holds it up. */
function longEnough(ns: number): number {
  return Math.min(Math.max(limitFactor * ns, limitNsMin), limitNsMax)
}

function whyInvalid(result: RunResult): string | undefined {
  if (result.outcome === 'failed' || result.outcome === 'cancelled') return result.reason ?? result.outcome
  if (result.fidelity.valid) return undefined
  const broken = result.fidelity.checks.filter((check) => !check.ok)
  return broken.map(({ name, value, limit, unit }) => `${name} ${value}, limit ${limit} ${unit}`).join('; ')
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], order: Random): T[] {
  const out = [...items]
  for (let i = out.length - 1; i > 0; i--) {
    const j = order.below(i + 1)
    ;[out[i], out[j]] = [out[j]!, out[i]!]
  }
  return out
}
