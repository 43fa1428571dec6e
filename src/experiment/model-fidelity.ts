/**
 * How far the model is from the emulator: the same guest, scheme and link on both, and the error of what matters of a
 * migration. Says what is compared, how, and which error is too much.
 */

import type { SourceResult } from '../agent/source.js'
import { silentJournal } from '../migration/journal.js'
import { strategies } from '../strategies/index.js'
import { median } from '../support/median.js'
import { predict } from './predict.js'
import { type MigrationResult, migrationResult } from './result.js'
import { parseScenario, type Scenario } from './scenario.js'
import { processorWait } from './undisturbed.js'

export const metrics = ['total_time_ms', 'pages_sent', 'downtime_ms'] as const
export type Metric = (typeof metrics)[number]

/** Largest median of the relative errors. */
export const errorLimits: Readonly<Record<Metric, number>> = {
  total_time_ms: 0.03,
  pages_sent: 0.03,
  downtime_ms: 0.15,
}

export interface FidelityCase {
  readonly workload: string
  readonly scheme: string
  readonly scenario: Scenario
}

export interface FidelityRow {
  readonly workload: string
  readonly scheme: string
  readonly outcome: string
  /** The destination's memory was compared with the source's at suspend, and equals it; in every run. */
  readonly verified: boolean
  /** Of each metric the median of the runs. */
  readonly emulator: Readonly<Record<Metric, number>>
  /** How far the runs are apart, highest less lowest, relative to the median; 0 of a single run. */
  readonly spread: Readonly<Record<Metric, number>>
  readonly model: Readonly<Record<Metric, number>>
  /** Relative to the emulator. */
  readonly error: Readonly<Record<Metric, number>>
  /** Time that the source agent waited for a processor, as a share of the total time, at worst: a busy box shows here. */
  readonly processor_wait: number
}

/** What the guests write. Ratios of the idle link's page rate. */
const workloads: Readonly<Record<string, string>> = {
  hot: '{ kind: hot, dirty_ratio: 0.5, working_set: 10% }',
  iid: '{ kind: iid, dirty_ratio: 0.3 }',
  phase: '{ kind: phase, dirty_ratio: 0.8, working_set: 5%, period: 500ms }',
}

export const workloadNames: readonly string[] = Object.keys(workloads)

export interface FidelitySetting {
  readonly memory: string
  readonly linkRate: string
  readonly workloads: readonly string[]
  /** All of them when absent. */
  readonly schemes?: readonly string[]
}

/** Every scheme with its defaults under each workload, on a link of its own. */
export function fidelityCases(setting: FidelitySetting): readonly FidelityCase[] {
  const schemes = strategies.map(({ info }) => info.name)
  return setting.workloads.flatMap((workload) =>
    schemes
      .filter((scheme) => setting.schemes?.includes(scheme) ?? true)
      .map((scheme) => ({ workload, scheme, scenario: scenarioOf(setting, workload, scheme) })),
  )
}

function scenarioOf({ memory, linkRate }: FidelitySetting, workload: string, scheme: string): Scenario {
  const text = `name: fidelity-${workload}-${scheme}
link: { rate: ${linkRate} }
guest:
  memory: ${memory}
  device_state: 256KiB
  workload: ${workloads[workload]}
  content: { kind: mix, shares: { zero: 1, regular: 1, pointer: 1, random: 3, sparse-update: 2 } }
migration: { strategy: ${scheme}, options: {}, max_total_time: 60s }
`
  return parseScenario(text, `fidelity-${workload}-${scheme}`)
}

/** What the emulator measured, in one run or more, beside what the model says of the same scenario. */
export async function compared(
  { workload, scheme, scenario }: FidelityCase,
  runs: readonly SourceResult[],
): Promise<FidelityRow> {
  const strategy = strategies.find(({ info }) => info.name === scheme)!.create(scenario.migration.options)
  const predicted = await predict(scenario, strategy, silentJournal)
  const measured = runs.map(({ record, setupNs, verified }) =>
    figures(migrationResult(record, { setupNs, verified, wireBytes: null })),
  )
  const emulator = perMetric((metric) => median(measured.map((one) => one[metric])))
  const model = figures(predicted.migration!)
  return {
    workload,
    scheme,
    outcome: runs.find(({ record }) => record.outcome !== 'completed')?.record.outcome ?? 'completed',
    verified: runs.every(({ verified }) => verified),
    emulator,
    spread: perMetric((metric) => {
      const values = measured.map((one) => one[metric])
      return tenThousandths((Math.max(...values) - Math.min(...values)) / emulator[metric])
    }),
    model,
    error: perMetric((metric) => tenThousandths((model[metric] - emulator[metric]) / emulator[metric])),
    processor_wait: Math.max(...runs.map(processorWait)),
  }
}

function figures(migration: MigrationResult): Record<Metric, number> {
  return {
    total_time_ms: migration.total_time_ms,
    pages_sent: migration.pages_sent,
    downtime_ms: migration.downtime_ms ?? Number.NaN,
  }
}

function perMetric(of: (metric: Metric) => number): Record<Metric, number> {
  return {
    total_time_ms: of('total_time_ms'),
    pages_sent: of('pages_sent'),
    downtime_ms: of('downtime_ms'),
  }
}

function tenThousandths(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
