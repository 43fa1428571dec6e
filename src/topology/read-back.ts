/**
 * Reads a lab's state back from the kernel (ip -j, tc -j, sysctl, ethtool) and says where it differs from what was
 * asked. Changes nothing. The result is also what a run records as `applied`.
 */

import { release } from 'node:os'
import { pcpByDscp, pcpServiceOrder } from '../marking/traffic-class.js'
import { output } from './command.js'
import {
  addressOf,
  classIdOf,
  type HostName,
  hostDevice,
  hostNames,
  type LabSpec,
  macOf,
  namespaceOf,
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
  }
  readonly pcp_by_dscp: readonly number[]
  readonly congestion_control: string
  readonly sysctls: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly offloads: Readonly<Record<string, Readonly<Record<string, boolean>>>>
  readonly qdiscs: readonly Qdisc[]
  readonly classes: readonly HtbClass[]
  readonly filters: readonly string[]
}

export interface Qdisc {
  readonly kind: string
  readonly handle: string
  readonly parent: string
  readonly options: Readonly<Record<string, unknown>>
}

export interface HtbClass {
  readonly classid: string
  readonly rate_bps: number
  readonly ceil_bps: number
  /** Place in the order of service, 0 first; null at the inner class. */
  readonly prio: number | null
}

/** Counters of one queue of the congested port since the lab came up. */
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

/** What is recorded of every host, and of the switch where it has it. */
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

/** The kernel's names of what up.sh switches. */
const offloadNames = ['tcp-segmentation-offload', 'generic-segmentation-offload', 'generic-receive-offload']

/** The lab as the kernel has it, and every difference from what was asked, as sentences. */
export async function readBack(
  spec: LabSpec,
): Promise<{ applied: AppliedLab; differences: readonly string[] }> {
  const differences: string[] = []
  const expect = (place: string, asked: unknown, found: unknown): void => {
    if (asked !== found) differences.push(`${place}: asked ${asked}, found ${found}`)
  }
  const sysctls: Record<string, Record<string, string>> = {}
  const offloads: Record<string, Record<string, boolean>> = {}
  for (const host of hostNames) {
    sysctls[host] = await readSysctls(namespaceOf(spec.runId, host))
    offloads[host] = await readOffloads(namespaceOf(spec.runId, host), hostDevice)
    offloads[`switch ${host}`] = await readOffloads(namespaceOf(spec.runId, 'switch'), host)
    await compareHost(spec, host, expect)
    expect(`${host} tcp_no_metrics_save`, '1', sysctls[host]['net.ipv4.tcp_no_metrics_save'])
  }
  sysctls['switch'] = await readSysctls(namespaceOf(spec.runId, 'switch'))
  expect('frames orphaned at the switch', '1', sysctls['switch']['net.bridge.bridge-nf-filter-vlan-tagged'])
  expect('bridge hooks at the switch', '1', sysctls['switch']['net.bridge.bridge-nf-call-iptables'])
  for (const [place, features] of Object.entries(offloads)) {
    for (const [name, active] of Object.entries(features)) expect(`${place} ${name}`, spec.offloads, active)
  }
  await comparePorts(spec, expect)
  const port = await readPort(spec)
  comparePort(spec, port, expect)
  return {
    applied: {
      dataplane: spec.dataplane,
      kernel: release(),
      tools: { iproute2: (await output(['tc', '-V'])).trim() },
      link: {
        rate_bps: spec.link.rateBps,
        discipline: spec.link.discipline,
        queue_packets: spec.link.queuePackets,
        mtu_bytes: spec.link.mtuBytes,
      },
      pcp_by_dscp: [...pcpByDscp(spec.marking)],
      congestion_control: spec.congestionControl,
      sysctls,
      offloads,
      ...port,
    },
    differences,
  }
}

type Expect = (place: string, asked: unknown, found: unknown) => void

async function compareHost(spec: LabSpec, host: HostName, expect: Expect): Promise<void> {
  const namespace = namespaceOf(spec.runId, host)
  const links = decodeLinks(await output(['ip', '-n', namespace, '-j', 'address', 'show']))
  const uplink = links.find((entry) => entry.ifname === hostDevice)
  expect(`${host} uplink mtu`, spec.link.mtuBytes, uplink?.mtu)
  expect(`${host} uplink state`, 'UP', uplink?.operstate)
  expect(`${host} uplink address`, macOf(host), uplink?.address)
  const routes = decodeRoutes(await output(['ip', '-n', namespace, '-j', 'route', 'show']))
  const neighbours = decodeNeighbours(
    await output(['ip', '-n', namespace, '-j', 'neighbour', 'show', 'nud', 'permanent']),
  )
  for (const vlan of ['migration', 'tenants'] as const) {
    const device = vlanDevice(spec.dataplane, vlan)
    const address = addressOf(host, vlan)
    const holder = links.find((entry) =>
      entry.addr_info.some((info) => info.local === address && info.prefixlen === 24),
    )
    expect(`${host} device of ${address}/24`, device, holder?.ifname)
    const route = routes.find((entry) => entry.dst === `10.77.${vlanIds[vlan]}.0/24`)
    expect(`${host} route device of ${vlan}`, device, route?.dev)
    if (spec.congestionControl !== 'default') {
      expect(`${host} congestion control of ${vlan}`, spec.congestionControl, route?.metrics?.[0]?.congestion)
    }
    for (const other of hostNames.filter((name) => name !== host)) {
      const found = neighbours.find((entry) => entry.dst === addressOf(other, vlan))
      expect(`${host} neighbour ${addressOf(other, vlan)}`, macOf(other), found?.lladdr)
    }
  }
  for (const direction of ['egress', 'ingress']) {
    const filters = await readFilters(namespace, [hostDevice, direction])
    expect(`${host} ${direction} program`, `host_${direction}`, filters.join(' '))
  }
}

