/**
 * The source agent: owns the guest, runs one migration through the engine, audits the destination's memory, and
 * says what it measured. Which strategy decides is the caller's choice.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type ContentSpec, type PageContent, pageContent } from '../memory/content.js'
import { migrate } from '../migration/engine.js'
import type { Journal } from '../migration/journal.js'
import { type MigrationRecord, nothingMoved } from '../migration/metrics.js'
import type { Strategy } from '../migration/strategy.js'
import { PagewireError } from '../support/errors.js'
import { Guest, type GuestSpec } from '../workload/guest.js'
import type { WorkloadSpec } from '../workload/workload.js'
import { AgentTestbed } from './agent-testbed.js'
import { monotonicNs } from './clock.js'
import { CompressPool } from './compress-pool.js'
import { type DiskState, diskContent } from './disk-state.js'
import type { GuestCardProcess } from './guest-card.js'
import { type LaneStatistics, Link, type LinkOptions } from './link.js'
import { runQueueWaitNs } from './run-queue.js'
import { deviceState, type LaneEndpoint, type Session } from './session.js'
import type { LaneHooks } from './source-lane.js'
import { warmUp } from './warm-up.js'

export interface SourceJob {
  /** Where the destination listens. */
  readonly host: string
  readonly lanes: readonly LaneEndpoint[]
  /** Hex. */
  readonly secret: string
  readonly congestionControl: string
  readonly unsentBytes: number
  readonly sendBufferBytes?: number
  readonly sharedClock: boolean
  readonly guest: GuestSpec
  readonly content: ContentSpec
  readonly deviceBytes: number
  readonly maxTotalNs: number
  readonly hooks: LaneHooks
}

/** What a person watching wants to know a few times a second. */
export interface Progress {
  readonly elapsedNs: number
  readonly phase: 'running' | 'suspended'
  /** Pages confirmed by the destination so far, repeats counted. */
  readonly pagesConfirmed: number
  /** Pages in the dirty log at this moment. */
  readonly dirtyPages: number
  readonly guestWrites: number
}

export interface SourceResult {
  readonly record: MigrationRecord
  /** The destination's memory was compared page by page and equals the source's at suspend. */
  readonly verified: boolean
  readonly setupNs: number
  /** On the clock of this machine (CLOCK_MONOTONIC). */
  readonly beganNs: number
  readonly endedNs: number
  readonly lanes: readonly LaneStatistics[]
  /** Of its workload, without those that inputs made it do. */
  readonly guestWrites: number
  readonly guestRunNs: number
  /** Share of one core that this process used during the migration. */
  readonly cpuShare: number
  readonly eventLoopDelayP99Ns: number
  /** Time that this agent was ready and waited for a processor; absent where the kernel does not say. */
  readonly runQueueWaitNs?: number
  readonly peakRssBytes: number
}

export interface RunningSource {
  readonly result: Promise<SourceResult>
  progress(): Progress
  cancel(): void
}

/** Some 10 ms of work. A guest that keeps up never gets there: pages are read many times a second. */
const accessesPerLook = 500_000

/** `card` is the guest's network card on this host, running. */
export function startSource(
  job: SourceJob,
  strategy: Strategy,
  journal: Journal,
  card?: GuestCardProcess,
): RunningSource {
  return new Source(job, strategy, journal, card)
}

class Source implements RunningSource {
  readonly #job: SourceJob
  readonly #content: PageContent
  readonly #device: Buffer
  readonly #card: GuestCardProcess | undefined
  readonly #pool: CompressPool
  #guest: Guest
  #beganNs: number
  #testbed: AgentTestbed | undefined
  #link: Link | undefined
  #cancelled = false
  #cancelSetUp: (() => void) | undefined
  readonly result: Promise<SourceResult>

  constructor(job: SourceJob, strategy: Strategy, journal: Journal, card: GuestCardProcess | undefined) {
    this.#job = job
    // What stands for a guest that has long been running is no part of its migration.
    warmUp()
    this.#content = pageContent(job.content, job.guest.pageBytes, job.guest.seed)
    this.#device = deviceState(job.guest.seed, job.deviceBytes)
    this.#card = card
    this.#beganNs = monotonicNs()
    this.#guest = new Guest({ ...job.guest, accessesPerLook }, this.#beganNs)
    this.#pool = new CompressPool(job.content, job.guest.pageBytes, job.guest.seed)
    this.result = this.#run(strategy, journal)
  }

  progress(): Progress {
    const now = monotonicNs()
    return {
      elapsedNs: now - this.#beganNs,
      phase: this.#guest.running ? 'running' : 'suspended',
      pagesConfirmed: this.#link?.pagesConfirmed ?? 0,
      dirtyPages: this.#guest.memory.dirty.count,
      guestWrites: this.#guest.memory.writes,
    }
  }

  cancel(): void {
    this.#cancelled = true
    this.#cancelSetUp?.()
    this.#testbed?.cancel()
  }

  async #run(strategy: Strategy, journal: Journal): Promise<SourceResult> {
    if (strategy.threads !== undefined) await this.#beginWithThreads(strategy.threads)
    const delay = monitorEventLoopDelay({ resolution: 5 })
    const cpuBefore = process.cpuUsage()
    const waitedBefore = runQueueWaitNs()
    delay.enable()

