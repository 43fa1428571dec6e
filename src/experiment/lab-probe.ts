/** Probes every class from the source to the destination of a lab: idle, then under the scenario's cross-traffic. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ProbeJob } from '../agent/probe/prober.js'
import type { ClassProbe } from '../agent/probe/statistics.js'
import { type CrossTrafficRow, prepareCrossTraffic } from '../agent/traffic/cross-traffic.js'
import type { TrafficClass } from '../marking/traffic-class.js'
import { failure, PagewireError } from '../support/errors.js'
import { type Lab, labUp, sweep } from '../topology/lab.js'
import { resolveDataplane } from '../topology/requirements.js'
import { dataplaneFor } from '../topology/spec.js'
import { AgentProcess, trafficAgent } from './agent-process.js'
import type { Scenario } from './scenario.js'
import { trafficHosts } from './traffic-hosts.js'

export interface LabProbeOptions {
  readonly scenario: Scenario
  readonly classes: readonly TrafficClass[]
  readonly intervalNs: number
  /** Of each phase. */
  readonly durationNs: number
  readonly onPhase: (what: string) => void
  /** Ends it with the phases that are complete. */
  readonly cancel: AbortSignal
}

export interface ProbePhase {
  readonly phase: 'idle' | 'load'
  readonly classes: readonly ClassProbe[]
  /** What ran beside it; empty when idle. */
  readonly cross_traffic: readonly CrossTrafficRow[]
}

/** How long the load runs before it is looked at: TCP has found its rate by then, and the queues are full. */
const warmUpMs = 1000
const agentAnswerMs = 15_000
/** Beyond its own duration a prober waits for late answers, and starts. */
const probeGraceMs = 15_000

/** What reflector and prober print. */
type Answer =
  | { readonly ready: { readonly port: number } }
  | { readonly classes: readonly ClassProbe[] }
  | { readonly error: { readonly code: string; readonly message: string; readonly next?: string } }

/** Builds a lab of its own and takes it away, whatever happens. Needs root. */
export async function probeLab(options: LabProbeOptions): Promise<readonly ProbePhase[]> {
  const { scenario, onPhase } = options
  onPhase('building the lab')
  await sweep()
  const lab = await labUp({
    runId: `p${process.pid.toString(36)}`,
    link: scenario.link,
    marking: scenario.marking,
    dataplane: await resolveDataplane(dataplaneFor(scenario.link, scenario.dataplane), 'lab'),
    congestionControl: scenario.migration.congestionControl,
    offloads: false,
    ...(scenario.path === undefined ? {} : { path: scenario.path }),
  })
  try {
    return await new LabProbe(lab, options).run()
  } finally {
    onPhase('taking the lab away')
    await lab.down()
  }
}

class LabProbe {
  readonly #lab: Lab
  readonly #options: LabProbeOptions
  readonly #cancelled: Promise<'cancelled'>

  constructor(lab: Lab, options: LabProbeOptions) {
    this.#lab = lab
    this.#options = options
    const { cancel } = options
    this.#cancelled = new Promise((resolve) => {
      if (cancel.aborted) resolve('cancelled')
      cancel.addEventListener('abort', () => resolve('cancelled'), { once: true })
    })
  }

  async run(): Promise<readonly ProbePhase[]> {
    const reflector = this.#agent('reflector', 'destination', [
      ...['agent', 'reflector', '--control', '--port', '0'],
      ...['--address', this.#lab.address('destination', 'migration')],
    ])
    try {
      const port = await this.#hear(
        reflector,
        (answer) => ('ready' in answer ? answer.ready.port : undefined),
        agentAnswerMs,
      )
      return port === 'cancelled' ? [] : await this.#phases(port)
    } finally {
      await reflector.end()
    }
  }

  async #phases(port: number): Promise<readonly ProbePhase[]> {
    const { scenario, onPhase } = this.#options
    onPhase('probing the idle lab')
    const idle = await this.#probe(port)
    if (idle === 'cancelled') return []
    const phases: ProbePhase[] = [{ phase: 'idle', classes: idle, cross_traffic: [] }]
    if (scenario.crossTraffic.length === 0) return phases
    onPhase('probing under load')
    const load = await this.#underLoad(port)
    return load === 'cancelled' ? phases : [...phases, load]
  }

  async #underLoad(port: number): Promise<ProbePhase | 'cancelled'> {
    const { scenario } = this.#options
    let broken: PagewireError | undefined
    const traffic = await prepareCrossTraffic({
      // Probing has no migration that starts and stops could refer to: every stream runs all the time.
      streams: scenario.crossTraffic.map(({ stopNs: _, ...stream }) => ({ ...stream, startNs: 0 })),
      hosts: trafficHosts(this.#lab, scenario.link.mtuBytes),
      agent: trafficAgent,
      congestionControl: scenario.migration.congestionControl,
      onError: (error) => {
        broken ??= error
      },
    })
    try {
      await traffic.start()
      const warm = await Promise.race([delay(warmUpMs), this.#cancelled])
      const classes = warm === 'cancelled' ? warm : await this.#probe(port)
      if (classes === 'cancelled') return classes
      const { rows } = await traffic.stop()
      if (broken) throw broken
      return { phase: 'load', classes, cross_traffic: rows }
    } finally {
      await traffic.close()
    }
  }

  async #probe(port: number): Promise<readonly ClassProbe[] | 'cancelled'> {
    const { classes, intervalNs, durationNs } = this.#options
    const prober = this.#agent('prober', 'source', ['probe', '--control'])
    const job: ProbeJob = {
      local: this.#lab.address('source', 'migration'),
      reflector: { host: this.#lab.address('destination', 'migration'), port },
      classes,
      intervalNs,
      durationNs,
    }
    try {
      prober.send(job)
      const result = (answer: Answer): readonly ClassProbe[] | undefined =>
        'classes' in answer ? answer.classes : undefined
      return await this.#hear(prober, result, durationNs / 1e6 + probeGraceMs)
    } finally {
      await prober.end()
    }
  }

  #agent(name: string, host: 'source' | 'destination', args: readonly string[]): AgentProcess<Answer> {
    return new AgentProcess({ name, inside: this.#lab.inside(host), args, logFile: this.#logFile(name) })
  }

  #logFile(name: string): string {
    return join(this.#lab.directory, `${name}.log`)
  }

  /** The log goes with the lab, so what it says goes into the error. */
  async #hear<T>(
    agent: AgentProcess<Answer>,
    pick: (answer: Answer) => T | undefined,
    timeoutMs: number,
  ): Promise<T | 'cancelled'> {
    const heard = agent.next((answer) => {
      if (!('error' in answer)) return pick(answer)
      const { code, message, next } = answer.error
      throw failure(message, { code, ...(next !== undefined && { next }) })
    }, timeoutMs)
    try {
      return await Promise.race([heard, this.#cancelled])
    } catch (error) {
      if (!(error instanceof PagewireError) || !['agent-lost', 'agent-silent'].includes(error.code))
        throw error
      const said = readFileSync(this.#logFile(agent.name), 'utf8').trim()
      throw failure(error.message, {
        code: error.code,
        next: said === '' ? 'It said nothing.' : `It said: ${said}`,
      })
    } finally {
      heard.catch(() => {})
    }
  }
}
