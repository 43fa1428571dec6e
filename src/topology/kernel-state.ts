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
  /** What the filters at the places asked for do: see `readFilters`. */
  readonly filters: readonly string[]
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

/**
 * All questions to one namespace in one shell inside it: a process of the shell costs a fraction of one of this
 * program's, and reading back would else take longer than building. `places` are those of `readFilters`.
 */
export async function readHost(
  namespace: string,
  devices: readonly string[],
  sysctls: readonly string[],
  places: readonly string[],
): Promise<HostState> {
  const asked = [devices.join(' '), filterQuestions(places), ...sysctls]
  const argv = ['ip', 'netns', 'exec', namespace, 'sh', '-euc', questions, 'questions', ...asked]
  const [links = '', routes = '', neighbours = '', rest = ''] = splitLines(await output(argv), 3)
  const [settings = '', filters = ''] = rest.split(/^filters:\n/m)
  const [values = '', ...features] = settings.split(/^Features for /m)
  return {
    links: JSON.parse(links) as readonly Link[],
    routes: JSON.parse(routes) as readonly Route[],
    neighbours: JSON.parse(neighbours) as readonly Neighbour[],
    sysctls: parseSysctls(values),
    offloads: parseOffloads(features),
    filters: parseFilters(filters),
  }
}

// sysctl -e: a name that this kernel or this namespace does not have is left out, and so it is in the record.
const questions = `devices=$1 filters=$2
shift 2
ip -d -j -batch - <<END
address show
route show
neighbour show nud permanent
END
sysctl -e "$@"
for device in $devices; do ethtool -k "$device"; done
echo filters:
[ -z "$filters" ] || tc -batch - <<END
$filters
END`

/** The first `count` lines that are not empty, and all the rest. */
function splitLines(text: string, count: number): readonly string[] {
  const parts: string[] = []
  let at = 0
  while (parts.length < count && at < text.length) {
    const end = text.indexOf('\n', at)
    const line = text.slice(at, end === -1 ? text.length : end)
    at += line.length + 1
    if (line.trim() !== '') parts.push(line)
  }
  return [...parts, text.slice(at)]
}

function parseSysctls(text: string): Readonly<Record<string, string>> {
  const sysctls: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const at = line.indexOf(' = ')
    if (at > 0) sysctls[line.slice(0, at)] = line.slice(at + 3).replaceAll('\t', ' ')
  }
  return sysctls
}

function parseOffloads(texts: readonly string[]): HostState['offloads'] {
  const offloads: Record<string, Record<string, boolean>> = {}
  for (const text of texts) {
    const active = (name: string): boolean => new RegExp(`^${name}: on`, 'm').test(text)
    offloads[text.slice(0, text.indexOf(':'))] = Object.fromEntries(
      offloadNames.map((name) => [name, active(name)] as const),
    )
  }
  return offloads
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
 * `inheritdsfield`, `pcp 7 to 2:1`, `bleach`, `remark 3`, `strip`, `push 100`, `copy to guest`.
 */
export async function readFilters(namespace: string, places: readonly string[]): Promise<readonly string[]> {
  return parseFilters(await output(['tc', '-n', namespace, '-batch', '-'], filterQuestions(places)))
}

function filterQuestions(places: readonly string[]): string {
  return places.map((place) => `filter show dev ${place}`).join('\n')
}

export function parseFilters(text: string): readonly string[] {
  return [...text.matchAll(filterPattern)].map(({ groups = {} }) => {
    if (groups['section']) return groups['section']
    if (groups['pcp']) return `pcp ${groups['pcp']} to ${groups['classid']}`
    if (groups['remark']) return `remark ${groups['remark']}`
    if (groups['vid']) return `push ${groups['vid']}`
    if (groups['pedit']) return 'bleach'
    if (groups['copy']) return `copy to ${groups['copy']}`
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
    'mirred \\(Egress Mirror to device (?<copy>\\S+)\\)',
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