    const link = await this.#open()
    const setupNs = monotonicNs() - this.#beganNs
    const { record, verified, lanes } =
      link === undefined
        ? { record: this.#notSetUp(strategy), verified: false, lanes: [] }
        : await this.#migrate(link, strategy, journal)
    const endedNs = this.#beganNs + record.totalNs
    delay.disable()
    const cpu = process.cpuUsage(cpuBefore)
    const waited = runQueueWaitNs()
    return {
      record,
      verified,
      setupNs,
      beganNs: this.#beganNs,
      endedNs,
      lanes,
      guestWrites: this.#guest.ownWrites,
      guestRunNs: this.#guest.guestNs,
      cpuShare: ((cpu.user + cpu.system) * 1000) / Math.max(1, monotonicNs() - this.#beganNs),
      eventLoopDelayP99Ns: delay.percentile(99),
      ...(waited === undefined || waitedBefore === undefined
        ? {}
        : { runQueueWaitNs: waited - waitedBefore }),
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    }
  }

  /** The migration begins when the threads are there: to start one takes longer than some migrations. */
  async #beginWithThreads(threads: number): Promise<void> {
    await this.#pool.start(threads)
    this.#beganNs = monotonicNs()
    this.#guest = new Guest({ ...this.#job.guest, accessesPerLook }, this.#beganNs)
  }

  /** The link, or nothing when the time of the whole migration went by, or somebody cancelled, before it was up. */
  async #open(): Promise<Link | undefined> {
    const job = this.#job
    const disk = diskOf(job, this.#guest)
    const opening = Link.open(linkOptions(job, this.#beganNs), sessionOf(job), {
      content: this.#content,
      memory: this.#guest.memory,
      device: this.#device,
      ...(job.guest.workload.trace === undefined ? {} : { trace: job.guest.workload.trace }),
      ...(disk === undefined ? {} : { disk }),
      pool: this.#pool,
    })
    const late = new Promise<undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), Math.min(job.maxTotalNs / 1e6, 2 ** 31 - 1))
      this.#cancelSetUp = () => resolve(undefined)
      opening.finally(() => clearTimeout(timer)).catch(() => {})
    })
    try {
      const link = await Promise.race([opening, late])
      // Whatever comes of it later is of no use any more.
      if (link === undefined) opening.then((unused) => unused.close()).catch(() => {})
      return link
    } catch (error) {
      if (monotonicNs() - this.#beganNs >= job.maxTotalNs) return undefined
      throw error
    }
  }

  #notSetUp(strategy: Strategy): MigrationRecord {
    // The guest has run all the while; it is lazy, and nobody has looked yet.
    this.#guest.advance(monotonicNs())
    const totalNs = monotonicNs() - this.#beganNs
    const limit = (this.#job.maxTotalNs / 1e9).toFixed(1)
    return nothingMoved(
      strategy.info.name,
      this.#cancelled ? 'cancelled' : 'aborted',
      this.#cancelled
        ? 'stopped by the user'
        : `the connections could not be set up within max_total_time (${limit} s)`,
      totalNs,
      this.#guest.memory.totalPages,
    )
  }

  async #migrate(
    link: Link,
    strategy: Strategy,
    journal: Journal,
  ): Promise<Pick<SourceResult, 'record' | 'verified' | 'lanes'>> {
    this.#link = link
    const testbed = new AgentTestbed(this.#guest, link, this.#job.hooks, this.#card)
    this.#testbed = testbed
    if (this.#cancelled) testbed.cancel()
    const { maxTotalNs } = this.#job
    const record = await migrate(strategy, testbed, { maxTotalNs }, journal, this.#beganNs)
    const lanes = link.statistics()
    if (record.outcome !== 'completed') return { record, verified: false, lanes }
    const audited = await audit(link)
    return {
      record: audited instanceof PagewireError ? failedBy(record, audited) : record,
      verified: audited === 'equal',
      lanes: withAudit(lanes, link),
    }
  }
}

/** Compares the memories and ends the session. A difference is a result: the migration has failed. */
async function audit(link: Link): Promise<'equal' | PagewireError> {
  try {
    await link.audit()
    await link.bye()
    return 'equal'
  } catch (error) {
    link.close()
    if (error instanceof PagewireError) return error
    throw error
  }
}

function failedBy(record: MigrationRecord, error: PagewireError): MigrationRecord {
  return { ...record, outcome: 'failed', reason: error.message }
}

/** The connection's figures as of the end of the migration, the byte counts as of the end of the session. */
function withAudit(lanes: readonly LaneStatistics[], link: Link): readonly LaneStatistics[] {
  return link.byteCounts().map((counts, index) => ({ ...lanes[index]!, ...counts }))
}

function diskOf({ content, guest: { seed } }: SourceJob, { disk }: Guest): DiskState | undefined {
  return disk === undefined ? undefined : { disk, content: diskContent(content, disk.spec.blockBytes, seed) }
}

function sessionOf(job: SourceJob): Session {
  return {
    totalPages: job.guest.totalPages,
    pageBytes: job.guest.pageBytes,
    deviceBytes: job.deviceBytes,
    seed: job.guest.seed,
    content: job.content,
    lanes: job.lanes.map((lane) => lane.name),
    workload: {
      spec: untraced(job.guest.workload),
      readsPerWrite: job.guest.readsPerWrite ?? 0,
      freePages: job.guest.freePages ?? 0,
    },
    ...(job.guest.disk === undefined ? {} : { disk: job.guest.disk }),
  }
}

/** A trace is too long for the session's description; it goes before it, in frames of its own. */
function untraced({ trace: _, ...spec }: WorkloadSpec): WorkloadSpec {
  return spec
}

function linkOptions(job: SourceJob, beganNs: number): LinkOptions {
  return {
    host: job.host,
    lanes: job.lanes,
    secret: Buffer.from(job.secret, 'hex'),
    congestionControl: job.congestionControl,
    unsentBytes: job.unsentBytes,
    ...(job.sendBufferBytes === undefined ? {} : { sendBufferBytes: job.sendBufferBytes }),
    sharedClock: job.sharedClock,
    setUpByNs: beganNs + job.maxTotalNs,
    hooks: job.hooks,
  }
}
