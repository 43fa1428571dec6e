/** The guest's network in a run: its card on both hosts, the client that asks it, and its way to another network. */

import { fileURLToPath } from 'node:url'
import type { ClientJob } from '../agent/client/asker.js'
import type { NewcomerReport } from '../agent/client/newcomer.js'
import type { ClientReport } from '../agent/client/outage.js'
import type { ClientEvent, FinishHow } from '../agent/client/serve.js'
import type { ExpectedFlow } from '../analysis/run-flows.js'
import type { GuestCard } from '../capture/guest-card.js'
import { failure } from '../support/errors.js'
import { guestNetworksUp, switchTunnel } from '../topology/guest-networks.js'
import type { Lab } from '../topology/lab.js'
import { guestCard, guestNetworks, vlanIds } from '../topology/spec.js'
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
export function guestCards(lab: Lab, { trafficClass, move }: Client): NonNullable<PairHosts['cards']> {
  const argv = (host: keyof typeof answeringHosts): readonly string[] => {
    const { dscp, pcp } = trafficClass
    const { mac, port } = guestCard
    const place = move === undefined ? { ...guestCard, vlan: vlanIds.tenants } : { mac, port, ...addresses }
    const card: GuestCard = { ...place, dscp, pcp, host: answeringHosts[host] }
    const device = move === undefined ? lab.uplink : guestNetworks.device
    // cap ends its process by an abort when the interface goes away; nobody needs a core file of that.
    const contained = ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh']
    return [...contained, process.execPath, cardScript, device, JSON.stringify(card)]
  }
  return { source: argv('source'), destination: argv('destination') }
}

const addresses = { address: guestNetworks.oldAddress, newAddress: guestNetworks.newAddress }

/** What the frames of the guest's clients must look like on the wire. */
export function clientFlows({ trafficClass: { dscp, pcp }, port, move }: Client): readonly ExpectedFlow[] {
  const marks = { vlan: vlanIds.tenants, dscp, pcp }
  const asked = { ...marks, protocol: 'udp', serverPort: guestCard.port } as const
  const client: ExpectedFlow = {
    ...asked,
    role: 'client',
    serverAddress: oldAddress(move),
    roams: true,
    ...(port === 'own' ? { besidePort: true } : {}),
  }
  if (move === undefined) return [client]
  return [
    client,
    { ...asked, role: 'client by name', serverAddress: guestNetworks.newAddress },
    // What goes through the tunnel keeps its mark outside.
    { ...marks, role: 'tunnel', protocol: 'ip', serverAddress: guestNetworks.tunnelEnd, serverPort: 0 },
  ]
}

function oldAddress(move: Client['move']): string {
  return move === undefined ? guestCard.address : guestNetworks.oldAddress
}

/** The guest's way to another network: what is made beforehand, and what happens once it runs at the destination. */
export class GuestMove {
  readonly #lab: Lab
  readonly tunnel: string
  #followed: Promise<number> | undefined

  private constructor(lab: Lab, tunnel: string) {
    this.#lab = lab
    this.tunnel = tunnel
  }

  static async prepare(lab: Lab): Promise<GuestMove> {
    return new GuestMove(lab, await guestNetworksUp(lab))
  }

  /** The guest was handed over: its old address is sent after it, its name stands for the new one. */
  follow(client: ClientView | undefined): void {
    this.#followed ??= switchTunnel(this.#lab).then(() => {
      client?.guestMoved(guestNetworks.newAddress)
      return (performance.timeOrigin + performance.now()) * 1e6
    })
    // Whoever asks when it was hears of the failure.
    this.#followed.catch(() => {})
  }

  /** When the tunnel took over, ns since 1970; undefined when the guest stayed where it was. */
  get switchedUnixNs(): Promise<number> | undefined {
    return this.#followed
  }
}

/** What all clients of a guest saw. */
export interface ClientsReport {
  readonly report: ClientReport
  readonly newcomer?: NewcomerReport
}

/** The client as a process in its own host. `end` leaves nothing, whatever happened before. */
export class ClientView {
  readonly #agent: AgentProcess<ClientEvent>

  private constructor(agent: AgentProcess<ClientEvent>) {
    this.#agent = agent
  }

  /** Its process starts at once, and asks from `after` on; resolves when the guest answers. */
  static async start(
    lab: Lab,
    client: Client,
    logFile: string,
    after: Promise<unknown>,
  ): Promise<ClientView> {
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
      guest: { host: oldAddress(client.move), port: guestCard.port },
      ...(client.move === undefined ? {} : { nameTtlNs: client.move.nameTtlNs }),
      dscp: client.trafficClass.dscp,
      pcp: client.trafficClass.pcp,
      rate: client.rate,
    }
    try {
      await after
      view.#agent.send({ do: 'start', job })
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
  finish(host: keyof typeof answeringHosts | 'any', fromUnixNs: number): Promise<ClientsReport> {
    const how: FinishHow = {
      host: host === 'any' ? 0 : answeringHosts[host],
      mostMs: returnTimeoutMs,
      fromUnixNs,
    }
    this.#agent.send({ do: 'finish', how })
    return this.#next((event) => (event.event === 'client-report' ? event : undefined), reportTimeoutMs)
  }

  /** The guest's name stands for another address from now on. */
  guestMoved(address: string): void {
    this.#agent.send({ do: 'moved', address })
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
