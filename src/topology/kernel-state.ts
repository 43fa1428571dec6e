/**
 * What ip, bridge, tc, sysctl and ethtool say of one namespace, decoded. Each type names only the fields that are read;
 * nothing here knows what a lab should be.
 */

import { output } from './command.js'

export interface HostState {
  readonly links: readonly Link[]
  readonly routes: readonly Route[]
  readonly neighbours: readonly Neighbour[]
  readonly sysctls: Readonly<Record<string, string>>
  /** Per device the features of `offloadNames`. */
  readonly offloads: Readonly<Record<string, Readonly<Record<string, boolean>>>>
}

export interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly operstate: string
  readonly address: string
  readonly master?: string
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[]
  readonly linkinfo?: { readonly info_data?: LinkData }
}

interface LinkData {
  /** VLAN devices. */
  readonly id?: number
  readonly egress_qos?: readonly { readonly from: number; readonly to: number }[]
  /** Bridges. */
  readonly vlan_filtering?: number
}

interface Route {
  readonly dst: string
  readonly dev: string
  readonly metrics?: readonly { readonly congestion?: string }[]
}

interface Neighbour {
  readonly dst: string
  readonly lladdr?: string
}

/** The kernel's names of what up.sh switches. */
const offloadNames = ['tcp-segmentation-offload', 'generic-segmentation-offload', 'generic-receive-offload']

/** Three processes per namespace: with one per question, reading back would take longer than building. */
export async function readHost(
  namespace: string,
  devices: readonly string[],
  sysctls: readonly string[],
): Promise<HostState> {
  const questions = ['address show', 'route show', 'neighbour show nud permanent']
  const answers = (await output(['ip', '-n', namespace, '-d', '-j', '-batch', '-'], questions.join('\n')))
    .split('\n')
    .filter((line) => line.trim() !== '')
  const [links, routes, neighbours] = answers.map((line) => JSON.parse(line) as unknown)
  return {
    links: links as readonly Link[],
    routes: routes as readonly Route[],
    neighbours: neighbours as readonly Neighbour[],
    ...(await readSettings(namespace, devices, sysctls)),
  }
}

async function readSettings(
  namespace: string,
  devices: readonly string[],
  names: readonly string[],
): Promise<Pick<HostState, 'sysctls' | 'offloads'>> {
  // sysctl -e: a name that this kernel or this namespace does not have is left out, and so it is in the record.
  const script = `devices=$1; shift; sysctl -e "$@"; for device in $devices; do ethtool -k "$device"; done`
  const argv = [
    'ip',
    'netns',
    'exec',
    namespace,
    'sh',
    '-euc',
    script,
    'settings',
    devices.join(' '),
    ...names,
  ]
  const [values = '', ...features] = (await output(argv)).split(/^Features for /m)
  const sysctls: Record<string, string> = {}
  for (const line of values.split('\n')) {
    const at = line.indexOf(' = ')
    if (at > 0) sysctls[line.slice(0, at)] = line.slice(at + 3).replaceAll('\t', ' ')
  }
  const offloads: Record<string, Record<string, boolean>> = {}
  for (const text of features) {
    const active = (name: string): boolean => new RegExp(`^${name}: on`, 'm').test(text)
    offloads[text.slice(0, text.indexOf(':'))] = Object.fromEntries(
      offloadNames.map((name) => [name, active(name)] as const),
    )
  }
  return { sysctls, offloads }
}

/** VLANs that each port of a bridge carries. */
export async function readBridgeVlans(
  namespace: string,
): Promise<Readonly<Record<string, readonly number[]>>> {
  interface Port {
    readonly ifname: string
    readonly vlans: readonly { readonly vlan: number }[]
  }
  const ports = JSON.parse(await output(['bridge', '-n', namespace, '-j', 'vlan', 'show'])) as readonly Port[]
  return Object.fromEntries(
    ports.map((port) => [port.ifname, port.vlans.map((entry) => entry.vlan)] as const),
  )
}

export interface Qdisc {
  readonly kind: string
  readonly handle: string
  /** `root` at the top. */
  readonly parent: string
  readonly options: Readonly<Record<string, unknown>>
}

export interface CountedQdisc extends Qdisc {
  readonly bytes: number
  readonly packets: number
  readonly drops: number
  readonly backlog: number
  readonly qlen: number
}

