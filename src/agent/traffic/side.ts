/** All cross-traffic of one host: made, started, stopped and counted together. In this process; see remote.ts for others. */

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { monotonicNs } from '../clock.js'
import { milliseconds, type OnFlowError, round3, type TrafficFlow } from './flow.js'
import { PcapReceiver, PcapSender } from './pcap.js'
import type { FlowConfig, ProcessStats, StatsAnswer, TrafficConfig } from './protocol.js'
import { TcpBulkReceiver, TcpBulkSender } from './tcp-bulk.js'
import { UdpCbrReceiver, UdpCbrSender } from './udp-cbr.js'

/** A receiver waits until nothing came for so long, since a queue on the way may still hold packets. */
const quietNs = 100_000_000
const longestQuietWaitNs = 2_000_000_000

export interface TrafficSide {
  /** Ports of the receiving flows, by id. */
  readonly ports: Readonly<Record<string, number>>
  /** Starts the clock that `start_ms` and `stop_ms` count from. */
  start(): Promise<void>
  /** Stops all senders at once; what was counted can still be asked. */
  silence(): void
  /** Stops all senders at once, or lets receivers run dry, and returns what was counted. */
  stop(): Promise<StatsAnswer>
  /** Frees everything; stops what still runs. */
  close(): Promise<void>
}

/** Makes the flows of one host: receivers listen and senders are connected when it resolves. */
export async function startTraffic(config: TrafficConfig, onError: OnFlowError): Promise<TrafficSide> {
  const flows: TrafficFlow[] = []
  try {
    for (const flow of config.flows) flows.push(await makeFlow(config.role, flow, onError))
  } catch (error) {
    for (const flow of flows) await flow.close()
    throw error
  }
  return new LocalSide(flows)
}

async function makeFlow(
  role: TrafficConfig['role'],
  config: FlowConfig,
  onError: OnFlowError,
): Promise<TrafficFlow> {
  const receiving = role === 'receive'
  switch (config.kind) {
    case 'udp-cbr':
      return receiving
        ? new UdpCbrReceiver(config, streamOf(config), onError)
        : new UdpCbrSender(config, streamOf(config), onError)
    case 'tcp-bulk':
      return receiving
        ? await TcpBulkReceiver.listen(config, onError)
        : await TcpBulkSender.connect(config, onError)
    case 'pcap':
      return receiving ? await PcapReceiver.open(config, onError) : await PcapSender.open(config, onError)
  }
}

/** A number that both ends derive from the id, so that a stray datagram of another stream is not counted. */
function streamOf(config: FlowConfig): number {
  let hash = 0
  for (const char of config.id) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 65_536
  return hash
}

class LocalSide implements TrafficSide {
  readonly ports: Readonly<Record<string, number>>
  private readonly timers: NodeJS.Timeout[] = []
  private readonly delay: IntervalHistogram = monitorEventLoopDelay({ resolution: 10 })
  private startNs = monotonicNs()
  private startCpu = process.cpuUsage()

  constructor(private readonly flows: readonly TrafficFlow[]) {
    this.ports = Object.fromEntries(flows.map((flow) => [flow.config.id, flow.port]))
  }

  start(): Promise<void> {
    this.startNs = monotonicNs()
    this.startCpu = process.cpuUsage()
    this.delay.enable()
    for (const flow of this.flows) this.schedule(flow)
    return Promise.resolve()
  }

  silence(): void {
    this.cancelTimers()
    for (const flow of this.flows) flow.end()
  }

  async stop(): Promise<StatsAnswer> {
    this.silence()
    const own = this.processStats()
    await Promise.all(this.flows.map((flow) => flow.settled?.()))
    await this.untilQuiet()
    return { stats: this.flows.map((flow) => flow.stats()), process: own }
  }

  async close(): Promise<void> {
    this.cancelTimers()
    this.delay.disable()
    await Promise.all(this.flows.map((flow) => flow.close()))
  }

  private schedule(flow: TrafficFlow): void {
    const { start_ms: startMs = 0, stop_ms: stopMs } = flow.config
    if (startMs === 0) flow.begin()
    else this.timers.push(setTimeout(() => flow.begin(), startMs))
    if (stopMs !== undefined) this.timers.push(setTimeout(() => flow.end(), stopMs))
  }

  private cancelTimers(): void {
    for (const timer of this.timers) clearTimeout(timer)
  }

  private async untilQuiet(): Promise<void> {
    const limitNs = monotonicNs() + longestQuietWaitNs
    const receiving = this.flows.some((flow) => flow.lastArrivalNs() > 0)
    while (receiving && monotonicNs() < limitNs) {
      const lastNs = Math.max(...this.flows.map((flow) => flow.lastArrivalNs()))
      if (monotonicNs() - lastNs > quietNs) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  private processStats(): ProcessStats {
    const { user, system } = process.cpuUsage(this.startCpu)
    const elapsedNs = monotonicNs() - this.startNs
    const sampled = this.delay.count > 0
    return {
      // The histogram holds whole sleeps; what goes beyond the resolution is lateness.
      event_loop_delay_ms_p99: sampled
        ? Math.max(0, round3(milliseconds(this.delay.percentile(99)) - 10))
        : 0,
      cpu_ratio: elapsedNs > 0 ? round3(((user + system) * 1000) / elapsedNs) : 0,
    }
  }
}
