/**
 * What the box must have, each with who needs it and how to get it: `doctor` prints it all, `run` the first that is
 * missing. Kernel features are tried for real, in a network namespace that has no name and ends with the probe.
 */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { release } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { environmentError } from '../support/errors.js'
import { oncePerBoot } from './boot-memory.js'
import type { DataplaneName } from './spec.js'

export type CheckKind = 'privilege' | 'tool' | 'kernel' | 'native-module' | 'file'

/** `lab`: no lab without it, or none of that dataplane. `run`: a lab, but no run in it. `option`: only some scenarios. */
type Scope = DataplaneName | 'lab' | 'run' | 'option'

export interface Requirement {
  readonly name: string
  readonly kind: CheckKind
  readonly scope: Scope
  /** Commands, and options of a scenario, that do not work without it. */
  readonly neededBy: readonly string[]
  /** How to get it, as sentences. */
  readonly how: string
}

export interface Check extends Requirement {
  readonly present: boolean
}

interface Tool extends Requirement {
  readonly debian: string
}

const kernelHow =
  'A kernel with its modules: Debian: apt-get install linux-image-amd64 (not the cloud kernel); Ubuntu: apt-get install linux-modules-extra-$(uname -r); Fedora: dnf install kernel-modules-extra.'

const labCommands = ['run', 'validate', 'compare', 'probe', 'lab']
const onVlan = labCommands.map((command) => `${command} (dataplane vlan)`)
const onBpf = labCommands.map((command) => `${command} (dataplane tc-bpf)`)

const tools: readonly Tool[] = [
  tool('ip', 'iproute2', 'iproute', 'lab', labCommands),
  tool('tc', 'iproute2', 'iproute-tc', 'lab', labCommands),
  tool('bridge', 'iproute2', 'iproute', 'lab', labCommands),
  tool('ethtool', 'ethtool', 'ethtool', 'lab', labCommands),
  tool('sysctl', 'procps', 'procps-ng', 'lab', labCommands),
  tool('tcpdump', 'tcpdump', 'tcpdump', 'run', ['run', 'validate', 'compare']),
  tool('unshare', 'util-linux', 'util-linux', 'option', ['doctor']),
  tool('clang', 'clang', 'clang', 'option', ['npm run setup', 'run with changed classes (dataplane tc-bpf)']),
]

/** Peers of the benchmark, and the guest kernel of the tests: no command of the program needs them. */
const developerTools: readonly Tool[] = [
  tool('iperf3', 'iperf3', 'iperf3', 'option', ['npm run bench']),
  tool('tshark', 'tshark', 'wireshark-cli', 'option', ['npm run bench']),
  tool('tcptrace', 'tcptrace', 'tcptrace', 'option', ['npm run bench']),
  tool('linux.uml', 'user-mode-linux', 'user-mode-linux', 'option', ['npm test (dataplane vlan)']),
]

/** Named as netns-scripts/doctor.sh names them. */
const features: readonly Requirement[] = [
  feature('veth', 'lab', labCommands),
  feature('bridge', 'lab', labCommands),
  feature('br_netfilter', 'lab', labCommands),
  feature('sch_htb', 'lab', labCommands),
  feature('sch_fifo', 'lab', labCommands),
  feature('clsact', 'lab', labCommands),
  feature('cls_bpf', 'tc-bpf', onBpf),
  feature('8021q', 'vlan', onVlan),
  feature('bridge vlan_filtering', 'vlan', onVlan),
  feature('sch_prio', 'vlan', onVlan),
  feature('cls_flower', 'vlan', onVlan),
  feature('cls_matchall and act_skbedit', 'vlan', onVlan),
  feature('sch_ets or sch_drr', 'option', ['link.discipline: ets (dataplane vlan)']),
  feature('sch_netem', 'option', ['link.delay, jitter, loss, reorder (dataplane vlan)']),
  feature('sch_tbf', 'option', ['path.police']),
  feature('act_pedit and act_csum', 'option', ['path.bleach (dataplane vlan)']),
  feature('cls_u32 and act_mirred', 'run', ['run', 'validate', 'compare']),
  feature('act_vlan', 'option', ['path.remark, path.strip (dataplane vlan)']),
]