async function comparePorts(spec: LabSpec, expect: Expect): Promise<void> {
  const links = decodeLinks(
    await output(['ip', '-n', namespaceOf(spec.runId, 'switch'), '-j', 'address', 'show']),
  )
  for (const host of hostNames) {
    const port = links.find((entry) => entry.ifname === host)
    expect(`switch port ${host} mtu`, spec.link.mtuBytes, port?.mtu)
    expect(`switch port ${host} state`, 'UP', port?.operstate)
    expect(`switch port ${host} bridge`, 'bridge', port?.master)
  }
}

interface Port {
  readonly qdiscs: readonly Qdisc[]
  readonly classes: readonly HtbClass[]
  readonly filters: readonly string[]
}

async function readPort(spec: LabSpec): Promise<Port> {
  const namespace = namespaceOf(spec.runId, 'switch')
  const qdiscs = await readQdiscs(namespace, 'destination')
  const classes = parseHtbClasses(
    await output(['tc', '-n', namespace, 'class', 'show', 'dev', 'destination']),
  )
  return {
    qdiscs: qdiscs.map(({ kind, handle, parent, options }) => ({ kind, handle, parent, options })),
    classes,
    filters: spec.link.rateBps === null ? [] : await readFilters(namespace, ['destination']),
  }
}

/** The queues that the spec asks for, in order of service. */
function askedQueues(spec: LabSpec): readonly (number | 'all')[] {
  if (spec.link.rateBps === null) return []
  switch (spec.link.discipline) {
    case 'strict':
      return pcpServiceOrder
    case 'fifo':
      return ['all']
  }
}

function minorOf(pcp: number | 'all'): string {
  return classIdOf(pcp === 'all' ? 0 : pcp)
}

function comparePort(spec: LabSpec, port: Port, expect: Expect): void {
  const { rateBps, queuePackets } = spec.link
  const queues = askedQueues(spec)
  expect(
    'queues at the congested port',
    queues.length,
    port.qdiscs.filter((qdisc) => qdisc.kind === 'pfifo').length,
  )
  expect('classes at the congested port', queues.length === 0 ? 0 : queues.length + 1, port.classes.length)
  if (rateBps === null) return
  const shaper = port.classes.find((entry) => entry.classid === '1:1')
  expect('link rate', rateBps, rounded(shaper?.rate_bps, rateBps))
  expect('link ceiling', rateBps, rounded(shaper?.ceil_bps, rateBps))
  expect('root qdisc', 'htb', port.qdiscs.find((qdisc) => qdisc.parent === 'root')?.kind)
  for (const [place, pcp] of queues.entries()) {
    const leaf = port.classes.find((entry) => entry.classid === minorOf(pcp))
    expect(`place of PCP ${pcp} in the order of service`, place, leaf?.prio)
    const queue = port.qdiscs.find((qdisc) => qdisc.parent === minorOf(pcp))
    expect(`queue limit of PCP ${pcp}`, queuePackets, queue?.options['limit'])
  }
  expect('classifier at the congested port', queues.length > 1 ? 'by_pcp' : '', port.filters.join(' '))
}

/** tc prints rates with few digits: what is within a thousandth counts as equal. */
function rounded(found: number | undefined, asked: number): number | undefined {
  return found !== undefined && Math.abs(found - asked) <= asked / 1000 ? asked : found
}

/** Counters of the congested port, one entry per queue in order of service. None when the port is unshaped. */
export async function readCounters(spec: LabSpec): Promise<readonly QueueCounters[]> {
  const qdiscs = await readQdiscs(namespaceOf(spec.runId, 'switch'), 'destination')
  return askedQueues(spec).map((pcp) => {
    const queue = qdiscs.find((qdisc) => qdisc.parent === minorOf(pcp))
    if (!queue) throw new Error(`the queue of PCP ${pcp} is gone from the congested port`)
    return {
      pcp,
      packets: queue.packets,
      bytes: queue.bytes,
      dropped: queue.drops,
      backlogPackets: queue.qlen,
      backlogBytes: queue.backlog,
    }
  })
}

