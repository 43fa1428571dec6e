/** From a scenario to what each agent is told. */

import type { DestinationJob } from '../agent/destination.js'
import type { NamedSourceJob } from '../agent/job.js'
import type { LaneEndpoint } from '../agent/session.js'
import type { LaneHooks } from '../agent/source-lane.js'
import type { StorageJob } from '../agent/storage.js'
import type { StorageAddress } from '../agent/storage-client.js'
import { classOfLevel } from '../marking/traffic-class.js'
import { diskLane, levelOf, markedAs, storageLane, usualLanes } from '../migration/lanes.js'
import type { LaneName } from '../migration/strategy.js'
import { strategyNamed } from '../strategies/index.js'
import type { GuestSpec } from '../workload/guest.js'
import type { Scenario } from './scenario.js'

/** Unsent bytes the kernel holds of each lane: some 10 ms of a 200 Mbit/s link, so that pages are read late. */
export const unsentBytes = 256 * 1024

/**
 * The lanes that the scenario's strategy needs, in their fixed order. `port`: of the first lane, the others follow;
 * 0 lets the kernel choose.
 */
export function laneEndpoints(scenario: Scenario, port: number): readonly LaneEndpoint[] {
  return [...usualLanes, ...moreLanes(scenario).filter((name) => name !== storageLane)].map((name, index) =>
    endpoint(scenario, name, port === 0 ? 0 : port + index),
  )
}

/** Where shared storage is to listen, for strategies that use it. */
export function storageEndpoint(scenario: Scenario, port: number): LaneEndpoint | undefined {
  return moreLanes(scenario).includes(storageLane) ? endpoint(scenario, storageLane, port) : undefined
}

function moreLanes({ migration }: Scenario): readonly LaneName[] {
  return strategyNamed(migration.strategy).create(migration.options).lanes ?? []
}

function endpoint({ migration, marking }: Scenario, name: LaneName, port: number): LaneEndpoint {
  const level = levelOf(name)
  const { dscp, pcp } = level === undefined ? migration.lanes[markedAs(name)] : classOfLevel(marking, level)
  return { name, dscp, pcp, port }
}

export function destinationJob(
  scenario: Scenario,
  host: string,
  lanes: readonly LaneEndpoint[],
  secret: string,
  storage?: StorageAddress,
): DestinationJob {
  const { congestionControl } = scenario.migration
  return { host, lanes, secret, congestionControl, ...(storage === undefined ? {} : { storage }) }
}

export function storageJob(scenario: Scenario, host: string, lane: LaneEndpoint, secret: string): StorageJob {
  const { guest, migration, seed } = scenario
  return {
    host,
    lane,
    secret,
    congestionControl: migration.congestionControl,
    totalPages: guest.totalPages,
    pageBytes: guest.pageBytes,
    seed,
    content: guest.content,
  }
}

/** The guest that both testbeds run. */
export function guestSpec(scenario: Scenario): GuestSpec {
  const { guest, seed } = scenario
  return {
    totalPages: guest.totalPages,
    pageBytes: guest.pageBytes,
    seed,
    freePages: guest.freePages,
    balloonedPages: guest.balloonedPages,
    ...(guest.inputs === undefined ? {} : { inputs: guest.inputs }),
    workload: {
      kind: guest.workload.kind,
      writesPerSecond: guest.workload.dirtyPagesPerSecond,
      workingSetPages: guest.workload.workingSetPages,
      hotShare: guest.workload.hotShare,
      ...(guest.workload.growthShare === undefined ? {} : { growthShare: guest.workload.growthShare }),
      ...(guest.workload.periodNs === undefined ? {} : { periodNs: guest.workload.periodNs }),
      ...(guest.workload.trace === undefined ? {} : { trace: guest.workload.trace }),
    },
    ...(moreLanes(scenario).includes(diskLane) ? { disk: guest.disk } : {}),
  }
}

/** Faults for tests, never set by a scenario. */
export interface RunHooks extends LaneHooks {
  /** This lane's socket at the source carries no mark. */
  readonly unmarkedLane?: string
  /** Kernel buffer of each capture, in KiB. */
  readonly captureBufferKib?: number
}

export function sourceJob(
  scenario: Scenario,
  host: string,
  lanes: readonly LaneEndpoint[],
  secret: string,
  sharedClock: boolean,
  hooks: RunHooks = {},
): NamedSourceJob {
  const { guest, migration } = scenario
  return {
    host,
    lanes: lanes.map((lane) => (lane.name === hooks.unmarkedLane ? { ...lane, dscp: 0, pcp: 0 } : lane)),
    secret,
    congestionControl: migration.congestionControl,
    unsentBytes,
    ...(migration.laneBufferBytes === undefined ? {} : { sendBufferBytes: migration.laneBufferBytes }),
    sharedClock,
    guest: guestSpec(scenario),
    content: guest.content,
    deviceBytes: guest.deviceStateBytes,
    maxTotalNs: migration.maxTotalNs,
    hooks,
    strategy: migration.strategy,
    options: migration.options,
  }
}
