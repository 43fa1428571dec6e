/**
 * Compares a lab as the kernel has it with what was asked, and counts what went through it. Changes nothing. What is
 * read is also what a run records as `applied`.
 */

import { release } from 'node:os'
import { pcpByDscp } from '../marking/traffic-class.js'
import { output } from './command.js'
import {
  type CountedQdisc,
  type HostState,
  type Qdisc,
  readBridgeVlans,
  readClasses,
  readFilters,
  readHost,
  readQdiscs,
  readStatistics,
  type TrafficClassState,
} from './kernel-state.js'
import {
  addressOf,
  cardsOf,
  classifierOf,
  guestTap,
  type HostName,
  hostDevice,
  hostileWords,
  hostNames,
  type LabSpec,
  macOf,
  namespaceOf,
  pathAddress,
  pathVlan,
  policedPcp,
  queueNames,
  queuesOf,
  shapersOf,
  type VlanName,
  vlanDevice,
  vlanIds,
} from './spec.js'

/** JSON-ready: goes into a result as it is. */
export interface AppliedLab {
  readonly dataplane: string
  readonly kernel: string
  readonly tools: Readonly<Record<string, string>>
  readonly link: {
    readonly rate_bps: number | null
    readonly discipline: string
    readonly queue_packets: number
    readonly mtu_bytes: number
    /** Parallel paths of that rate each. */
    readonly paths: number
    /** The flows of a queue take turns. */
    readonly per_flow: boolean
  }
  readonly pcp_by_dscp: readonly number[]
  /** What the switch was told to do wrong. */
  readonly hostile: readonly string[]
  readonly congestion_control: string
  /** Largest time in microseconds that a processor takes to leave an idle state; null: as the kernel likes. */
  readonly wake_latency_us: 0 | null
  readonly sysctls: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Per namespace and device. */
  readonly offloads: Readonly<Record<string, HostState['offloads']>>
  /** Of the congested port. */
  readonly qdiscs: readonly Qdisc[]
  readonly classes: readonly TrafficClassState[]
  readonly filters: readonly string[]
  /** What every host's card adds to the path: the options of netem. */
  readonly impairment: Readonly<Record<string, unknown>> | null
}

/** Counters of the congested port's queue of one PCP since the lab came up. */
export interface QueueCounters {
  /** The PCP whose frames it holds; `all` with `discipline: fifo`, where the kernel counts one queue for all. */
  readonly pcp: number | 'all'
  /** Frames that left the queue towards the destination. */
  readonly packets: number
  /** Bytes of those, tag and Ethernet header included, FCS not: what a capture of them adds up to. */
  readonly bytes: number
  readonly dropped: number
  readonly backlogPackets: number
  readonly backlogBytes: number
}

/** Both ends of a host's veth: what left one end must have arrived at the other. */
export interface BoundaryCounters {
  readonly host: HostName
  readonly hostSentPackets: number
  readonly hostDroppedPackets: number
  readonly portReceivedPackets: number
  readonly portDroppedPackets: number
  readonly portSentPackets: number
  readonly hostReceivedPackets: number
}

/** What is recorded of every namespace, where it has it. */
const recordedSysctls = [
  'net.ipv4.tcp_no_metrics_save',
  'net.ipv4.tcp_slow_start_after_idle',
  'net.ipv4.tcp_congestion_control',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
  'net.ipv4.tcp_ecn',
  'net.ipv4.tcp_sack',
  'net.ipv4.tcp_timestamps',
  'net.core.rmem_max',
  'net.core.wmem_max',
  'net.core.rmem_default',
  'net.core.wmem_default',
  'net.ipv6.conf.all.disable_ipv6',
  'net.bridge.bridge-nf-call-iptables',
  'net.bridge.bridge-nf-filter-vlan-tagged',
]

/** Notes a difference between what was asked and what the kernel has. */
type Expect = (place: string, asked: unknown, found: unknown) => void

export interface ReadBack {
  readonly applied: AppliedLab
  /** Every difference from what was asked, as sentences. */
  readonly differences: readonly string[]
  /** A card is down: the kernel says of one that was set up that it is so a moment later (linkwatch). */
  readonly isSettling: boolean
}

