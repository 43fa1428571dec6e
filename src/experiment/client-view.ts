/** The guest's network in a run: its card on both hosts, and the client that asks it. */

import { fileURLToPath } from 'node:url'
import type { ClientJob } from '../agent/client/asker.js'
import type { ClientReport } from '../agent/client/outage.js'
import type { ClientEvent, FinishHow } from '../agent/client/serve.js'
import type { ExpectedFlow } from '../analysis/run-flows.js'
import type { GuestCard } from '../capture/guest-card.js'
import { failure } from '../support/errors.js'
import type { Lab } from '../topology/lab.js'
import { guestCard, vlanIds } from '../topology/spec.js'
import { AgentProcess } from './agent-process.js'
import type { PairHosts } from './migration-pair.js'
import type { Client } from './scenario.js'

/** What answers say of where the guest runs. */
export const answeringHosts = { source: 1, destination: 2 } as const

const cardScript = fileURLToPath(new URL('../capture/guest-card-child.js', import.meta.url))
const readyTimeoutMs = 20_000
/** The client waits this long for a guest that has moved, and stops its questions then. */
const returnTimeoutMs = 2000
const reportTimeoutMs = 10_000

/** The commands that are the guest's network card on each host. */
export function guestCards(lab: Lab, { trafficClass }: Client): NonNullable<PairHosts['cards']> {
  const argv = (host: keyof typeof answeringHosts): readonly string[] => {
    const { dscp, pcp } = trafficClass
    const card: GuestCard = { ...guestCard, vlan: vlanIds.tenants, dscp, pcp, host: answeringHosts[host] }
    // cap ends its process by an abort when the interface goes away; nobody needs a core file of that.
    const contained = ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh']
    return [...contained, process.execPath, cardScript, lab.uplink, JSON.stringify(card)]
  }
  return { source: argv('source'), destination: argv('destination') }
}

/** What the client's frames must look like on the wire. */
export function clientFlow({ trafficClass: { dscp, pcp }, port }: Client): ExpectedFlow {
  return {
    role: 'client',
    protocol: 'udp',
    serverAddress: guestCard.address,
    serverPort: guestCard.port,
    vlan: vlanIds.tenants,
    dscp,
    pcp,
    roams: true,
    ...(port === 'own' ? { besidePort: true } : {}),
  }
}

/** The client as a process in its own host. `end` leaves nothing, whatever happened before. */
export class ClientView {
  readonly #agent: AgentProcess<ClientEvent>

  private constructor(agent: AgentProcess<ClientEvent>) {
    this.#agent = agent
  }

  /** Starts to ask; resolves when the guest answers. */
  static async start(lab: Lab, client: Client, logFile: string): Promise<ClientView> {
    const view = new ClientView(
      new AgentProcess<ClientEvent>({
        name: 'client',
        inside: lab.inside('client'),
        args: ['agent', 'client'],
        logFile,
      }),
    )
    const job: ClientJob = {
      local: lab.address('client', 'tenants'),
      guest: { host: guestCard.address, port: guestCard.port },
      dscp: client.trafficClass.dscp,
      pcp: client.trafficClass.pcp,
      rate: client.rate,
    }
    view.#agent.send({ do: 'start', job })
    try {
      const answered = await view.#next(
        (event) => (event.event === 'asking' ? event.answered : undefined),
        readyTimeoutMs,
      )
      if (!answered) throw failure('the guest does not answer its client', { code: 'guest-silent' })
      return view
    } catch (error) {
      await view.end()
      throw error
    }
  }

  /** Stops the questions once the guest answers where it is now, and tells what happened since `fromUnixNs`. */
  finish(host: keyof typeof answeringHosts | 'any', fromUnixNs: number): Promise<ClientReport> {
    const how: FinishHow = {
      host: host === 'any' ? 0 : answeringHosts[host],
      mostMs: returnTimeoutMs,
      fromUnixNs,
    }
    this.#agent.send({ do: 'finish', how })
    return this.#next(
      (event) => (event.event === 'client-report' ? event.report : undefined),
      reportTimeoutMs,
    )
  }

  end(): Promise<void> {
    return this.#agent.end()
  }

  #next<T>(pick: (event: ClientEvent) => T | undefined, timeoutMs: number): Promise<T> {
    return this.#agent.next((event) => {
      if (event.event !== 'error') return pick(event)
      const { code, message, next } = event
      throw failure(`client: ${message}`, { code, ...(next === undefined ? {} : { next }) })
    }, timeoutMs)
  }
}
