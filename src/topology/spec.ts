/**
 * What a lab is asked to be, and everything that follows from its name alone: namespaces, addresses, devices and the
 * arguments of netns-scripts/up.sh. Pure: it changes nothing and asks nobody. The scripts compute the same names;
 * reading back compares them.
 */

import { type MarkingTable, pcpByDscp, pcpServiceOrder } from '../marking/traffic-class.js'
import { environmentError, usageError } from '../support/errors.js'

export type HostName = 'source' | 'destination' | 'neighbour' | 'client'
export type VlanName = 'migration' | 'tenants'
/** `vlan`: VLAN devices and the kernel's own qdiscs. `tc-bpf`: the same frames by an eBPF object. */
export type DataplaneName = 'vlan' | 'tc-bpf'
/**
 * `strict`: a queue per PCP, served in `pcpServiceOrder`. `ets`: the same queues share by weight. `fifo`: one queue for
 * all, a switch without QoS.
 */
export type Discipline = 'strict' | 'ets' | 'fifo'

export const hostNames: readonly HostName[] = ['source', 'destination', 'neighbour', 'client']
export const vlanIds: Readonly<Record<VlanName, number>> = { migration: 100, tenants: 200 }

export interface LinkSpec {
  /** Bits per second of whole frames, tag and FCS-less Ethernet header included; null leaves the port unshaped. */
  readonly rateBps: number | null
  readonly discipline: Discipline
  /** Packets that each queue of the congested port holds. */
  readonly queuePackets: number
  /** Bytes of IP packet, 576..9000. */
  readonly mtuBytes: number
  /** With `ets`: share of each PCP's queue, 1..1000; 1 for a PCP that is not named. */
  readonly weights?: Readonly<Record<number, number>>
  /** What the path adds, in each direction once. Dataplane `vlan` only. */
  readonly impairment?: Impairment
  /** Parallel paths to the destination of this rate each, 1 to 8, 1 when absent. More than one: `tc-bpf` only. */
  readonly paths?: number
  /** With `strict`: bits per second that the port keeps for a PCP's queue, whatever the order. `tc-bpf` only. */
  readonly guarantees?: Readonly<Record<number, number>>
  /** Flows of one queue take turns of one frame, in place of the order of arrival. `tc-bpf` only. */
  readonly perFlow?: boolean
}

/** Flows that a queue of the congested port keeps apart with `perFlow`; further ones share their places. */
const flowQueues = 16
const mostPaths = 8

/** netem at every host's card, on what it sends. */
export interface Impairment {
  readonly delayNs?: number
  /** Spread of the delay; needs one. */
  readonly jitterNs?: number
  /** 0..1 of the frames. */
  readonly lossRatio?: number
  /** 0..1 of the frames leave at once and overtake the delayed ones; needs a delay. */
  readonly reorderRatio?: number
}

/** What a hostile switch does to frames as they leave it, towards every host. */
export interface HostilePath {
  /** Clears the DSCP. */
  readonly bleach?: boolean
  /** Rewrites every PCP to this one, 0..7. */
  readonly remarkPcp?: number
  /** Takes the tag off; the hosts then take an untagged frame for its address's VLAN. */
  readonly strip?: boolean
  /** Limits the class that is served first to this many bits per second; what exceeds it is lost in its queue. */
  readonly policeBps?: number
  /** Serves the queues in the opposite order; with `police`, the limit stays with the highest PCP. */
  readonly invert?: boolean
}

export interface LabSpec {
  /** 1..12 of a-z and 0-9; the namespaces are pw-<runId>-source and so on. */
  readonly runId: string
  readonly link: LinkSpec
  readonly marking: MarkingTable
  readonly dataplane: DataplaneName
  /** TCP congestion control of every route; `default` leaves what the kernel does by itself. */
  readonly congestionControl: string
  /** Segmentation and receive offloads. Only the unshaped benchmark turns them on: packets then are not packets. */
  readonly offloads: boolean
  readonly path?: HostilePath
  /**
   * A guest with an address of its own lives on the source or the destination; see `guestCard`. At the destination it
   * is reached through the congested port's queues, or beside them, as over a link of its own.
   */
  readonly guest?: 'congested' | 'own'
}