/** The lab as the kernel has it. */
export async function readBack(
  spec: LabSpec,
  wakeLatencyUs: AppliedLab['wake_latency_us'],
): Promise<ReadBack> {
  const differences: string[] = []
  const expect: Expect = (place, asked, found) => {
    if (asked !== found) differences.push(`${place}: asked ${asked}, found ${found}`)
  }
  const states = new Map<HostName | 'switch', HostState>()
  for (const host of hostNames) {
    const namespace = namespaceOf(spec.runId, host)
    const state = await readHost(namespace, cardsOf(spec.dataplane), recordedSysctls, hostFilterPlaces(spec))
    states.set(host, state)
    compareHost(spec, host, state, expect)
  }
  const switchState = await readHost(namespaceOf(spec.runId, 'switch'), hostNames, recordedSysctls, [])
  states.set('switch', switchState)
  await compareSwitch(spec, switchState, expect)
  for (const [name, state] of states) compareOffloads(spec, name, state, expect)
  const port = await readPort(spec)
  comparePort(spec, port, expect)
  const impairment = await readImpairment(spec, expect)
  return {
    applied: { ...(await record(spec, states, port, impairment)), wake_latency_us: wakeLatencyUs },
    differences,
    isSettling: [...states.values()].some(({ links }) => links.some((card) => card.operstate === 'DOWN')),
  }
}

async function record(
  spec: LabSpec,
  states: ReadonlyMap<string, HostState>,
  port: Port,
  impairment: AppliedLab['impairment'],
): Promise<Omit<AppliedLab, 'wake_latency_us'>> {
  const { rateBps, discipline, queuePackets, mtuBytes, paths = 1, perFlow = false } = spec.link
  const each = <T>(pick: (state: HostState) => T): Record<string, T> =>
    Object.fromEntries([...states].map(([name, state]) => [name, pick(state)] as const))
  return {
    dataplane: spec.dataplane,
    kernel: release(),
    tools: { iproute2: (await output(['tc', '-V'])).trim() },
    link: {
      rate_bps: rateBps,
      discipline,
      queue_packets: queuePackets,
      mtu_bytes: mtuBytes,
      paths,
      per_flow: perFlow,
    },
    pcp_by_dscp: [...pcpByDscp(spec.marking)],
    hostile: [...hostileWords(spec.path), ...(spec.path?.invert ? ['invert'] : [])],
    congestion_control: spec.congestionControl,
    sysctls: each((state) => state.sysctls),
    offloads: each((state) => state.offloads),
    ...port,
    impairment,
  }
}

function compareHost(spec: LabSpec, host: HostName, state: HostState, expect: Expect): void {
  for (const name of cardsOf(spec.dataplane)) {
    const card = state.links.find((entry) => entry.ifname === name)
    expect(`${host} ${name} mtu`, spec.link.mtuBytes, card?.mtu)
    expect(`${host} ${name} state`, 'UP', card?.operstate)
    expect(`${host} ${name} address`, macOf(host), card?.address)
  }
  expect(`${host} tcp_no_metrics_save`, '1', state.sysctls['net.ipv4.tcp_no_metrics_save'])
  for (const vlan of ['migration', 'tenants'] as const) compareVlan(spec, host, vlan, state, expect)
  for (let path = 1; path < (spec.link.paths ?? 1); path++) {
    const route = state.routes.find((entry) => entry.dst === `10.77.${pathVlan(path)}.0/24`)
    expect(`${host} route to ${pathAddress(host, path)}/24`, hostDevice, route?.dev)
    if (spec.congestionControl === 'default') continue
    expect(
      `${host} congestion control of path ${path}`,
      spec.congestionControl,
      route?.metrics?.[0]?.congestion,
    )
  }
  expect(`${host} marks frames by`, hostFilters(spec).join(', '), state.filters.join(', '))
}

