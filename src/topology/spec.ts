/**
 * What a lab is asked to be, and everything that follows from its name alone: namespaces, addresses, devices and the
 * arguments of netns-scripts/up.sh. Pure: it changes nothing and asks nobody. The scripts compute the same names;
 * reading back compares them.
 */

import { type MarkingTable, pcpServiceOrder } from '../marking/traffic-class.js'
import { usageError } from '../support/errors.js'

export type HostName = 'source' | 'destination' | 'neighbour' | 'client'
export type VlanName = 'migration' | 'tenants'
export type DataplaneName = 'tc-bpf'
/** `strict`: a queue per PCP, served in `pcpServiceOrder`. `fifo`: one queue for all, a switch without QoS. */
export type Discipline = 'strict' | 'fifo'

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
}

/** Throws a usage error for what no lab can be. */
export function checkSpec(spec: LabSpec): void {
  const { rateBps, queuePackets, mtuBytes } = spec.link
  require(/^[a-z0-9]{1,12}$/.test(spec.runId), `run id '${spec.runId}' is not 1 to 12 of a-z and 0-9`)
  require(rateBps === null ||
    (Number.isSafeInteger(rateBps) &&
      rateBps >= 1e6 &&
      rateBps <= 100e9), `link rate ${rateBps} is not between 1mbit and 100gbit`)
  require(Number.isInteger(queuePackets) &&
    queuePackets >= 1 &&
    queuePackets <= 1e6, `link queue ${queuePackets} is not between 1 and 1000000 packets`)
  require(Number.isInteger(mtuBytes) &&
    mtuBytes >= 576 &&
    mtuBytes <= 9000, `link mtu ${mtuBytes} is not between 576 and 9000 bytes`)
  require(/^[a-z0-9_]{1,15}$/.test(
    spec.congestionControl,
  ), `'${spec.congestionControl}' is not the name of a congestion control`)
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
  return `10.77.${vlanIds[vlan]}.${hostNames.indexOf(host) + 1}`
}

export function macOf(host: HostName): string {
  return `02:70:77:00:00:0${hostNames.indexOf(host) + 1}`
}

/** The host's only network card. Frames are captured here: it sees every tag in both directions. */
export const hostDevice = 'uplink'

/** The host's device that holds the address of a VLAN. */
export function vlanDevice(dataplane: DataplaneName, _vlan: VlanName): string {
  switch (dataplane) {
    case 'tc-bpf':
      return hostDevice
  }
}

/** Class id of a PCP's queue at the congested port; with one queue for all it is that of PCP 0. */
export function classIdOf(pcp: number): string {
  return `1:1${pcp}`
}

/** The arguments of netns-scripts/up.sh. `object` is the compiled eBPF dataplane. */
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
    `order=${pcpServiceOrder.join(' ')}`,
    `object=${object}`,
  ]
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

/**
 * `switch-in` is what the other ports bring for the congested port, `switch-out` what leaves it after the queue.
 * The filter sees the frame's first bytes, so it holds for tagged frames too.
 */
export function capturePointsOf(runId: string): readonly CapturePoint[] {
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
      taps: feeders.map((device) => ({ device, direction: 'in', filter: forDestination })),
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
