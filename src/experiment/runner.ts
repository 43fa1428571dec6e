/**
 * One measured run: lab, captures, cross-traffic, two agents, one migration, analysis, and everything taken away
 * again, whatever happens in between.
 */

import { basename, join } from 'node:path'
import { monotonicNs } from '../agent/clock.js'
import type { LaneEndpoint } from '../agent/session.js'
import type { Progress } from '../agent/source.js'
import type { StorageAddress } from '../agent/storage-client.js'
import {
  type CrossTraffic,
  type CrossTrafficOutcome,
  prepareCrossTraffic,
  replayAddress,
} from '../agent/traffic/cross-traffic.js'
import { analyseRun, laneBytes, type RunAnalysis } from '../analysis/run-analysis.js'
import { expectationFile, expectationText, type RunExpectation } from '../analysis/run-expectation.js'
import type { ExpectedFlow } from '../analysis/run-flows.js'
import type { RunSeries } from '../analysis/run-series.js'
import { type Meter, type MeterInterval, startMeter } from '../capture/meter.js'
import { type CaptureSummary, type RunningCapture, startCapture } from '../capture/record.js'
import type { JournalEntry } from '../migration/journal.js'
import { pathOf } from '../migration/lanes.js'
import { assert } from '../support/assert.js'
import { exitCode, messageOf, PagewireError } from '../support/errors.js'
import { type CaptureName, type Lab, labUp, type QueueCounters, sweep } from '../topology/lab.js'
import { resolveDataplane } from '../topology/requirements.js'
import { dataplaneFor, guestCard, pathVlan, vlanIds } from '../topology/spec.js'
import { version } from '../topology/version.js'
import { tracedWrites } from '../workload/trace.js'
import { trafficAgent } from './agent-process.js'
import { type ClientsReport, ClientView, clientFlows, GuestMove, guestCards } from './client-view.js'
import { type FidelityInput, fidelityOf } from './fidelity.js'
import { type FloodOutcome, floodOutcome } from './flood-check.js'
import type { RunHooks } from './jobs.js'
import { type MigratedPair, MigrationPair } from './migration-pair.js'
import { outageResult } from './outage.js'
import { type CaptureResult, migrationResult, type RunResult, runSchema } from './result.js'
import type { RunDirectory } from './run-directory.js'
import type { CrossTraffic as CrossTrafficStream, Scenario } from './scenario.js'
import { writeScenario } from './scenario-file.js'
import { trafficHosts } from './traffic-hosts.js'

export type RunPhase =
  | 'building the lab'
  | 'starting captures and agents'
  | 'warming up'
  | 'migrating'
  | 'draining'
  | 'analysing'
  | 'tearing down'

export interface RunInput {
  readonly scenario: Scenario
  /** The scenario as text, kept in the run directory. */
  readonly text: string
  readonly directory: RunDirectory
  readonly hooks?: RunHooks
  /** False: captures are analysed and deleted; result.json still tells what was in them. */
  readonly keepCaptures?: boolean
  /** Makes report.html. */
  readonly report?: (run: ReportedRun) => Promise<string>
  readonly onPhase?: (phase: RunPhase) => void
  readonly onProgress?: (progress: Progress) => void
  readonly onJournal?: (entry: JournalEntry) => void
  /** Starts a live meter of what leaves the congested port, and hears it. It takes a part of a processor. */
  readonly onInterval?: (interval: MeterInterval) => void
  /** Aborted by the first interrupt: stop senders, keep what there is, write a `cancelled` result. */
  readonly cancel: AbortSignal
  /** Aborted by the second one: tear down at once. */
  readonly abandon: AbortSignal
  /** All is prepared before, cross-traffic included, and the migration begins after. */
  readonly mayBegin?: Promise<void>
  /** The senders have stopped: what follows takes no more of the box than an analysis does. */
  readonly onQuiet?: () => void
  /** Takes over the work of taking the lab away; absent: it is done at the end of the run. */
  readonly later?: (work: () => Promise<void>) => void
}