/** Throws a usage error for what no lab can be, an environment error for what this dataplane cannot. */
export function checkSpec(spec: LabSpec): void {
  const { rateBps, queuePackets, mtuBytes, discipline } = spec.link
  require(/^[a-z0-9]{1,12}$/.test(spec.runId), `run id '${spec.runId}' is not 1 to 12 of a-z and 0-9`)
  require(rateBps === null || isRate(rateBps), `link rate ${rateBps} is not between 1mbit and 100gbit`)
  require(inRange(queuePackets, 1, 1e6), `link queue ${queuePackets} is not between 1 and 1000000 packets`)
  require(inRange(mtuBytes, 576, 9000), `link mtu ${mtuBytes} is not between 576 and 9000 bytes`)
  require(/^[a-z0-9_]{1,15}$/.test(
    spec.congestionControl,
  ), `'${spec.congestionControl}' is not the name of a congestion control`)
  for (const [pcp, weight] of Object.entries(spec.link.weights ?? {})) {
    require(discipline === 'ets', 'weights need discipline ets')
    require(inRange(Number(pcp), 0, 7) &&
      inRange(weight, 1, 1000), `weight ${weight} of PCP ${pcp} is not 1 to 1000`)
  }
  checkImpairment(spec)
  checkPath(spec)
  checkParallel(spec)
}

/** The dataplane for a link: where none is named, that which alone has what the link asks for, if one does. */
export function dataplaneFor(link: LinkSpec, wanted: DataplaneName | 'auto'): DataplaneName | 'auto' {
  return wanted === 'auto' && needsTcBpf(link) ? 'tc-bpf' : wanted
}

function needsTcBpf({ paths = 1, perFlow = false, guarantees }: LinkSpec): boolean {
  return paths > 1 || perFlow || guarantees !== undefined
}

function checkParallel({ link, dataplane, path }: LabSpec): void {
  const { paths = 1, perFlow = false } = link
  require(inRange(paths, 1, mostPaths), `link paths ${paths} is not between 1 and ${mostPaths}`)
  if (!needsTcBpf(link)) return
  require(link.rateBps !== null, 'link paths, per_flow and guarantees need a link rate')
  require(!perFlow || link.discipline !== 'ets', 'link per_flow needs discipline strict or fifo')
  require(path?.policeBps === undefined, 'path police needs one path, and queues in the order of arrival')
  checkGuarantees(link)
  if (dataplane === 'tc-bpf') return
  throw environmentError('link paths, per_flow and guarantees need dataplane tc-bpf', {
    code: 'needs-tc-bpf-dataplane',
    next: 'Take them out of the scenario, or run it with dataplane: tc-bpf.',
  })
}

function checkGuarantees({ guarantees, discipline, perFlow, rateBps }: LinkSpec): void {
  if (guarantees === undefined) return
  require(discipline === 'strict' && !perFlow, 'link guarantees need discipline strict, without per_flow')
  let totalBps = 0
  for (const [pcp, bps] of Object.entries(guarantees)) {
    require(inRange(Number(pcp), 0, 7) && isRate(bps), `guarantee ${bps} of PCP ${pcp} is not 1mbit or more`)
    totalBps += bps
  }
  require(totalBps <= (rateBps ?? 0), `link guarantees of ${totalBps} bit/s are more than the link rate`)
}

function checkImpairment(spec: LabSpec): void {
  if (!spec.link.impairment) return
  const { delayNs = 0, jitterNs = 0, lossRatio = 0, reorderRatio = 0 } = spec.link.impairment
  require(inRange(delayNs, 0, 60e9), `link delay ${delayNs} ns is not between 0 and 60 s`)
  require(inRange(jitterNs, 0, delayNs), `link jitter ${jitterNs} ns is longer than the delay`)
  require(lossRatio >= 0 && lossRatio < 1, `link loss ${lossRatio} is not between 0 and 1`)
  require(reorderRatio >= 0 && reorderRatio < 1, `link reorder ${reorderRatio} is not between 0 and 1`)
  require(reorderRatio === 0 ||
    delayNs > 0, 'link reorder needs a delay that the overtaking frames do without')
  if (spec.dataplane === 'vlan') return
  throw environmentError(
    'link delay, jitter, loss and reorder need netem, which dataplane tc-bpf makes do without',
    {
      code: 'needs-vlan-dataplane',
      next: 'Take them out of the scenario, or run it on a kernel that has 8021q and netem, with dataplane: vlan.',
    },
  )
}

function checkPath(spec: LabSpec): void {
  const { remarkPcp, policeBps } = spec.path ?? {}
  require(remarkPcp === undefined ||
    inRange(remarkPcp, 0, 7), `path remark ${remarkPcp} is not a PCP (0 to 7)`)
  if (policeBps === undefined) return
  require(isRate(policeBps), `path police ${policeBps} is not between 1mbit and 100gbit`)
  require(spec.link.rateBps !== null &&
    spec.link.discipline !==
      'fifo', 'path police needs a queue of its class: a shaped link with discipline strict or ets')
}

function isRate(bps: number): boolean {
  return inRange(bps, 1e6, 100e9)
}

function inRange(value: number, low: number, high: number): boolean {
  return Number.isSafeInteger(value) && value >= low && value <= high
}