function compareVlan(spec: LabSpec, host: HostName, vlan: VlanName, state: HostState, expect: Expect): void {
  const device = vlanDevice(spec.dataplane, vlan)
  const address = addressOf(host, vlan)
  const holder = state.links.find((entry) =>
    entry.addr_info.some((info) => info.local === address && info.prefixlen === 24),
  )
  expect(`${host} device of ${address}/24`, device, holder?.ifname)
  const route = state.routes.find((entry) => entry.dst === `10.77.${vlanIds[vlan]}.0/24`)
  expect(`${host} route device of ${vlan}`, device, route?.dev)
  if (spec.congestionControl !== 'default') {
    expect(`${host} congestion control of ${vlan}`, spec.congestionControl, route?.metrics?.[0]?.congestion)
  }
  for (const other of hostNames.filter((name) => name !== host)) {
    const found = state.neighbours.find((entry) => entry.dst === addressOf(other, vlan))
    expect(`${host} neighbour ${addressOf(other, vlan)}`, macOf(other), found?.lladdr)
  }
  if (spec.dataplane !== 'vlan') return
  const data = holder?.linkinfo?.info_data
  expect(`${host} ${device} VLAN`, vlanIds[vlan], data?.id)
  const map = new Map((data?.egress_qos ?? []).map(({ from, to }) => [from, to]))
  for (const [dscp, pcp] of pcpByDscp(spec.marking).entries()) {
    expect(`${host} ${device} PCP of DSCP ${dscp}`, pcp, map.get(dscp) ?? 0)
  }
}

function hostFilterPlaces(spec: LabSpec): readonly string[] {
  if (spec.dataplane === 'tc-bpf') return [`${hostDevice} egress`, `${hostDevice} ingress`]
  const vlans = Object.keys(vlanIds) as VlanName[]
  const places = vlans.map((vlan) => `${vlanDevice('vlan', vlan)} egress`)
  return spec.path?.strip ? [...places, `${hostDevice} ingress`] : places
}

function hostFilters(spec: LabSpec): readonly string[] {
  const strip = spec.path?.strip ?? false
  if (spec.dataplane === 'tc-bpf') return ['host_egress', strip ? 'host_ingress_any' : 'host_ingress']
  const vids = Object.values(vlanIds)
  return [...vids.map(() => 'inheritdsfield'), ...(strip ? vids.map((vid) => `push ${vid}`) : [])]
}

async function compareSwitch(spec: LabSpec, state: HostState, expect: Expect): Promise<void> {
  const namespace = namespaceOf(spec.runId, 'switch')
  expect('frames orphaned at the switch', '1', state.sysctls['net.bridge.bridge-nf-filter-vlan-tagged'])
  expect('bridge hooks at the switch', '1', state.sysctls['net.bridge.bridge-nf-call-iptables'])
  for (const host of hostNames) {
    const port = state.links.find((entry) => entry.ifname === host)
    expect(`switch port ${host} mtu`, spec.link.mtuBytes, port?.mtu)
    expect(`switch port ${host} state`, 'UP', port?.operstate)
    expect(`switch port ${host} bridge`, 'bridge', port?.master)
    const words = [
      ...(spec.guest && host === 'destination' ? [`copy to ${guestTap}`] : []),
      ...hostFiltersAtPort(spec),
    ].join(', ')
    if (words === '') continue
    expect(`switch port ${host} does`, words, (await readFilters(namespace, [`${host} egress`])).join(', '))
  }
  if (spec.dataplane !== 'vlan') return
  const bridge = state.links.find((entry) => entry.ifname === 'bridge')
  expect('the switch filters VLANs', 1, bridge?.linkinfo?.info_data?.vlan_filtering)
  const carried = await readBridgeVlans(namespace)
  for (const host of hostNames) {
    expect(`VLANs of switch port ${host}`, Object.values(vlanIds).join(), (carried[host] ?? []).join())
  }
}

/** What a hostile switch does at each port. */
function hostFiltersAtPort(spec: LabSpec): readonly string[] {
  const { bleach, remarkPcp, strip } = spec.path ?? {}
  const isBpf = spec.dataplane === 'tc-bpf'
  return [
    ...(bleach ? [isBpf ? 'port_bleach' : 'bleach'] : []),
    ...(remarkPcp === undefined
      ? []
      : isBpf
        ? [`port_remark_${remarkPcp}`]
        : Object.values(vlanIds).map(() => `remark ${remarkPcp}`)),
    ...(strip ? [isBpf ? 'port_strip' : 'strip'] : []),
  ]
}

function compareOffloads(spec: LabSpec, name: string, state: HostState, expect: Expect): void {
  for (const [device, features] of Object.entries(state.offloads)) {
    for (const [feature, active] of Object.entries(features)) {
      expect(`${name} ${device} ${feature}`, spec.offloads, active)
    }
  }
}