/** What a report is made of. */
export interface ReportedRun {
  readonly result: RunResult
  readonly series?: RunSeries
  readonly journal: readonly JournalEntry[]
}

/** Cross-traffic runs alone for this long, so that the migration meets a queue in its steady state. */
const warmUpMs = 1000
const drainTimeoutMs = 5000
const meterIntervalMs = 500
const drainPollMs = 50

/** Runs the scenario. The result is also in the run directory. Throws when the lab could not do its work. */
export async function runScenario(input: RunInput): Promise<RunResult> {
  const run = new Run(input)
  try {
    const result = await Promise.race([run.carryOut(), abandoned(input.abandon)])
    await writeScenario(input.directory, input.scenario, input.text)
    await input.directory.write('result.json', `${JSON.stringify(result, null, 2)}\n`)
    if (run.series !== undefined)
      await input.directory.write('series.json', `${JSON.stringify(run.series)}\n`)
    if (input.report !== undefined) {
      await input.directory.write('report.html', await input.report(run.reported(result)))
    }
    return result
  } finally {
    input.onPhase?.('tearing down')
    await run.tearDown()
    if (input.keepCaptures === false) await input.directory.dropCaptures()
    await input.directory.seal()
  }
}

/** Never resolves; rejects when the run is abandoned. */
async function abandoned(signal: AbortSignal): Promise<never> {
  await aborted(signal)
  throw abandonedError()
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function abandonedError(): PagewireError {
  return new PagewireError(exitCode.sigint, 'the run was abandoned', { code: 'abandoned' })
}

/** Everything that a result is made of, as far as the run got. */
interface Measured {
  flood?: FloodOutcome
  lab?: Lab
  pair?: MigratedPair
  failedWith?: PagewireError
  lanes: readonly LaneEndpoint[]
  storage?: StorageAddress
  trafficPorts: readonly number[]
  traffic?: CrossTrafficOutcome
  captures: Partial<Record<CaptureName, CaptureSummary>>
  queues: readonly QueueCounters[]
  analysis?: RunAnalysis
  /** What the guest's clients saw. */
  client?: ClientsReport
  /** When the tunnel took over what comes for the guest's old address. */
  switchedUnixNs?: number
  /** Unix nanoseconds: start of the migration; guest suspended, and running at the destination. */
  beganUnixNs?: number
  handoverUnixNs?: readonly [suspended: number, resumed: number]
  /** Unix nanoseconds between which the migration ran. */
  windowUnixNs?: readonly [from: number, to: number]
}

class Run {
  readonly #input: RunInput
  readonly #measured: Measured = { lanes: [], trafficPorts: [], captures: {}, queues: [] }
  readonly #journal: JournalEntry[] = []
  readonly #captures = new Map<CaptureName, RunningCapture>()
  #pair: MigrationPair | undefined
  #traffic: CrossTraffic | undefined
  #client: ClientView | undefined
  #move: GuestMove | undefined
  #trafficError: PagewireError | undefined
  #meter: Meter | undefined
  #current: Promise<void> = Promise.resolve()

  constructor(input: RunInput) {
    this.#input = input
  }

  /** The classes over time, once they were analysed. */
  get series(): RunSeries | undefined {
    return this.#measured.analysis?.series
  }

  reported(result: RunResult): ReportedRun {
    const { series } = this
    return { result, journal: this.#journal, ...(series === undefined ? {} : { series }) }
  }

  async carryOut(): Promise<RunResult> {
    const { cancel } = this.#input
    const steps = [
      () => this.#build(),
      () => this.#startCapturesAndAgents(),
      () => this.#warmUp(),
      () => this.#migrate(),
    ]
    for (const step of steps) {
      if (cancel.aborted) break
      await this.#step(step)
    }
    await this.#step(() => this.#drain())
    await this.#step(() => this.#analyse())
    return this.#result()
  }

  /** One step, remembered so that a tear-down can wait for it: it may be making something that must be taken away. */
  async #step(step: () => Promise<void>): Promise<void> {
    if (this.#input.abandon.aborted) throw abandonedError()
    const current = step()
    this.#current = current.catch(() => {})
    await current
  }

  /** Ends every process and takes the lab away. Every step is tried; the first failure is thrown at the end. */
  async tearDown(): Promise<void> {
    const steps = [
      () => this.#endAgents(),
      () => this.#current,
      () => this.#endAgents(),
      () => Promise.all([...this.#captures.values()].map((capture) => capture.stop())),
      () => this.#takeLabAway(),
    ]
    const failures: unknown[] = []
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  async #takeLabAway(): Promise<void> {
    const { lab } = this.#measured
    const { later } = this.#input
    if (lab === undefined) return
    if (later === undefined) await lab.down()
    else later(() => lab.down())
  }

  async #endAgents(): Promise<void> {
    this.#meter?.stop()
    await Promise.all([
      this.#pair?.end(),
      this.#traffic?.close(),
      this.#client?.end(),
      this.#meter?.ended.catch(() => {}),
    ])
  }

  async #build(): Promise<void> {
    const { scenario, directory, onPhase } = this.#input
    onPhase?.('building the lab')
    const swept = await sweep()
    for (const runId of swept) directory.event({ at_ns: 0, event: 'swept', run_id: runId })
    const dataplane = await resolveDataplane(dataplaneFor(scenario.link, scenario.dataplane), 'run')
    this.#measured.flood = await floodOutcome(dataplane, trafficAgent)
    this.#measured.lab = await labUp({
      runId: runIdOf(directory.path),
      link: scenario.link,
      marking: scenario.marking,
      dataplane,
      congestionControl: scenario.migration.congestionControl,
      offloads: false,
      ...(scenario.path === undefined ? {} : { path: scenario.path }),
      ...(scenario.client === undefined || scenario.client.move ? {} : { guest: scenario.client.port }),
    })
    if (scenario.client?.move) this.#move = await GuestMove.prepare(this.#lab())
  }

  /** Agents take as long to start as captures do; none of them says a word before all captures run. */
  async #startCapturesAndAgents(): Promise<void> {
    this.#input.onPhase?.('starting captures and agents')
    const listening = together([...this.#startCaptures(), this.#startPair(), this.#startMeter()])
    // TCP flows connect at once, and the guest tells everybody its address: captures must see it all.
    await together([listening, this.#startTraffic(listening), this.#startClient(listening)])
  }

  #startCaptures(): Promise<void>[] {
    const { directory, scenario, hooks } = this.#input
    return this.#lab().capturePoints.map(async ({ point, namespace, taps }) => {
      const capture = await startCapture({
        file: directory.captureFile(point),
        taps: taps.map((tap) => ({ ...tap, prefix: ['ip', 'netns', 'exec', namespace] })),
        snapLength: scenario.capture.snaplenBytes,
        bufferKib: hooks?.captureBufferKib ?? captureBufferKib(scenario.link.rateBps),
      })
      this.#captures.set(point, capture)
    })
  }

  async #startMeter(): Promise<void> {
    const { onInterval, directory } = this.#input
    if (onInterval === undefined) return
    const lab = this.#lab()
    this.#meter = await startMeter({
      inside: lab.inside('switch'),
      device: 'destination',
      intervalMs: meterIntervalMs,
      filter: `ether dst ${lab.mac('destination')}`,
      onInterval,
    })
    // A picture is lost then, and no figure.
    this.#meter.ended.catch((error) => directory.event({ event: 'meter-lost', message: messageOf(error) }))
  }

  async #startPair(): Promise<void> {
    const { scenario, directory } = this.#input
    const lab = this.#lab()
    this.#pair = await MigrationPair.start(scenario, {
      insideSource: lab.inside('source'),
      insideDestination: lab.inside('destination'),
      destinationAddress: lab.address('destination', 'migration'),
      pathAddresses: lab.pathAddresses('destination'),
      storage: { inside: lab.inside('neighbour'), address: lab.address('neighbour', 'migration') },
      logFile: (agent) => directory.logFile(agent),
      ...(scenario.client === undefined ? {} : { cards: guestCards(lab, scenario.client) }),
    })
    this.#measured.lanes = this.#pair.lanes
    if (this.#pair.storage !== undefined) this.#measured.storage = this.#pair.storage
  }

  async #startClient(listening: Promise<void>): Promise<void> {
    const { scenario, directory } = this.#input
    if (scenario.client === undefined) return
    const answering = listening.then(() => this.#pair?.answer())
    const log = directory.logFile('client')
    this.#client = await ClientView.start(this.#lab(), scenario.client, log, answering)
  }

  async #startTraffic(listening: Promise<void>): Promise<void> {
    const { scenario } = this.#input
    const lab = this.#lab()
    this.#traffic = await prepareCrossTraffic({
      streams: scenario.crossTraffic,
      hosts: trafficHosts(lab, scenario.link.mtuBytes),
      agent: trafficAgent,
      congestionControl: scenario.migration.congestionControl,
      onError: (error) => {
        this.#trafficError ??= error
        this.#pair?.cancel()
      },
      after: listening,
    })
    this.#measured.trafficPorts = this.#traffic.ports
  }

  async #warmUp(): Promise<void> {
    const { scenario, onPhase, cancel, abandon, mayBegin } = this.#input
    if (scenario.crossTraffic.length > 0) {
      onPhase?.('warming up')
      await this.#traffic?.start()
      await sleep(warmUpMs, cancel)
    }
    await Promise.race([mayBegin, aborted(cancel), aborted(abandon)])
  }

  async #migrate(): Promise<void> {
    const { hooks, directory, cancel, onPhase, onProgress, onJournal } = this.#input
    onPhase?.('migrating')
    const pair = this.#pair
    assert(pair !== undefined, 'the agents were started')
    const cancelled = (): void => pair.cancel()
    cancel.addEventListener('abort', cancelled, { once: true })
    this.#measured.beganUnixNs = unixNs(monotonicNs())
    try {
      this.#measured.pair = await pair.migrate({
        ...(hooks === undefined ? {} : { hooks }),
        onJournal: (entry) => {
          directory.event(entry)
          this.#journal.push(entry)
          if (entry.event === 'view' && entry.phase === 'postcopy') this.#move?.follow(this.#client)
          onJournal?.(entry)
        },
        ...(onProgress === undefined ? {} : { onProgress }),
      })
    } catch (error) {
      // The guest runs on at the source; what was captured tells why, and is kept with the result.
      if (!(error instanceof PagewireError)) throw error
      this.#measured.failedWith = error
    } finally {
      cancel.removeEventListener('abort', cancelled)
    }
    if (this.#trafficError !== undefined) throw this.#trafficError
    const source = this.#measured.pair?.source
    if (source === undefined) return
    this.#measured.windowUnixNs = [unixNs(source.beganNs), unixNs(source.endedNs)]
    this.#measured.beganUnixNs = this.#measured.windowUnixNs[0]
    const resumedNs = this.#measured.pair?.destination?.resumedNs
    if (resumedNs !== undefined && source.record.downtimeNs !== undefined) {
      this.#measured.handoverUnixNs = [unixNs(resumedNs - source.record.downtimeNs), unixNs(resumedNs)]
    }
  }

  /** While the cross-traffic still runs and the guest is still there: the questions that were on their way come back. */
  async #stopAsking(): Promise<void> {
    const { beganUnixNs, handoverUnixNs, pair } = this.#measured
    if (this.#client === undefined || beganUnixNs === undefined) return
    const switchedUnixNs = await this.#move?.switchedUnixNs
    if (switchedUnixNs !== undefined) this.#measured.switchedUnixNs = switchedUnixNs
    const where = handoverUnixNs !== undefined ? 'destination' : pair === undefined ? 'any' : 'source'
    this.#measured.client = await this.#client.finish(where, beganUnixNs)
  }

  async #stopTraffic(): Promise<void> {
    if (this.#measured.trafficPorts.length > 0 && this.#traffic !== undefined) {
      this.#measured.traffic = await this.#traffic.stop()
    }
    await this.#traffic?.close()
  }

  async #endPair(): Promise<void> {
    await this.#pair?.end()
  }

  async #endClient(): Promise<void> {
    await this.#client?.end()
  }

  /** Senders stop, the queue runs empty, then captures and counters are closed: so that both count the same frames. */
  async #drain(): Promise<void> {
    this.#input.onPhase?.('draining')
    await this.#stopAsking()
    await together([this.#stopTraffic(), this.#endPair(), this.#endClient()])
    this.#input.onQuiet?.()
    const { lab } = this.#measured
    if (lab === undefined) return
    const until = monotonicNs() + drainTimeoutMs * 1e6
    let queues = await lab.counters()
    while (queues.some((queue) => queue.backlogPackets > 0) && monotonicNs() < until) {
      await sleep(drainPollMs)
      queues = await lab.counters()
    }
    this.#meter?.stop()
    await together(
      [...this.#captures].map(async ([point, capture]) => {
        this.#measured.captures[point] = await capture.stop()
      }),
    )
    this.#measured.queues = await lab.counters()
    await this.#input.directory.write('tc.txt', await lab.queueDump())
  }

  async #analyse(): Promise<void> {
    const { captures, lab, windowUnixNs } = this.#measured
    if (lab === undefined || Object.keys(captures).length < lab.capturePoints.length) return
    this.#input.onPhase?.('analysing')
    const { directory, scenario } = this.#input
    const expectation: RunExpectation = {
      flows: this.#expectedFlows(lab),
      destinationMac: lab.mac('destination'),
      ...(scenario.client === undefined ? {} : { guestMac: guestCard.mac }),
      queues: this.#measured.queues,
      table: scenario.marking,
      ...(windowUnixNs === undefined ? {} : { windowUnixNs }),
    }
    // With it, `analyze RUN` gets the same figures from the captures again.
    await directory.write(join('captures', expectationFile), expectationText(expectation))
    this.#measured.analysis = await analyseRun({
      ...expectation,
      captures: {
        source: directory.captureFile('source'),
        'switch-in': directory.captureFile('switch-in'),
        'switch-out': directory.captureFile('switch-out'),
        destination: directory.captureFile('destination'),
      },
    })
  }

  #expectedFlows(lab: Lab): ExpectedFlow[] {
    const { scenario } = this.#input
    const { lanes, trafficPorts, pair } = this.#measured
    const migration = lanes.map((lane): ExpectedFlow => {
      const bytes = pair?.source.lanes.find(({ name }) => name === lane.name)
      const path = pathOf(lane.name, scenario.link.paths)
      return {
        role: `migration ${lane.name}`,
        protocol: 'tcp',
        serverAddress: lane.host ?? lab.address('destination', 'migration'),
        serverPort: lane.port,
        vlan: pathVlan(path),
        ...(path === 0 ? {} : { path }),
        dscp: lane.dscp,
        pcp: lane.pcp,
        ...(bytes === undefined
          ? {}
          : { applicationBytes: { clientToServer: bytes.bytesWritten, serverToClient: bytes.bytesRead } }),
      }
    })
    const serverAddress = lab.address('destination', 'tenants')
    const cross = trafficPorts.flatMap((port, i): ExpectedFlow[] => {
      const stream = scenario.crossTraffic[i]
      return stream === undefined ? [] : [crossFlow(stream, i, serverAddress, port)]
    })
    const client = scenario.client === undefined ? [] : clientFlows(scenario.client)
    return [...migration, ...this.#storageFlow(), ...cross, ...client]
  }

  /** The destination is the client of shared storage. */
  #storageFlow(): ExpectedFlow[] {
    const { storage } = this.#measured
    if (storage === undefined) return []
    const bytes = this.#measured.pair?.destination?.storage
    return [
      {
        role: 'migration storage',
        protocol: 'tcp',
        serverAddress: storage.host,
        serverPort: storage.lane.port,
        vlan: vlanIds.migration,
        dscp: storage.lane.dscp,
        pcp: storage.lane.pcp,
        ...(bytes === undefined
          ? {}
          : { applicationBytes: { clientToServer: bytes.bytesWritten, serverToClient: bytes.bytesRead } }),
      },
    ]
  }

  #result(): RunResult {
    const { scenario, directory, cancel } = this.#input
    const { pair, analysis, traffic, lab, failedWith } = this.#measured
    const record = pair?.source.record
    const outcome = cancel.aborted ? 'cancelled' : (record?.outcome ?? 'failed')
    const reason = cancel.aborted ? 'stopped by the user' : (record?.reason ?? failedWith?.message)
    return {
      schema: runSchema,
      origin: 'measured',
      outcome,
      ...(reason === undefined ? {} : { reason }),
      run_dir: directory.path,
      scenario: scenario.given,
      applied: lab === undefined ? null : this.#applied(lab),
      migration:
        pair === undefined || record === undefined
          ? null
          : migrationResult(record, {
              setupNs: pair.source.setupNs,
              verified: pair.source.verified,
              wireBytes: analysis === undefined ? null : laneBytes(analysis),
              ...(pair.destination?.storage === undefined ? {} : { storage: pair.destination.storage }),
            }),
      classes: analysis?.classes ?? [],
      marks: analysis?.marks ?? {
        frames_checked: 0,
        frames_wrong: 0,
        wrong_by_role: {},
        changes: [],
        examples: [],
      },
      cross_traffic: traffic?.rows ?? [],
      outage: this.#outage(),
      captures: this.#captureResults(),
      ledger: analysis?.ledger ?? null,
      fidelity: this.#fidelity(),
    }
  }

  #outage(): RunResult['outage'] {
    const { client, beganUnixNs, handoverUnixNs, analysis, switchedUnixNs } = this.#measured
    const asked = this.#input.scenario.client
    if (client === undefined || asked === undefined || beganUnixNs === undefined) return null
    const moved =
      this.#move === undefined || switchedUnixNs === undefined || client.newcomer === undefined
        ? undefined
        : { tunnel: this.#move.tunnel, switchedUnixNs, newcomer: client.newcomer }
    return outageResult({
      client: asked,
      report: client.report,
      ...(moved === undefined ? {} : { moved }),
      wire: analysis?.outage ?? null,
      beganUnixNs,
      ...(handoverUnixNs === undefined ? {} : { handoverUnixNs }),
    })
  }

  /** Both witnesses of an outage that ended, where there was a handover. */
  #handedOver(): FidelityInput['outage'] {
    const outage = this.#measured.handoverUnixNs === undefined ? null : this.#outage()
    const wire = outage?.wire
    if (outage === null || wire === null || wire === undefined || outage.open || wire.open) return undefined
    return { clientMs: outage.client_ms, wireMs: wire.gap_ms }
  }

  #applied(lab: Lab): object {
    const { scenario } = this.#input
    return {
      ...lab.applied,
      pagewire: version(),
      node: process.version,
      seed: scenario.seed,
      lanes: this.#measured.pair?.source.lanes ?? [],
      marking: scenario.marking,
    }
  }

  #captureResults(): CaptureResult[] {
    return Object.entries(this.#measured.captures).map(([point, summary]) => ({
      point,
      file: `captures/${basename(summary.file)}`,
      packets: summary.packets,
      dropped_by_kernel: summary.droppedByKernel,
    }))
  }

  #fidelity(): RunResult['fidelity'] {
    const { pair, analysis, traffic, captures, flood } = this.#measured
    if (pair === undefined || analysis === undefined || flood === undefined)
      return { valid: false, checks: [] }
    const { source } = pair
    const { scenario } = this.#input
    const guestSeconds = source.guestRunNs / 1e9
    const asked = askedRate(scenario, source.guestRunNs)
    const outage = this.#handedOver()
    const input: FidelityInput = {
      ...(outage === undefined ? {} : { outage }),
      flood,
      framesDroppedByCapture: sum(Object.values(captures).map((capture) => capture.droppedByKernel)),
      framesWrong: analysis.marks.frames_wrong,
      frameLedgerDifference: sum(analysis.ledger.frames.map(({ difference }) => Math.abs(difference))),
      byteLedgerDifference:
        source.record.outcome === 'completed'
          ? sum(analysis.ledger.flows.map(({ difference }) => Math.abs(difference)))
          : undefined,
      port: analysis.port,
      linkBps: scenario.link.rateBps,
      sourceCpuShare: source.cpuShare,
      sourceEventLoopDelayMs: source.eventLoopDelayP99Ns / 1e6,
      dirtyPagesPerSecond: {
        asked,
        achieved: writeRate(source.guestWrites, guestSeconds, asked),
      },
      traffic: (traffic?.rows ?? []).map((row, i) => ({
        name: `${i} ${row.kind}`,
        askedMbps: row.asked_mbps,
        offeredMbps: row.offered_mbps,
        droppedAtSocket: row.dropped_at_socket,
      })),
    }
    return fidelityOf(input)
  }

  #lab(): Lab {
    assert(this.#measured.lab !== undefined, 'the lab was built')
    return this.#measured.lab
  }
}

