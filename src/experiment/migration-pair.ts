/** Starts the two agents of one migration in two hosts, introduces them to each other and lets them migrate. */

import type { AgentEvent } from '../agent/controlled.js'
import type { DestinationResult } from '../agent/destination.js'
import { controlVersion } from '../agent/job.js'
import { newSecret } from '../agent/proof.js'
import type { LaneEndpoint } from '../agent/session.js'
import type { Progress, SourceResult } from '../agent/source.js'
import type { StorageAddress } from '../agent/storage-client.js'
import type { JournalEntry } from '../migration/journal.js'
import { pathOf } from '../migration/lanes.js'
import { failure, type PagewireError } from '../support/errors.js'
import { AgentProcess } from './agent-process.js'
import {
  destinationJob,
  laneEndpoints,
  type RunHooks,
  sourceJob,
  storageEndpoint,
  storageJob,
} from './jobs.js'
import type { Scenario } from './scenario.js'

export interface PairHosts {
  /** Words that put a command into the source's host, and into the destination's. */
  readonly insideSource: readonly string[]
  readonly insideDestination: readonly string[]
  /** Where the destination listens. */
  readonly destinationAddress: string
  /** Its addresses on the parallel paths, the first of which is the one above; absent: there is one path. */
  readonly pathAddresses?: readonly string[]
  /** The host of shared storage, for strategies that use it. */
  readonly storage: { readonly inside: readonly string[]; readonly address: string }
  readonly logFile: (agent: string) => string
  /** Commands that are the guest's network card on each host; absent: the guest has none. */
  readonly cards?: { readonly source: readonly string[]; readonly destination: readonly string[] }
}

export interface PairOptions {
  readonly hooks?: RunHooks
  readonly onJournal?: (entry: JournalEntry) => void
  readonly onProgress?: (progress: Progress) => void
}

export interface MigratedPair {
  readonly source: SourceResult
  readonly destination: DestinationResult | undefined
}

/** A started agent says that it is ready within this time, on a busy machine too. */
const readyTimeoutMs = 20_000
/** The destination has this long to close its books after the source has. */
const closingTimeoutMs = 10_000
/** Without a completed migration it may never hear of the end, behind a starved queue or on a broken connection. */
const partingTimeoutMs = 1500

/** The two agents of one migration. `end` leaves no process, whatever happened before. */
export class MigrationPair {
  readonly #scenario: Scenario
  readonly #hosts: PairHosts
  readonly #secret = newSecret().toString('hex')
  readonly #destination: AgentProcess<AgentEvent>
  readonly #source: AgentProcess<AgentEvent>
  #migrating = false
  #storage: AgentProcess<AgentEvent> | undefined
  lanes: readonly LaneEndpoint[] = []
  /** Where shared storage listens, where there is one. */
  storage: StorageAddress | undefined

