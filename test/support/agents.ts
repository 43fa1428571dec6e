/** A source and a destination agent in this process, over loopback, on unmarked lanes: no root, real sockets. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import {
  type DestinationResult,
  type RunningDestination,
  startDestination,
} from '../../src/agent/destination.js'
import type { LaneEndpoint } from '../../src/agent/session.js'
import { type RunningSource, type SourceJob, type SourceResult, startSource } from '../../src/agent/source.js'
import type { JournalEntry } from '../../src/migration/journal.js'
import { usualLanes } from '../../src/migration/lanes.js'
import type { Strategy } from '../../src/migration/strategy.js'
import { strategyNamed } from '../../src/strategies/index.js'
import type { WorkloadSpec } from '../../src/workload/workload.js'

export const host = '127.0.0.1'
export const pageBytes = 4096
export const secret = '5e'.repeat(32)
/** What an unprivileged socket may ask for. */
export const congestionControl = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim()

export interface Setting extends Partial<Omit<SourceJob, 'guest'>> {
  readonly pages?: number
  readonly pageBytes?: number
  readonly workload?: Partial<WorkloadSpec>
  /** `stop-and-copy` when absent. */
  readonly strategy?: string | Strategy
  readonly options?: Readonly<Record<string, unknown>>
  readonly onJournal?: (entry: JournalEntry) => void
}

function endpoints(names: readonly string[]): readonly LaneEndpoint[] {
  return names.map((name) => ({ name, dscp: 0, pcp: 0, port: 0 }))
}

export function listen(names: readonly string[] = usualLanes): Promise<RunningDestination> {
  return startDestination({ host, lanes: endpoints(names), secret, congestionControl })
}

/** Starts a source; its lanes are those of a destination, or of a relay before it. */
export function migrateTo(lanes: readonly LaneEndpoint[], setting: Setting = {}): RunningSource {
  const {
    pages,
    pageBytes: size,
    workload,
    strategy: _strategy,
    options: _options,
    onJournal,
    ...job
  } = setting
  const totalPages = pages ?? 2048
  return startSource(
    {
      host,
      lanes,
      secret,
      congestionControl,
      unsentBytes: 256 * 1024,
      sharedClock: true,
      guest: {
        totalPages,
        pageBytes: size ?? pageBytes,
        seed: 1,
        workload: {
          kind: workload === undefined ? 'idle' : 'hot',
          writesPerSecond: 20_000,
          workingSetPages: Math.max(1, Math.floor(totalPages / 8)),
          hotShare: 0.9,
          ...workload,
        },
      },
      content: { kind: 'random' },
      deviceBytes: 256 * 1024,
      maxTotalNs: 60e9,
      hooks: {},
      ...job,
    },
    bound(setting),
    { record: (entry) => onJournal?.(entry) },
  )
}

export interface Migrated {
  readonly source: SourceResult
  /** An error when the destination gave up. */
  readonly destination: DestinationResult | Error
}

/** One migration from beginning to end. */
export async function migrate(setting: Setting = {}): Promise<Migrated> {
  const destination = await listen([...usualLanes, ...(bound(setting).lanes ?? [])])
  const ended = outcomeOf(destination)
  try {
    const source = await migrateTo(destination.lanes, setting).result
    return { source, destination: await ended }
  } finally {
    destination.stop('the test is over')
  }
}

function bound({ strategy, options }: Setting): Strategy {
  return typeof strategy === 'object'
    ? strategy
    : strategyNamed(strategy ?? 'stop-and-copy').create(options ?? {})
}

/** Asserts that the guest's memory is at the destination, and that both ends agree on every byte that crossed. */
export function arrived({ source, destination }: Migrated): {
  source: SourceResult
  destination: DestinationResult
} {
  if (destination instanceof Error) throw destination
  const { record } = source
  assert.deepEqual(
    [record.outcome, record.reason, source.verified, destination.outcome, destination.verified],
    ['completed', undefined, true, 'completed', true],
  )
  assert.equal(destination.pagesReceived, record.pagesSent)
  assert.equal(source.lanes.length, destination.lanes.length)
  for (const [i, lane] of source.lanes.entries()) {
    const there: DestinationResult['lanes'][number] = destination.lanes[i]!
    assert.equal(lane.name, there.name)
    assert.equal(lane.bytesWritten, there.bytesRead, `bytes to the destination on lane ${lane.name}`)
    assert.equal(lane.bytesRead, there.bytesWritten, `bytes from the destination on lane ${lane.name}`)
  }
  return { source, destination }
}

/** The destination's result, or the error that it ended with; never rejects. */
export function outcomeOf(destination: RunningDestination): Promise<DestinationResult | Error> {
  return destination.result.catch((error: Error) => error)
}

/** What passes through a relay towards the destination may be slowed, stopped, cut or changed. */
export interface RelayRules {
  /** Sees the bytes that go to the destination and how many went before them on this connection. */
  readonly forward?: (bytes: Buffer, before: number) => Buffer
  /** After this many bytes to the destination nothing more is taken from the source. */
  readonly stallAfterBytes?: number
  /** After this many bytes to the destination both sides are reset. */
  readonly cutAfterBytes?: number
}

/** Stands between source and destination, one listening port for each lane. `close` ends every connection. */
export async function relay(
  lanes: readonly LaneEndpoint[],
  rules: RelayRules,
): Promise<{ readonly lanes: readonly LaneEndpoint[]; close(): void }> {
  const servers: net.Server[] = []
  const sockets = new Set<net.Socket>()
  const relayed: LaneEndpoint[] = []
  for (const lane of lanes) {
    const server = net.createServer((near) => join(near, lane.port, rules, sockets))
    await new Promise<void>((resolve) => server.listen(0, host, resolve))
    servers.push(server)
    relayed.push({ ...lane, port: portOf(server) })
  }
  return {
    lanes: relayed,
    close: () => {
      for (const server of servers) server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function join(near: net.Socket, port: number, rules: RelayRules, sockets: Set<net.Socket>): void {
  const far = net.connect(port, host)
  let passed = 0
  for (const [socket, other] of [
    [near, far],
    [far, near],
  ] as const) {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      other.destroy()
    })
  }
  far.on('data', (bytes: Buffer) => near.write(bytes))
  near.on('data', (bytes: Buffer) => {
    far.write(rules.forward?.(bytes, passed) ?? bytes)
    passed += bytes.length
    if (passed > (rules.cutAfterBytes ?? Number.POSITIVE_INFINITY)) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
    if (passed > (rules.stallAfterBytes ?? Number.POSITIVE_INFINITY)) near.pause()
  })
}

export function portOf(server: net.Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen')
  return address.port
}
