/**
 * Xen's pre-copy against the proposal of Moslehi & Mohebbi on real frames: its parts apart and together, with and
 * without cross-traffic. The guest and the link are scaled so that what contention starves ends within a minute.
 */

import type { SourceResult } from '../agent/source.js'
import type { MigrationRecord } from '../migration/metrics.js'
import {
  claimsOn,
  type MoslehiReproduction,
  type MoslehiRow,
  moslehiFigures,
  moslehiSavings,
  moslehiWorkloads,
} from './reproduce-moslehi.js'
import { parseScenario, type Scenario } from './scenario.js'

const memory = '8MiB'
const rate = '100mbit'
const crossTraffic =
  '[{ kind: udp-cbr, rate: 50mbit, class: best-effort }, { kind: tcp-bulk, flows: 3, class: best-effort }]'

/** Where the emulated runs take place: the link of every one of them. */
export function moslehiLab(): Scenario {
  return scenarioOf({ workload: 'idle', cross_traffic: false, scheme: 'xen' })
}

/** Adds what the emulator gives to every row. `began` hears of each run. */
export async function withEmulatedMoslehi(
  reproduction: MoslehiReproduction,
  migrate: (scenario: Scenario) => Promise<SourceResult>,
  began: (what: string) => void,
): Promise<MoslehiReproduction> {
  const rows: MoslehiRow[] = []
  let base: MigrationRecord | undefined
  for (const row of reproduction.rows) {
    began(`${row.workload}, ${row.cross_traffic ? 'cross-traffic' : 'idle network'}, ${row.scheme}`)
    const { record, verified } = await migrate(scenarioOf(row))
    // Each group of rows begins with Xen's.
    if (row.scheme === 'xen' || base === undefined) base = record
    const [pages, time, downtime] = moslehiSavings(record, base)
    rows.push({
      ...row,
      emulator: { ...moslehiFigures(record), verified },
      emulator_pages_saving: pages,
      emulator_time_saving: time,
      emulator_downtime_saving: downtime,
    })
  }
  return {
    ...reproduction,
    origin: 'predicted and measured',
    emulator: {
      setting: `${memory} guest, ${rate} link, strict priority; cross-traffic: 50 Mbit/s of datagrams and 3 connections`,
    },
    rows,
    claims: claimsOn(rows),
  }
}

function scenarioOf({
  workload,
  cross_traffic,
  scheme,
}: Pick<MoslehiRow, 'workload' | 'cross_traffic' | 'scheme'>): Scenario {
  const [, dirtyRatio, workingSet] = moslehiWorkloads.find(([name]) => name === workload)!
  const writes =
    dirtyRatio === 0
      ? '{ kind: idle }'
      : `{ kind: hot, dirty_ratio: ${dirtyRatio}, working_set: ${100 * workingSet}%, hot_share: 98% }`
  const text = `name: moslehi-${workload}
link: { rate: ${rate} }
guest:
  memory: ${memory}
  device_state: 256KiB
  workload: ${writes}
  content: { kind: random }
migration:
  strategy: ${scheme.startsWith('cache') ? 'async-cache' : 'pre-copy'}
  options: {}
  marking: { bulk: ${scheme.endsWith('priority') ? 'CS7' : 'best-effort'} }
  max_total_time: 60s
cross_traffic: ${cross_traffic ? crossTraffic : '[]'}
`
  return parseScenario(text, 'moslehi')
}