  private constructor(scenario: Scenario, hosts: PairHosts) {
    this.#scenario = scenario
    this.#hosts = hosts
    this.#destination = new AgentProcess<AgentEvent>({
      name: 'destination',
      inside: hosts.insideDestination,
      args: ['agent', 'destination', '--control'],
      logFile: hosts.logFile('destination'),
    })
    // It has nothing to do before the migration, but a program takes a while to start.
    this.#source = new AgentProcess<AgentEvent>({
      name: 'source',
      inside: hosts.insideSource,
      args: ['agent', 'source', '--control'],
      logFile: hosts.logFile('source'),
    })
  }

  /** Starts both and waits until the destination listens; the ports are then in `lanes`. Nothing is sent yet. */
  static async start(scenario: Scenario, hosts: PairHosts): Promise<MigrationPair> {
    const pair = new MigrationPair(scenario, hosts)
    try {
      await pair.#plugIn()
      pair.storage = await pair.#startStorage()
      const job = destinationJob(
        scenario,
        hosts.destinationAddress,
        onPaths(laneEndpoints(scenario, 0), hosts.pathAddresses),
        pair.#secret,
        pair.storage,
      )
      pair.#destination.send({ do: 'start', job: { version: controlVersion, job } })
      pair.lanes = await pair.#destination.next(
        (event) => (event.event === 'listening' ? event.lanes : raise(event, 'destination')),
        readyTimeoutMs,
      )
      return pair
    } catch (error) {
      await pair.end()
      throw error
    }
  }

  async #startStorage(): Promise<StorageAddress | undefined> {
    const wanted = storageEndpoint(this.#scenario, 0)
    if (wanted === undefined) return undefined
    const place = this.#hosts.storage
    this.#storage = new AgentProcess<AgentEvent>({
      name: 'storage',
      inside: place.inside,
      args: ['agent', 'storage', '--control'],
      logFile: this.#hosts.logFile('storage'),
    })
    const job = storageJob(this.#scenario, place.address, wanted, this.#secret)
    this.#storage.send({ do: 'start', job: { version: controlVersion, job } })
    const lane = await this.#storage.next(
      (event) => (event.event === 'listening' ? event.lanes[0] : raise(event, 'storage')),
      readyTimeoutMs,
    )
    return { host: place.address, lane }
  }

  /** Runs the migration to its end. Cancel it with `cancel`; it then ends soon, with a result. */
  async migrate(options: PairOptions = {}): Promise<MigratedPair> {
    this.#migrating = true
    const source = this.#source
    // A destination that failed or is gone has no result, and the source says what that meant for the migration.
    const destinationDone = this.#destination
      .next((event) => (event.event === 'destination-result' ? event.result : raise(event, 'destination')))
      .catch(() => undefined)
    const { destinationAddress } = this.#hosts
    const job = sourceJob(this.#scenario, destinationAddress, this.lanes, this.#secret, true, options.hooks)
    source.send({ do: 'start', job: { version: controlVersion, job } })
    const result = await source.next((event) => {
      if (event.event === 'journal') options.onJournal?.(event.entry)
      if (event.event === 'progress') options.onProgress?.(event.progress)
      return event.event === 'source-result' ? event.result : raise(event, 'source')
    })
    const timeoutMs = result.record.outcome === 'completed' ? closingTimeoutMs : partingTimeoutMs
    return { source: result, destination: await within(destinationDone, timeoutMs) }
  }

  cancel(): void {
    if (this.#migrating) this.#source.send({ do: 'cancel' })
  }

  async end(): Promise<void> {
    await Promise.all([this.#source.end(), this.#destination.end(), this.#storage?.end()])
  }

  /** The guest has been running at the source; from now on it is heard of. */
  answer(): void {
    this.#source.send({ do: 'answer' })
  }

  /** Its network card is on both hosts, and silent. */
  async #plugIn(): Promise<void> {
    const { cards } = this.#hosts
    if (cards === undefined) return
    const plugged = (agent: AgentProcess<AgentEvent>, argv: readonly string[]): Promise<true> => {
      agent.send({ do: 'card', argv })
      return agent.next(
        (event) => (event.event === 'card-ready' ? true : raise(event, agent.name)),
        readyTimeoutMs,
      )
    }
    await Promise.all([plugged(this.#source, cards.source), plugged(this.#destination, cards.destination)])
  }
}

/** Each lane with the address of the path that it keeps to. */
function onPaths(lanes: readonly LaneEndpoint[], addresses: readonly string[] = []): readonly LaneEndpoint[] {
  return lanes.map((lane) => {
    const host = addresses[pathOf(lane.name, Math.max(1, addresses.length))]
    return host === undefined ? lane : { ...lane, host }
  })
}

/** Turns an agent's error event into the error that it is; other events are none of our business. */
function raise(event: AgentEvent, agent: string): undefined {
  if (event.event !== 'error') return undefined
  throw failure(`agent ${agent}: ${event.message}`, {
    code: event.code,
    ...(event.next === undefined ? {} : { next: event.next }),
  }) satisfies PagewireError
}

/** The destination of a failed migration may have nothing to say. */
function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms)
    promise.then(resolve).finally(() => clearTimeout(timer))
  })
}