const nativeModules: readonly Requirement[] = [
  native('koffi', 'run', ['run', 'validate', 'compare', 'probe', 'agent']),
  native('raw-socket', 'run', ['run with udp-cbr cross-traffic', 'validate', 'compare', 'probe']),
  native('cap', 'run', ['run', 'validate', 'compare', 'monitor', 'replay']),
]

function tool(name: string, debian: string, fedora: string, scope: Scope, neededBy: readonly string[]): Tool {
  const how = `Debian/Ubuntu: apt-get install ${debian}; Fedora: dnf install ${fedora}.`
  return { name, kind: 'tool', scope, neededBy, how, debian }
}

function feature(name: string, scope: Scope, neededBy: readonly string[]): Requirement {
  return { name, kind: 'kernel', scope, neededBy, how: kernelHow }
}

function native(name: string, scope: Scope, neededBy: readonly string[]): Requirement {
  const how = `npm ci, then npm rebuild --foreground-scripts ${name} (Debian/Ubuntu: apt-get install build-essential python3 libpcap-dev; Fedora: dnf install gcc-c++ make python3 libpcap-devel).`
  return { name, kind: 'native-module', scope, neededBy, how }
}

/** Debian packages of the tools that commands need, for set-up scripts and messages. */
export const debianPackages: readonly string[] = [...new Set(tools.map((entry) => entry.debian))]

export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