function require(condition: boolean, sentence: string): void {
  if (!condition) throw usageError(sentence, { code: 'bad-lab' })
}

export function namespaceOf(runId: string, host: HostName | 'switch'): string {
  return `pw-${runId}-${host}`
}

export function namespacesOf(runId: string): readonly string[] {
  return [...hostNames, 'switch' as const].map((name) => namespaceOf(runId, name))
}

/** 10.77.VID.host; labs are kept apart by their namespaces, so each uses the same addresses. */
export function addressOf(host: HostName, vlan: VlanName): string {
  return addressIn(host, vlanIds[vlan])
}

/** The VLAN of a parallel path, 0 for the first, which is that of everything else that migrates. */
export function pathVlan(path: number): number {
  return vlanIds.migration + path
}

/** The host's address on a parallel path. */
export function pathAddress(host: HostName, path: number): string {
  return addressIn(host, pathVlan(path))
}

function addressIn(host: HostName, vlan: number): string {
  return `10.77.${vlan}.${hostNames.indexOf(host) + 1}`
}

export function macOf(host: HostName): string {
  return `02:70:77:00:00:0${hostNames.indexOf(host) + 1}`
}

/** The guest's own network card, on whichever host runs it. */
export const guestCard = {
  mac: '02:70:77:00:01:00',
  address: `10.77.${vlanIds.tenants}.100`,
  port: 7,
} as const

/**
 * A guest that moves to another network: behind each host is one (netns-scripts/guest-networks.sh), and the tunnel
 * between the hosts has its ends on addresses of its own.
 */
export const guestNetworks = {
  /** The guest's address behind the source, and the one that it gets behind the destination. */
  oldAddress: '10.78.1.10',
  newAddress: '10.78.2.10',
  /** The guest's card on each host. */
  device: 'card',
  /** The destination's end of the tunnel. */
  tunnelEnd: '10.77.200.102',
} as const

/** The host's only network card. Frames are captured here: it sees every tag in both directions. */
export const hostDevice = 'uplink'

/** The host's device that holds the address of a VLAN. */
export function vlanDevice(dataplane: DataplaneName, vlan: VlanName): string {
  switch (dataplane) {
    case 'tc-bpf':
      return hostDevice
    case 'vlan':
      return `${hostDevice}.${vlanIds[vlan]}`
  }
}

/** Devices of a host that carry frames. */
export function cardsOf(dataplane: DataplaneName): readonly string[] {
  return [...new Set([hostDevice, vlanDevice(dataplane, 'migration'), vlanDevice(dataplane, 'tenants')])]
}

/** PCPs from the queue served first to the one served last. */
export function serviceOrder(spec: LabSpec): readonly number[] {
  return spec.path?.invert ? [...pcpServiceOrder].reverse() : pcpServiceOrder
}

/** Queues of the congested port in order of service; one for all without QoS, none when it is unshaped. */
export function queuesOf(spec: LabSpec): readonly (number | 'all')[] {
  if (spec.link.rateBps === null) return []
  return spec.link.discipline === 'fifo' ? ['all'] : serviceOrder(spec)
}

/**
 * What the queues of a PCP are called at the congested port, in hexadecimal: N is the qdisc `N:`, and with dataplane
 * `tc-bpf` the class `1:N`. The last two digits are 1 and the PCP, before them stand the path and the flow's place.
 */
export function queueNames({ link }: LabSpec, pcp: number | 'all'): readonly string[] {
  const low = 0x10 + (pcp === 'all' ? 0 : pcp)
  return pathsOf(link).flatMap((path) =>
    Array.from({ length: link.perFlow ? flowQueues : 1 }, (_, flow) =>
      ((flow << 12) | (path << 8) | low).toString(16),
    ),
  )
}

/** The class that shapes each path. */
export function shapersOf({ link }: LabSpec): readonly string[] {
  return pathsOf(link).map((path) => `1:${((path << 8) | 1).toString(16)}`)
}

/** The numbers of the parallel paths. */
export function pathsOf({ paths = 1 }: LinkSpec): readonly number[] {
  return Array.from({ length: paths }, (_, path) => path)
}

/** Who finds the class of a frame at the congested port with dataplane `tc-bpf`; nobody when there is one queue. */
export function classifierOf({ link }: LabSpec): string {
  if (link.discipline !== 'fifo') return link.perFlow ? 'by_pcp_and_flow' : 'by_pcp'
  if (link.perFlow) return 'by_flow'
  return (link.paths ?? 1) > 1 ? 'by_path' : ''
}

/** The PCP that `police` limits: the one served first on a switch that is not hostile. */
export const policedPcp = pcpServiceOrder[0] ?? 0