/** Packet counters of every veth's two ends. */
export async function readBoundary(spec: LabSpec): Promise<readonly BoundaryCounters[]> {
  const ports = decodeStatistics(
    await output(['ip', '-n', namespaceOf(spec.runId, 'switch'), '-j', '-s', 'link', 'show']),
  )
  return Promise.all(
    hostNames.map(async (host) => {
      const links = decodeStatistics(
        await output(['ip', '-n', namespaceOf(spec.runId, host), '-j', '-s', 'link', 'show']),
      )
      const uplink = links.find((entry) => entry.ifname === hostDevice)?.stats64
      const port = ports.find((entry) => entry.ifname === host)?.stats64
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

/** `class htb 1:11 parent 1:1 leaf 11: prio 7 quantum 1518 rate 8bit ceil 800Mbit ...`; tc 6.1 has no JSON for it. */
export function parseHtbClasses(text: string): readonly HtbClass[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('class htb '))
    .map((line) => ({
      classid: /^class htb (\S+)/.exec(line)?.[1] ?? '',
      rate_bps: rateOf(/ rate (\S+)/.exec(line)?.[1] ?? ''),
      ceil_bps: rateOf(/ ceil (\S+)/.exec(line)?.[1] ?? ''),
      prio: line.includes(' leaf ') ? Number(/ prio (\d+)/.exec(line)?.[1] ?? 0) : null,
    }))
}

/** Rates as tc prints them: decimal, `200Mbit`, `8bit`, `2Gbit`. */
function rateOf(text: string): number {
  const [, value, prefix = ''] = /^(\d+(?:\.\d+)?)([KMG]?)bit$/.exec(text) ?? []
  const factor = { '': 1, K: 1e3, M: 1e6, G: 1e9 }[prefix]
  return value === undefined || factor === undefined ? Number.NaN : Number(value) * factor
}

async function readSysctls(namespace: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  // -e: a name that this kernel or this namespace does not have is left out, and so is it in the record.
  const text = await output(['ip', 'netns', 'exec', namespace, 'sysctl', '-e', ...recordedSysctls])
  for (const line of text.split('\n')) {
    const at = line.indexOf(' = ')
    if (at > 0) found[line.slice(0, at)] = line.slice(at + 3).replaceAll('\t', ' ')
  }
  return found
}

async function readOffloads(namespace: string, device: string): Promise<Record<string, boolean>> {
  const text = await output(['ip', 'netns', 'exec', namespace, 'ethtool', '-k', device])
  return Object.fromEntries(
    offloadNames.map((name) => [name, new RegExp(`^${name}: on`, 'm').test(text)] as const),
  )
}

/** Names of what classifies: the section of each eBPF program. */
async function readFilters(namespace: string, place: readonly string[]): Promise<readonly string[]> {
  const text = await output(['tc', '-n', namespace, 'filter', 'show', 'dev', ...place])
  return [...text.matchAll(/:\[(\w+)\]/g)].map((match) => match[1] ?? '')
}

// Decoders of the tools' JSON. Each names only the fields that are read here.

interface QdiscEntry extends Qdisc {
  readonly bytes: number
  readonly packets: number
  readonly drops: number
  readonly backlog: number
  readonly qlen: number
}

async function readQdiscs(namespace: string, device: string): Promise<readonly QdiscEntry[]> {
  const text = await output(['tc', '-n', namespace, '-j', '-s', 'qdisc', 'show', 'dev', device])
  const entries = JSON.parse(text) as readonly (QdiscEntry & { readonly root?: boolean })[]
  return entries.map((entry) => ({ ...entry, parent: entry.root ? 'root' : entry.parent }))
}

interface LinkEntry {
  readonly ifname: string
  readonly mtu: number
  readonly operstate: string
  readonly address: string
  readonly master?: string
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[]
}

function decodeLinks(text: string): readonly LinkEntry[] {
  return JSON.parse(text) as readonly LinkEntry[]
}

interface RouteEntry {
  readonly dst: string
  readonly dev: string
  readonly metrics?: readonly { readonly congestion?: string }[]
}

function decodeRoutes(text: string): readonly RouteEntry[] {
  return JSON.parse(text) as readonly RouteEntry[]
}

function decodeNeighbours(text: string): readonly { readonly dst: string; readonly lladdr?: string }[] {
  return JSON.parse(text) as readonly { readonly dst: string; readonly lladdr?: string }[]
}

interface Direction {
  readonly packets: number
  readonly dropped: number
}

interface StatisticsEntry {
  readonly ifname: string
  readonly stats64: { readonly rx: Direction; readonly tx: Direction }
}

function decodeStatistics(text: string): readonly StatisticsEntry[] {
  return JSON.parse(text) as readonly StatisticsEntry[]
}