/** 64 MiB held 0.8 Gbit/s of MTU frames without a drop. The kernel clears and frees them in one go, and senders wait. */
function captureBufferKib(linkBps: number): number {
  return Math.ceil(Math.min(Math.max((65_536 * linkBps) / 0.8e9, 8192), 65_536))
}

/** Waits for all of them, so that none goes on making something when another has failed; then the first failure is thrown. */
async function together(parts: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(parts)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/** What the frames of a stream look like on the wire. */
function crossFlow(stream: CrossTrafficStream, index: number, address: string, port: number): ExpectedFlow {
  const { dscp, pcp } = stream.trafficClass
  const flow = { role: `cross-traffic ${index} ${stream.kind}`, vlan: vlanIds.tenants }
  switch (stream.kind) {
    case 'udp-cbr':
      return { ...flow, protocol: 'udp', serverAddress: address, serverPort: port, dscp, pcp }
    case 'tcp-bulk':
      return { ...flow, protocol: 'tcp', serverAddress: address, serverPort: port, dscp, pcp }
    case 'pcap': {
      const marks = stream.capture.pcpByDscp === undefined ? { dscp, pcp } : {}
      const serverAddress = replayAddress(address, index)
      return { ...flow, protocol: 'ip', serverAddress, serverPort: 0, ...marks }
    }
  }
}

/** Page writes per second of guest time; a trace's are its own over the very time that the guest ran. */
function askedRate({ guest: { workload } }: Scenario, guestNs: number): number {
  if (workload.trace === undefined || guestNs === 0) return workload.dirtyPagesPerSecond
  return (1e9 * tracedWrites(workload.trace, guestNs)) / guestNs
}

/** Writes per second. A guest that ran for milliseconds only cannot be nearer to `asked` than a whole write. */
function writeRate(writes: number, seconds: number, asked: number): number {
  if (Math.abs(writes - asked * seconds) < 1) return asked
  return seconds > 0 ? writes / seconds : 0
}

/** From the clock of the agents to that of the captures. */
function unixNs(monotonic: number): number {
  return (performance.timeOrigin + performance.now()) * 1e6 - monotonicNs() + monotonic
}

/** 1..12 characters that are the run's own: the lab's namespaces are called after them. */
function runIdOf(path: string): string {
  let hash = 0
  for (const character of `${path} ${process.pid}`)
    hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0
  return `r${hash.toString(36)}`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** Ends early when the signal is aborted. */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}
