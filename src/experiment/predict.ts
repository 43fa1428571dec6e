/** A scenario in virtual time: the same guest, strategy and classes as a run, on a modelled link; the same result document. */

import { classOfLevel } from '../marking/traffic-class.js'
import { migrate } from '../migration/engine.js'
import type { Journal } from '../migration/journal.js'
import { storageLane } from '../migration/lanes.js'
import type { Strategy } from '../migration/strategy.js'
import { type Competitor, framedLink, type LinkSpec } from '../model/link.js'
import { type ModelSpec, ModelTestbed } from '../model/testbed.js'
import { usageError } from '../support/errors.js'
import { guestSpec, laneEndpoints, storageEndpoint, unsentBytes } from './jobs.js'
import { type MigrationResult, migrationResult, type RunResult, runSchema } from './result.js'
import type { CrossTraffic, Scenario } from './scenario.js'

/** One way through two hosts and a switch on one box, without queueing. */
const labDelayNs = 50_000

export function modelSpec(scenario: Scenario): ModelSpec {
  const { lanes } = scenario.migration
  return {
    guest: guestSpec(scenario),
    content: scenario.guest.content,
    deviceBytes: scenario.guest.deviceStateBytes,
    link: modelLink(scenario),
    lanes: {
      bulk: lanes.bulk.pcp,
      final: lanes.final.pcp,
      faults: lanes.faults.pcp,
      storage: lanes.storage.pcp,
      log: lanes.log.pcp,
      disk: lanes.disk.pcp,
      deltas: lanes.deltas.pcp,
    },
    levels: Array.from({ length: 8 }, (_, level) => classOfLevel(scenario.marking, level).pcp),
  }
}

/** Runs the scenario on the model. The strategy is the scenario's, bound by the caller. */
export async function predict(scenario: Scenario, strategy: Strategy, journal: Journal): Promise<RunResult> {
  const { result, outcome, reason } = await predictMigration(scenario, strategy, journal)
  return {
    schema: runSchema,
    origin: 'predicted',
    outcome,
    ...(reason === undefined ? {} : { reason }),
    run_dir: null,
    scenario: scenario.given,
    applied: { dataplane: 'model', seed: scenario.seed, delay_ms: labDelayNs / 1e6 },
    migration: result,
    classes: [],
    marks: { frames_checked: 0, frames_wrong: 0, examples: [] },
    cross_traffic: [],
    outage: null,
    captures: [],
    ledger: [],
    fidelity: { valid: true, checks: [] },
  }
}

interface Prediction {
  readonly outcome: RunResult['outcome']
  readonly reason?: string
  readonly result: MigrationResult
}

async function predictMigration(
  scenario: Scenario,
  strategy: Strategy,
  journal: Journal,
): Promise<Prediction> {
  const testbed = new ModelTestbed(modelSpec(scenario))
  const limits = { maxTotalNs: scenario.migration.maxTotalNs }
  const beganNs = testbed.nowNs()
  const setupNs = 2 * modelLink(scenario).delayNs * setUpRoundTrips(scenario)
  await testbed.wait(setupNs)
  const record = await migrate(strategy, testbed, limits, journal, beganNs)
  const differing = record.outcome === 'completed' ? testbed.differingPages() + differingBlocks(testbed) : 1
  const verified = differing === 0
  const { fetched, cancelled } = testbed.fetches
  const storage = strategy.lanes?.includes(storageLane)
    ? { blocksFetched: fetched, fetchesCancelled: cancelled, bytesFetched: fetched * testbed.pageBytes }
    : undefined
  const result = migrationResult(record, {
    setupNs,
    verified,
    wireBytes: null,
    ...(storage === undefined ? {} : { storage }),
  })
  const { outcome, reason } = record
  return { outcome, result, ...(reason === undefined ? {} : { reason }) }
}

/** For a connection: to open it, for the challenge, and for the claim with its verdict (wire/handshake.ts). */
const handshakeRoundTrips = 3

/** Before the first page: the lanes open one after the other, then the session is agreed on, storage opened meanwhile. */
function setUpRoundTrips(scenario: Scenario): number {
  const storage = storageEndpoint(scenario, 0) === undefined ? 0 : 1
  return handshakeRoundTrips * (laneEndpoints(scenario, 0).length + storage) + 1
}

function differingBlocks({ disk }: ModelTestbed): number {
  return disk?.differingBlocks ?? 0
}

/** The scenario's congested port, as the model knows it. */
export function modelLink(scenario: Scenario): LinkSpec {
  const { link, crossTraffic } = scenario
  refuseUnmodelled(scenario)
  return framedLink(link.rateBps, link.mtuBytes, {
    discipline: link.discipline,
    paths: link.paths,
    ...(link.perFlow ? { perFlow: true } : {}),
    ...(link.guarantees === undefined ? {} : { guarantees: link.guarantees }),
    delayNs: labDelayNs + (link.impairment?.delayNs ?? 0),
    queuePackets: link.queuePackets,
    unsentBytes,
    competitors: crossTraffic.map((stream) => competitor(stream, scenario)),
  })
}

/** The model is fluid: it has no frames that could be lost, overtaken or marked anew. */
function refuseUnmodelled({ link, path, crossTraffic }: Scenario): void {
  const { jitterNs = 0, lossRatio = 0, reorderRatio = 0 } = link.impairment ?? {}
  const words = [
    ...(path === undefined ? [] : ['path']),
    ...(jitterNs > 0 ? ['link.jitter'] : []),
    ...(lossRatio > 0 ? ['link.loss'] : []),
    ...(reorderRatio > 0 ? ['link.reorder'] : []),
    ...(crossTraffic.some((stream) => stream.kind === 'pcap') ? ['cross_traffic of kind pcap'] : []),
  ]
  if (words.length === 0) return
  throw usageError(`${words.join(', ')}: the model knows nothing of this`, {
    code: 'not-modelled',
    next: 'Leave it out for predict, or measure it with run.',
  })
}

/** Weights relative to that of the migration's own bulk class, which the model takes as 1. */
function competitor(stream: CrossTraffic, { link, migration }: Scenario): Competitor {
  const weightOf = (pcp: number): number => link.weights?.[pcp] ?? 1
  return {
    pcp: stream.trafficClass.pcp,
    weight: weightOf(stream.trafficClass.pcp) / weightOf(migration.lanes.bulk.pcp),
    elasticFlows: stream.kind === 'tcp-bulk' ? stream.flows : 0,
    flows: stream.flows,
    ...(stream.rateBps === undefined ? {} : { offeredBps: stream.rateBps }),
    startNs: stream.startNs,
    stopNs: stream.stopNs ?? Number.POSITIVE_INFINITY,
  }
}