/** Whether a command of that name can be found; sbin is looked at even if PATH leaves it out. */
export function hasTool(name: string): boolean {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return places.some((place) => {
    try {
      accessSync(join(place, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** The error for a tool that is not there, naming the package. */
export function missingTool(name: string): Error {
  const known = tools.find((entry) => entry.name === name)
  return environmentError(`${name} is missing on this box`, {
    code: 'missing-tool',
    next: known?.how ?? `Install ${name}.`,
  })
}

/** Cheap checks before a lab is built: privilege and tools. Throws an environment error for the first that is absent. */
export function requireLab(alsoTools: readonly string[] = []): void {
  if (!isRoot()) {
    throw environmentError('network namespaces need root', {
      code: 'needs-root',
      next: 'Run the same command with sudo.',
    })
  }
  for (const name of ['ip', 'tc', 'bridge', 'ethtool', 'sysctl', ...alsoTools]) {
    if (!hasTool(name)) throw missingTool(name)
  }
}

/** Every check of this box. Takes about half a second; without root a user namespace stands in for it where allowed. */
export async function checkRequirements(): Promise<readonly Check[]> {
  return [
    rootCheck(),
    ...[...tools, ...developerTools].map(toolCheck),
    objectCheck(),
    ...(await Promise.all([kernelChecks(), moduleChecks()])).flat(),
  ]
}

function rootCheck(): Check {
  const how = 'Run the command with sudo.'
  return { name: 'root', kind: 'privilege', scope: 'lab', neededBy: labCommands, how, present: isRoot() }
}

function toolCheck({ debian: _, ...requirement }: Tool): Check {
  return { ...requirement, present: hasTool(requirement.name) }
}

/** The compiled dataplane; with clang at hand a lab compiles its own. */
function objectCheck(): Check {
  return {
    name: 'build/bpf/lab.o',
    kind: 'file',
    scope: 'tc-bpf',
    neededBy: onBpf,
    how: 'npm run setup compiles it (clang and libbpf-dev).',
    present: existsSync(builtObject) || hasTool('clang'),
  }
}

async function kernelChecks(): Promise<readonly Check[]> {
  const working = await workingFeatures()
  return features.map((requirement) => ({
    ...requirement,
    present: working?.has(requirement.name) ?? false,
    how: working ? requirement.how : 'It could not be tried: run sudo pagewire doctor.',
  }))
}

/** The kernel features that a lab on this dataplane needs and this kernel lacks. */
export async function missingFeatures(dataplane: DataplaneName): Promise<readonly Requirement[]> {
  return missingFor(await kernelChecks(), dataplane, 'lab')
}

/** Names of the features that work; undefined when no namespace to try them in can be made. */
function workingFeatures(): Promise<ReadonlySet<string> | undefined> {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
  const options = { timeout: 60_000, env: { ...process.env, PATH: path } }
  return new Promise((resolve) => {
    execFile(netnsScript('doctor.sh'), options, (error, stdout) => {
      const words = stdout.matchAll(/^yes (.+)$/gm)
      resolve(error === null ? new Set([...words].map((match) => match[1] ?? '')) : undefined)
    })
  })
}

/** Loaded in a process of their own: a module built for another Node may end the process that tries it. */
function moduleChecks(): Promise<readonly Check[]> {
  return Promise.all(
    nativeModules.map(async (requirement) => ({ ...requirement, present: await canLoad(requirement.name) })),
  )
}

function canLoad(name: string): Promise<boolean> {
  const argv = ['-e', `require(${JSON.stringify(name)})`]
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { cwd: projectRoot, timeout: 30_000 }, (error) =>
      resolve(error === null),
    )
  })
}

/** Those of the checks without which there is no lab, or no run, on this dataplane, and which fail. */
export function missingFor(
  checks: readonly Check[],
  dataplane: DataplaneName,
  purpose: 'lab' | 'run',
): readonly Check[] {
  const scopes: readonly Scope[] = [dataplane, 'lab', purpose]
  return checks.filter((check) => !check.present && scopes.includes(check.scope))
}

/**
 * The dataplane to use, `auto` resolved. Throws an environment error of one line when the box lacks something. Trying
 * every feature takes most of a second, and ten in a guest kernel, so a box that was found to have all is believed
 * until it is booted again, gets another kernel package, or the program is another one.
 */
export async function resolveDataplane(
  wanted: DataplaneName | 'auto',
  purpose: 'lab' | 'run',
): Promise<DataplaneName> {
  requireLab()
  const about = createHash('sha256')
    .update(JSON.stringify([projectRoot, process.version, process.env['PATH'], modulesChangedMs()]))
    .digest('hex')
    .slice(0, 12)
  return oncePerBoot(`${purpose}-on-${wanted}-${about}`, () => findDataplane(wanted, purpose))
}

/** When a package last changed the modules of the running kernel, Unix milliseconds; 0 where there are none. */
function modulesChangedMs(): number {
  return statSync(`/lib/modules/${release()}/modules.dep`, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

async function findDataplane(wanted: DataplaneName | 'auto', purpose: 'lab' | 'run'): Promise<DataplaneName> {
  const checks = await checkRequirements()
  const dataplane = wanted === 'auto' ? chooseDataplane(checks).dataplane : wanted
  const missing = missingFor(checks, dataplane, purpose)
  if (missing.length === 0) return dataplane
  const names = missing.map((check) => check.name).join(', ')
  throw environmentError(
    `this box cannot ${purpose === 'run' ? 'run a migration' : 'build a lab'} on dataplane ${dataplane}: missing ${names}`,
    {
      code: 'missing-requirement',
      next: `${missing[0]?.how} sudo pagewire doctor tells more.`,
    },
  )
}

/**
 * What `dataplane: auto` takes: `vlan` where the kernel has all of it, because it is what real hosts and switches use,
 * else `tc-bpf`. When neither is complete, the one that lacks less.
 */
export function chooseDataplane(checks: readonly Check[]): {
  readonly dataplane: DataplaneName
  readonly why: string
} {
  const lacks = (dataplane: DataplaneName): readonly string[] =>
    checks.filter((check) => !check.present && check.scope === dataplane).map((check) => check.name)
  const vlan = lacks('vlan')
  if (vlan.length === 0)
    return { dataplane: 'vlan', why: 'the kernel has VLAN devices and the qdiscs it needs' }
  const bpf = lacks('tc-bpf')
  const why = `dataplane vlan lacks ${vlan.join(', ')}`
  if (bpf.length <= vlan.length) return { dataplane: 'tc-bpf', why }
  return { dataplane: 'vlan', why: `dataplane tc-bpf lacks ${bpf.join(', ')}` }
}

/** build/src/topology/requirements.js is three levels below the root of the package, and so is the bundled program. */
const projectRoot = fileURLToPath(new URL('../../..', import.meta.url))

/** The dataplane as set-up compiles it, for the default marking table. */
export const builtObject = join(projectRoot, 'build', 'bpf', 'lab.o')

/** Where a script of the lab is. */
export function netnsScript(name: string): string {
  return join(projectRoot, 'netns-scripts', name)
}