/** What the switch does wrong, in the words of up.sh. */
export function hostileWords(path: HostilePath = {}): readonly string[] {
  return [
    ...(path.bleach ? ['bleach'] : []),
    ...(path.remarkPcp === undefined ? [] : [`remark=${path.remarkPcp}`]),
    ...(path.strip ? ['strip'] : []),
    ...(path.policeBps === undefined ? [] : [`police=${policedPcp}:${path.policeBps}`]),
  ]
}

/** The arguments of netns-scripts/up.sh. `object` is the compiled eBPF dataplane; `vlan` takes the marks instead. */
export function upArguments(spec: LabSpec, object: string): readonly string[] {
  const { link } = spec
  return [
    spec.runId,
    `dataplane=${spec.dataplane}`,
    `rate=${link.rateBps ?? 'none'}`,
    `discipline=${link.discipline}`,
    `queue=${link.queuePackets}`,
    `mtu=${link.mtuBytes}`,
    `congestion=${spec.congestionControl}`,
    `offloads=${spec.offloads ? 'on' : 'off'}`,
    `order=${serviceOrder(spec).join(' ')}`,
    spec.dataplane === 'vlan' ? `marks=${pcpByDscp(spec.marking).join(' ')}` : `object=${object}`,
    ...optional('weights', pcpWords(link.weights)),
    ...optional('paths', (link.paths ?? 1) > 1 ? `${link.paths}` : ''),
    ...optional('guarantees', pcpWords(link.guarantees)),
    ...optional('flows', link.perFlow ? `${flowQueues}` : ''),
    ...impairmentArguments(link.impairment),
    ...optional('hostile', hostileWords(spec.path).join(' ')),
    ...optional('guest', spec.guest === undefined ? '' : guestCard.mac),
    ...optional('beside', spec.guest === 'own' ? guestCard.mac : ''),
  ]
}

/** `PCP:NUMBER`, of weights or guarantees. */
function pcpWords(numbers: Readonly<Record<number, number>> = {}): string {
  return Object.entries(numbers)
    .map(([pcp, number]) => `${pcp}:${number}`)
    .join(' ')
}

function impairmentArguments(impairment: Impairment = {}): readonly string[] {
  const { delayNs = 0, jitterNs = 0, lossRatio = 0, reorderRatio = 0 } = impairment
  const time = (ns: number): string => (ns > 0 ? `${ns / 1000}us` : '')
  const share = (ratio: number): string => (ratio > 0 ? `${ratio * 100}%` : '')
  return [
    ...optional('delay', time(delayNs)),
    ...optional('jitter', time(jitterNs)),
    ...optional('loss', share(lossRatio)),
    ...optional('reorder', share(reorderRatio)),
  ]
}

function optional(name: string, value: string): readonly string[] {
  return value === '' ? [] : [`${name}=${value}`]
}

export type CaptureName = 'source' | 'switch-in' | 'switch-out' | 'destination'

export interface Tap {
  readonly device: string
  readonly direction: 'in' | 'out' | 'inout'
  /** pcap filter, when not everything on the device belongs to the point. */
  readonly filter?: string
}

/** A place of the lab at which frames are captured; several taps are one stream, to be merged by time. */
export interface CapturePoint {
  readonly point: CaptureName
  readonly namespace: string
  readonly taps: readonly Tap[]
}

/** Takes a copy of what the switch hands to the congested port for the guest. */
export const guestTap = 'guest'

/**
 * `switch-in` is what the other ports bring for the congested port, `switch-out` what leaves it after the queue.
 * The filter sees the frame's first bytes, so it holds for tagged frames too. Frames for the guest tell by nothing
 * where they go: they are at `switch-in` once the switch has chosen the congested port for them.
 */
export function capturePointsOf(runId: string, guest = false): readonly CapturePoint[] {
  const forDestination = `ether dst ${macOf('destination')} or ether multicast`
  const feeders = hostNames.filter((host) => host !== 'destination')
  return [
    {
      point: 'source',
      namespace: namespaceOf(runId, 'source'),
      taps: [{ device: hostDevice, direction: 'inout' }],
    },
    {
      point: 'switch-in',
      namespace: namespaceOf(runId, 'switch'),
      taps: [
        ...feeders.map((device): Tap => ({ device, direction: 'in', filter: forDestination })),
        ...(guest ? [{ device: guestTap, direction: 'out' } as const] : []),
      ],
    },
    {
      point: 'switch-out',
      namespace: namespaceOf(runId, 'switch'),
      taps: [{ device: 'destination', direction: 'out' }],
    },
    {
      point: 'destination',
      namespace: namespaceOf(runId, 'destination'),
      taps: [{ device: hostDevice, direction: 'inout' }],
    },
  ]
}