type Port = Pick<AppliedLab, 'qdiscs' | 'classes' | 'filters'>

async function readPort(spec: LabSpec): Promise<Port> {
  const namespace = namespaceOf(spec.runId, 'switch')
  if (spec.link.rateBps === null) return { qdiscs: [], classes: [], filters: [] }
  const qdiscs = await readQdiscs(namespace, 'destination')
  // HTB's own filters, or those of the eight bands below it.
  const parent = qdiscs.some((qdisc) => qdisc.handle === '2:') ? '2:' : '1:'
  return {
    qdiscs: qdiscs.map(({ kind, handle, parent, options }) => ({ kind, handle, parent, options })),
    classes: await readClasses(namespace, 'destination'),
    filters: await readFilters(namespace, [`destination parent ${parent}`]),
  }
}

function comparePort(spec: LabSpec, port: Port, expect: Expect): void {
  const { rateBps, queuePackets } = spec.link
  if (rateBps === null) return
  for (const classid of shapersOf(spec)) {
    const shaper = port.classes.find((entry) => entry.classid === classid)
    expect(`rate of ${classid}`, rateBps, rounded(shaper?.rate_bps, rateBps))
    expect(`ceiling of ${classid}`, rateBps, rounded(shaper?.ceil_bps, rateBps))
  }
  expect('root qdisc', 'htb', port.qdiscs.find((qdisc) => qdisc.parent === 'root')?.kind)
  for (const pcp of queuesOf(spec)) {
    const limit = pcp === policedPcp ? spec.path?.policeBps : undefined
    for (const name of queueNames(spec, pcp)) {
      const queue = port.qdiscs.find((qdisc) => qdisc.handle === `${name}:`)
      if (limit !== undefined) expect(`limit of queue ${name}`, limit, rounded(policedBps(queue), limit))
      else expect(`limit of queue ${name}`, queuePackets, queue?.options['limit'])
    }
  }
  if (spec.dataplane === 'tc-bpf') compareLeaves(spec, port, expect)
  else if (spec.link.discipline === 'fifo')
    expect('classifier at the congested port', '', port.filters.join())
  else compareBands(spec, port, expect)
}

/** Dataplane tc-bpf: a class of HTB for each queue, served by prio, by quantum, or both. */
function compareLeaves(spec: LabSpec, port: Port, expect: Expect): void {
  const isStrict = spec.link.discipline === 'strict'
  for (const [place, pcp] of queuesOf(spec).entries()) {
    for (const name of queueNames(spec, pcp)) {
      const leaf = port.classes.find((entry) => entry.classid === `1:${name}`)
      const guaranteed = pcp === 'all' ? undefined : spec.link.guarantees?.[pcp]
      if (guaranteed !== undefined)
        expect(`guarantee of queue ${name}`, guaranteed, rounded(leaf?.rate_bps, guaranteed))
      expect(`place of queue ${name} in the order of service`, isStrict ? place : 0, leaf?.prio)
      expect(`quantum of queue ${name}`, quantumOf(spec, pcp), leaf?.quantum_bytes)
    }
  }
  expect('classifier at the congested port', classifierOf(spec), port.filters.join())
}

/** Dataplane vlan: band 2:N is the Nth in order of service; the tag leads to it, and the PCP's queue hangs in it. */
function compareBands(spec: LabSpec, port: Port, expect: Expect): void {
  const bands = port.qdiscs.find((qdisc) => qdisc.handle === '2:')
  const isStrict = spec.link.discipline === 'strict'
  expect(
    'bands at the congested port',
    true,
    (isStrict ? ['prio'] : ['ets', 'drr']).includes(bands?.kind ?? ''),
  )
  const etsQuanta = Object.entries(bands?.options ?? {}).find(([name]) => name.trim() === 'quanta')?.[1]
  for (const [place, pcp] of queuesOf(spec).entries()) {
    const band = `2:${place + 1}`
    const queue = port.qdiscs.find((qdisc) => qdisc.handle === `${queueNames(spec, pcp)[0]}:`)
    expect(`band of PCP ${pcp}`, band, queue?.parent)
    expect(`band of tags with PCP ${pcp}`, true, port.filters.includes(`pcp ${pcp} to ${band}`))
    if (isStrict) continue
    const found = Array.isArray(etsQuanta)
      ? etsQuanta[place]
      : port.classes.find((entry) => entry.classid === band)?.quantum_bytes
    expect(`quantum of PCP ${pcp}`, quantumOf(spec, pcp), found)
  }
}