export async function readQdiscs(namespace: string, device: string): Promise<readonly CountedQdisc[]> {
  const text = await output(['tc', '-n', namespace, '-j', '-s', 'qdisc', 'show', 'dev', device])
  const entries = JSON.parse(text) as readonly (CountedQdisc & { readonly root?: boolean })[]
  return entries.map((entry) => ({ ...entry, parent: entry.root ? 'root' : entry.parent }))
}

/** A class of HTB, or of drr, which has a quantum and nothing else. */
export interface TrafficClassState {
  readonly kind: string
  readonly classid: string
  readonly rate_bps: number | null
  readonly ceil_bps: number | null
  /** Place in the order of service, 0 first; null where it has none. */
  readonly prio: number | null
  readonly quantum_bytes: number | null
}

export async function readClasses(namespace: string, device: string): Promise<readonly TrafficClassState[]> {
  return parseClasses(await output(['tc', '-n', namespace, '-d', 'class', 'show', 'dev', device]))
}

/** `class htb 1:11 parent 1:1 leaf 11: prio 7 quantum 1518 rate 8bit ceil 800Mbit ...`; tc 6.1 has no JSON for it. */
export function parseClasses(text: string): readonly TrafficClassState[] {
  return text
    .split('\n')
    .filter((line) => /^class (htb|drr) /.test(line))
    .map((line) => {
      const after = (word: string): string | undefined => new RegExp(` ${word} (\\S+)`).exec(line)?.[1]
      const number = (word: string): number | null => {
        const value = after(word)
        return value === undefined ? null : Number.parseFloat(value)
      }
      return {
        kind: line.split(' ')[1] ?? '',
        classid: line.split(' ')[2] ?? '',
        rate_bps: rateOf(after('rate')),
        ceil_bps: rateOf(after('ceil')),
        prio: number('prio'),
        quantum_bytes: number('quantum'),
      }
    })
}

/** Rates as tc prints them: decimal, `200Mbit`, `8bit`, `2Gbit`. */
function rateOf(text = ''): number | null {
  const [, value, prefix = ''] = /^(\d+(?:\.\d+)?)([KMG]?)bit$/.exec(text) ?? []
  const factor = { '': 1, K: 1e3, M: 1e6, G: 1e9 }[prefix]
  return value === undefined || factor === undefined ? null : Number(value) * factor
}

/**
 * What the filters at some places do, one word each, in the order of the places: the section of an eBPF program, or
 * `inheritdsfield`, `pcp 7 to 2:1`, `bleach`, `remark 3`, `strip`, `push 100`.
 */
export async function readFilters(namespace: string, places: readonly string[]): Promise<readonly string[]> {
  const questions = places.map((place) => `filter show dev ${place}`).join('\n')
  return parseFilters(await output(['tc', '-n', namespace, '-batch', '-'], questions))
}

export function parseFilters(text: string): readonly string[] {
  return [...text.matchAll(filterPattern)].map(({ groups = {} }) => {
    if (groups['section']) return groups['section']
    if (groups['pcp']) return `pcp ${groups['pcp']} to ${groups['classid']}`
    if (groups['remark']) return `remark ${groups['remark']}`
    if (groups['vid']) return `push ${groups['vid']}`
    if (groups['pedit']) return 'bleach'
    return groups['pop'] ? 'strip' : 'inheritdsfield'
  })
}

const filterPattern = new RegExp(
  [
    ':\\[(?<section>\\w+)\\]',
    'classid (?<classid>\\S+)\\s+vlan_prio (?<pcp>\\d)',
    'skbedit\\s+priority none inheritdsfield',
    '(?<pedit>pedit action)',
    'vlan\\s+modify id \\d+ protocol 802.1Q priority (?<remark>\\d)',
    'vlan\\s+(?<pop>pop)',
    'vlan\\s+push id (?<vid>\\d+)',
  ].join('|'),
  'g',
)

interface Direction {
  readonly packets: number
  readonly dropped: number
}

interface Statistics {
  readonly ifname: string
  readonly stats64: { readonly rx: Direction; readonly tx: Direction }
}

/** Packet counters of a namespace's devices, by name. */
export async function readStatistics(namespace: string): Promise<ReadonlyMap<string, Statistics['stats64']>> {
  const text = await output(['ip', '-n', namespace, '-j', '-s', 'link', 'show'])
  return new Map((JSON.parse(text) as readonly Statistics[]).map((entry) => [entry.ifname, entry.stats64]))
}
