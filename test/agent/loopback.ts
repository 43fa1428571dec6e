/** Both agents in one process over the loopback interface, unmarked, so that no privilege is needed. */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type DestinationResult, startDestination } from '../../src/agent/destination.js'
import { type SourceResult, startSource } from '../../src/agent/source.js'
import type { LaneHooks } from '../../src/agent/source-lane.js'
import { startStorage } from '../../src/agent/storage.js'
import type { ContentSpec } from '../../src/memory/content.js'
import { silentJournal } from '../../src/migration/journal.js'
import { diskLane, storageLane, usualLanes } from '../../src/migration/lanes.js'
import type { Strategy } from '../../src/migration/strategy.js'
import type { DiskSpec } from '../../src/workload/disk.js'
import type { GuestSpec } from '../../src/workload/guest.js'
import type { WorkloadSpec } from '../../src/workload/workload.js'

export interface Loopback {
  readonly pages?: number
  readonly workload?: Partial<WorkloadSpec>
  readonly guest?: Partial<GuestSpec>
  readonly content?: ContentSpec
  readonly maxTotalNs?: number
  readonly hooks?: LaneHooks
}

export interface Migrated {
  readonly source: SourceResult
  readonly destination: DestinationResult
}

const host = '127.0.0.1'
const pageBytes = 4096
const disk: DiskSpec = {
  totalBlocks: 700,
  blockBytes: 4096,
  writesPerSecond: 5000,
  workingSetBlocks: 200,
  replicaShare: 0.75,
}
const seed = 7

/** Whatever this kernel allows everybody. */
const congestionControl =
  readFileSync('/proc/sys/net/ipv4/tcp_allowed_congestion_control', 'utf8').trim().split(' ')[0] ?? 'reno'

export async function migrateOverLoopback(strategy: Strategy, given: Loopback): Promise<Migrated> {
  const secret = randomBytes(32).toString('hex')
  const names = [...usualLanes, ...(strategy.lanes ?? [])].filter((name) => name !== storageLane)
  const lanes = names.map((name) => ({ name, dscp: 0, pcp: 0, port: 0 }))
  const totalPages = given.pages ?? 512
  const content = given.content ?? { kind: 'random' }
  const storage = strategy.lanes?.includes(storageLane)
    ? await startStorage({
        host,
        lane: { name: storageLane, dscp: 0, pcp: 0, port: 0 },
        secret,
        congestionControl,
        totalPages,
        pageBytes,
        seed,
        content,
      })
    : undefined
  const destination = await startDestination({
    host,
    lanes,
    secret,
    congestionControl,
    ...(storage === undefined ? {} : { storage: { host, lane: storage.lane } }),
  })
  const source = startSource(
    {
      host,
      lanes: destination.lanes,
      secret,
      congestionControl,
      unsentBytes: 256 * 1024,
      sharedClock: true,
      guest: {
        totalPages,
        pageBytes,
        seed,
        workload: {
          kind: 'hot',
          writesPerSecond: 50_000,
          workingSetPages: Math.ceil(totalPages / 8),
          hotShare: 0.9,
          ...given.workload,
        },
        ...(strategy.lanes?.includes(diskLane) ? { disk } : {}),
        ...given.guest,
      },
      content,
      deviceBytes: 100_000,
      maxTotalNs: given.maxTotalNs ?? 20e9,
      hooks: given.hooks ?? {},
    },
    strategy,
    silentJournal,
  )
  const [sourceResult, destinationResult] = await Promise.all([source.result, destination.result])
  storage?.stop()
  return { source: sourceResult, destination: destinationResult }
}