function quantumOf(spec: LabSpec, pcp: number | 'all'): number {
  const weight = pcp === 'all' ? 1 : (spec.link.weights?.[pcp] ?? 1)
  return weight * (spec.link.mtuBytes + 18)
}

/** tbf tells its rate in bytes per second. */
function policedBps(qdisc: Qdisc | undefined): number {
  const rate = qdisc?.options['rate']
  return qdisc?.kind === 'tbf' && typeof rate === 'number' ? rate * 8 : Number.NaN
}

async function readImpairment(spec: LabSpec, expect: Expect): Promise<AppliedLab['impairment']> {
  if (!spec.link.impairment) return null
  let options: AppliedLab['impairment'] = null
  for (const host of hostNames) {
    const qdiscs = await readQdiscs(namespaceOf(spec.runId, host), hostDevice)
    const netem = qdiscs.find((qdisc) => qdisc.kind === 'netem')
    expect(`${host} netem`, 'root', netem?.parent)
    const asked = (spec.link.impairment.delayNs ?? 0) / 1e9
    // The kernel counts in ticks of 64 ns.
    expect(`${host} delay`, true, Math.abs(delaySeconds(netem) - asked) < 2e-6)
    options = netem?.options ?? null
  }
  return options
}

function delaySeconds(netem: Qdisc | undefined): number {
  const delay = netem?.options['delay']
  if (typeof delay !== 'object' || delay === null || !('delay' in delay)) return 0
  return Number(delay.delay)
}

/** tc prints rates with few digits: what is within a thousandth counts as equal. */
function rounded(found: number | null | undefined, asked: number): number | null | undefined {
  return typeof found === 'number' && Math.abs(found - asked) <= asked / 1000 ? asked : found
}

/**
 * Counters of the congested port, one entry per PCP in order of service: over all paths, and over the flows that are
 * kept apart. None when the port is unshaped.
 */
export async function readCounters(spec: LabSpec): Promise<readonly QueueCounters[]> {
  const qdiscs = await readQdiscs(namespaceOf(spec.runId, 'switch'), 'destination')
  return queuesOf(spec).map((pcp) => {
    const queues = queueNames(spec, pcp).map((name) => {
      const queue = qdiscs.find((qdisc) => qdisc.handle === `${name}:`)
      if (!queue) throw new Error(`queue ${name} of PCP ${pcp} is gone from the congested port`)
      return queue
    })
    const sum = (count: (queue: CountedQdisc) => number): number =>
      queues.reduce((total, queue) => total + count(queue), 0)
    return {
      pcp,
      packets: sum(({ packets }) => packets),
      bytes: sum(({ bytes }) => bytes),
      dropped: sum(({ drops }) => drops),
      backlogPackets: sum(({ qlen }) => qlen),
      backlogBytes: sum(({ backlog }) => backlog),
    }
  })
}

/** The congested port in tc's own words. */
export async function readQueueDump(spec: LabSpec): Promise<string> {
  const questions = ['qdisc', 'class', 'filter'].map((object) => `${object} show dev destination`)
  const argv = ['tc', '-n', namespaceOf(spec.runId, 'switch'), '-s', '-d', '-batch', '-']
  return output(argv, questions.join('\n'))
}

/** Packet counters of every veth's two ends. */
export async function readBoundary(spec: LabSpec): Promise<readonly BoundaryCounters[]> {
  const ports = await readStatistics(namespaceOf(spec.runId, 'switch'))
  return Promise.all(
    hostNames.map(async (host) => {
      const uplink = (await readStatistics(namespaceOf(spec.runId, host))).get(hostDevice)
      const port = ports.get(host)
      if (!uplink || !port) throw new Error(`the veth of ${host} is gone`)
      return {
        host,
        hostSentPackets: uplink.tx.packets,
        hostDroppedPackets: uplink.tx.dropped,
        portReceivedPackets: port.rx.packets,
        portDroppedPackets: port.tx.dropped,
        portSentPackets: port.tx.packets,
        hostReceivedPackets: uplink.rx.packets,
      }
    }),
  )
}
