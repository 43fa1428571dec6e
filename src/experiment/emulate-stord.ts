/**
 * The runs of Cha et al. on real frames, at a size that a box can carry: only ratios matter, so that memory and rate
 * may be scaled. The paper's own assumptions hold: writes that stay inside the outstanding memory, no cap, no device.
 */

import type { SourceResult } from '../agent/source.js'
import { silentJournal } from '../migration/journal.js'
import { assert } from '../support/assert.js'
import { predict } from './predict.js'
import type { EmulatedStord, Schemes, StordReproduction } from './reproduce-stord.js'
import { ms } from './result.js'
import { parseScenario, type Scenario } from './scenario.js'

const memory = '32MiB'
const rate = '100mbit'
/** 0.6 % of memory: below that a round's length is the round trip and not the bytes. */
const thresholdPages = 50
const dirtyRatios = [0.2, 0.5, 0.9] as const
const splits = [2, 5, 10] as const

/** Where the emulated runs take place: the link of every one of them. */
export function stordLab(): Scenario {
  return scenarioOf(1, 0.2)
}

/**
 * Adds what the emulator gives. Every run is the model's too, at the same size and on the same frames, so that the two
 * can be told apart from the scaling. `began` hears of each run.
 */
export async function withEmulatedStord(
  reproduction: StordReproduction,
  schemes: Schemes,
  migrate: (scenario: Scenario) => Promise<SourceResult>,
  began: (what: string) => void,
): Promise<StordReproduction> {
  const runs: EmulatedStord[] = []
  const one = async (k: number, dirtyRatio: number): Promise<EmulatedStord> => {
    began(k === 1 ? `pre-copy, dirty ratio ${dirtyRatio}` : `STORD, k = ${k}, dirty ratio ${dirtyRatio}`)
    const run = await emulated(k, dirtyRatio, schemes, migrate)
    runs.push(run)
    return run
  }
  const savings = new Map<string, number>()
  for (const dirtyRatio of dirtyRatios) {
    const base = await one(1, dirtyRatio)
    for (const k of splits) {
      const { total_time_ms } = await one(k, dirtyRatio)
      savings.set(`${k} ${dirtyRatio}`, Math.round(1e4 * (1 - total_time_ms / base.total_time_ms)) / 1e4)
    }
  }
  return {
    ...reproduction,
    rows: reproduction.rows.map((row) => {
      const saving = savings.get(`${row.k} ${row.dirty_ratio}`)
      return saving === undefined ? row : { ...row, emulator_saving: saving }
    }),
    emulator: { memory, link_rate: rate, threshold_pages: thresholdPages, runs },
  }
}

async function emulated(
  k: number,
  dirtyRatio: number,
  schemes: Schemes,
  migrate: (scenario: Scenario) => Promise<SourceResult>,
): Promise<EmulatedStord> {
  const scenario = scenarioOf(k, dirtyRatio)
  const factory = k === 1 ? schemes.preCopy : schemes.stord
  const predicted = (await predict(scenario, factory.create(scenario.migration.options), silentJournal))
    .migration
  const { record, verified } = await migrate(scenario)
  assert(predicted !== null && record.outcome === 'completed', 'a dirty ratio below 1 converges')
  const totalMs = ms(record.totalNs)
  return {
    scheme: factory.info.name,
    k,
    dirty_ratio: dirtyRatio,
    total_time_ms: totalMs,
    pages_sent: record.pagesSent,
    model_total_time_ms: predicted.total_time_ms,
    model_pages_sent: predicted.pages_sent,
    model_error: Math.round(1e4 * (predicted.total_time_ms / totalMs - 1)) / 1e4,
    verified,
  }
}

/** STORD in k pieces; k = 1 is pre-copy. */
function scenarioOf(k: number, dirtyRatio: number): Scenario {
  const scheme =
    k === 1
      ? `strategy: pre-copy, options: { profile: threshold-only, threshold_pages: ${thresholdPages} }`
      : `strategy: stord, options: { split: ${k}, threshold_pages: ${thresholdPages}, max_volume: 100 }`
  const text = `name: stord-${k}
link: { rate: ${rate} }
guest:
  memory: ${memory}
  device_state: 0B
  workload: { kind: nested, dirty_ratio: ${dirtyRatio} }
  content: { kind: random }
migration: { ${scheme}, max_total_time: 120s }
`
  return parseScenario(text, 'stord')
}
