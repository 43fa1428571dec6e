/** What a validation is to find out: its arms and its claims, from a scenario and the words of the command line. */

import { usageError } from '../support/errors.js'
import { parseDurationNs, parsePercent } from '../support/units.js'
import { type Claim, levelClaims, migrationClaims, type Other, othersClaims } from './claims.js'
import type { ReadScenario, Scenario } from './scenario.js'
import type { ScenarioDocument } from './scenario-schema.js'
import type { Arm, ValidationInput } from './validate.js'

/** As given, kept beside the verdict, so that the verdict can be had from the runs again. */
export interface ValidationSettings {
  readonly pairs?: number
  readonly maxPairs: number
  readonly runLimit?: string
  readonly minEffect: string
  readonly decide: readonly string[]
  readonly claim: readonly string[]
  readonly price: boolean
}

/** Where they are kept, in the validation's directory. */
export const settingsFile = 'settings.json'

export type ValidationPlan = Pick<
  ValidationInput,
  'arms' | 'claims' | 'seed' | 'pairs' | 'maxPairs' | 'limitNs' | 'passNs' | 'scenarioLimitNs'
>

/** Usage error for a claim that says nothing, or a number that is none. */
export function validationPlan(
  { scenario, document }: Pick<ReadScenario, 'scenario' | 'document'>,
  settings: ValidationSettings,
): ValidationPlan {
  const { pairs, maxPairs, runLimit, price } = settings
  return {
    arms: armsOf(document.migration.marking, price),
    claims: claimsOf(scenario, settings),
    seed: scenario.seed,
    ...(pairs === undefined ? {} : { pairs }),
    maxPairs,
    ...(runLimit === undefined ? {} : { limitNs: parseDurationNs(runLimit) }),
    passNs: (8e9 * scenario.guest.memoryBytes) / scenario.link.rateBps,
    scenarioLimitNs: scenario.migration.maxTotalNs,
  }
}

const unmarked = 'best-effort'

/** The unmarked arm, the scenario's own, and the usual alternatives. */
function armsOf(
  marking: ScenarioDocument['migration']['marking'],
  price: boolean,
): readonly [Arm, Arm, ...Arm[]] {
  const bulk = String(marking.bulk)
  const final = String(marking.final ?? marking.bulk)
  const pair: readonly [Arm, Arm] = [
    { name: 'unmarked', marking: { bulk: unmarked, final: unmarked } },
    { name: 'marked', marking: { bulk, final } },
  ]
  if (!price) return pair
  return [
    ...pair,
    { name: 'bulk-only', marking: { bulk, final: unmarked } },
    { name: 'final-only', marking: { bulk: unmarked, final } },
    { name: 'scavenger', marking: { bulk: 'LE', final: 'CS7' } },
  ]
}

function claimsOf(scenario: Scenario, { minEffect, decide, claim }: ValidationSettings): readonly Claim[] {
  const least = parsePercent(minEffect)
  const others = othersOf(scenario)
  const levels = claim.flatMap((text) => {
    const claims = levelClaims(text, others)
    if (!('problem' in claims)) return claims
    throw usageError(`--claim "${text}": ${claims.problem}`, { code: 'bad-claim' })
  })
  const asked = scenario.client !== undefined
  if (!asked && decide.includes('outage')) {
    throw usageError('nobody asks the guest, so there is no outage to decide', {
      code: 'bad-claim',
      next: 'Set client.rate to 1000.',
    })
  }
  const own = migrationClaims(least, decide).filter(({ metric }) => asked || metric !== 'outage')
  return [...own, ...othersClaims(others, least), ...levels]
}

/** The streams of cross-traffic, by the roles that results give them. */
function othersOf(scenario: Scenario): readonly Other[] {
  return scenario.crossTraffic.map((stream, i) => ({
    stream: `cross-traffic ${i} ${stream.kind}`,
    class: stream.trafficClass.name,
  }))
}
