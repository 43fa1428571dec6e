/**
 * What the box must have for a lab: privilege, tools, kernel features, each with who needs it and how to get it.
 * `run` uses it for one line, `doctor` prints it all. Kernel features are tried in a throw-away network namespace
 * that has no name and dies with the probe.
 */

import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { environmentError } from '../support/errors.js'

export type CheckKind = 'privilege' | 'tool' | 'kernel'

export interface Requirement {
  readonly name: string
  readonly kind: CheckKind
  /** Commands that do not work without it. */
  readonly neededBy: readonly string[]
  /** How to get it, as a sentence. */
  readonly how: string
}

export interface Check extends Requirement {
  readonly present: boolean
}

interface Tool extends Requirement {
  readonly debian: string
}

/** Shell text that succeeds in a fresh namespace where the feature works; its device `v0` has the peer `v1`. */
interface KernelFeature extends Requirement {
  readonly probe: string
}

const lab = ['run', 'validate', 'compare', 'probe', 'lab']

const tools: readonly Tool[] = [
  tool('ip', 'iproute2', 'iproute', lab),
  tool('tc', 'iproute2', 'iproute-tc', lab),
  tool('bridge', 'iproute2', 'iproute', lab),
  tool('ethtool', 'ethtool', 'ethtool', lab),
  tool('sysctl', 'procps', 'procps-ng', lab),
  tool('tcpdump', 'tcpdump', 'tcpdump', ['run', 'validate', 'compare']),
  tool('clang', 'clang', 'clang', ['setup', 'run with changed classes']),
  tool('unshare', 'util-linux', 'util-linux', ['doctor']),
]

const features: readonly KernelFeature[] = [
  feature('veth', 'CONFIG_VETH', 'ip link show v1'),
  feature('bridge', 'CONFIG_BRIDGE', 'ip link add b0 type bridge'),
  feature(
    'br_netfilter',
    'CONFIG_BRIDGE_NETFILTER',
    '[ -d /proc/sys/net/bridge ] || modprobe -n br_netfilter',
  ),
  feature('sch_htb', 'CONFIG_NET_SCH_HTB', 'tc qdisc add dev v0 root htb'),
  feature('sch_fifo', 'CONFIG_NET_SCHED', 'tc qdisc add dev v0 root pfifo limit 1'),
  feature('clsact', 'CONFIG_NET_SCH_INGRESS', 'tc qdisc add dev v0 clsact'),
  feature(
    'cls_bpf',
    'CONFIG_NET_CLS_BPF and CONFIG_BPF_SYSCALL',
    "tc qdisc add dev v0 clsact && tc filter add dev v0 egress bpf bytecode '1,6 0 0 0,'",
  ),
]

function tool(name: string, debian: string, fedora: string, neededBy: readonly string[]): Tool {
  const how = `Debian/Ubuntu: apt-get install ${debian}; Fedora: dnf install ${fedora}.`
  return { name, kind: 'tool', neededBy, how, debian }
}

function feature(name: string, option: string, probe: string): KernelFeature {
  return {
    name,
    kind: 'kernel',
    neededBy: lab,
    how: `A kernel with ${option} (Debian, Ubuntu and Fedora have it).`,
    probe,
  }
}

/** Debian packages of all tools, for set-up scripts and messages. */
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

/** Every check, kernel features included when this process may probe them. Takes some tenths of a second. */
export async function checkRequirements(): Promise<readonly Check[]> {
  const root: Check = {
    name: 'root',
    kind: 'privilege',
    neededBy: lab,
    how: 'Run with sudo.',
    present: isRoot(),
  }
  const found = tools.map(({ name, kind, neededBy, how }) => ({
    name,
    kind,
    neededBy,
    how,
    present: hasTool(name),
  }))
  const kernel: Check[] = []
  for (const { name, kind, neededBy, how, probe } of features) {
    kernel.push({ name, kind, neededBy, how, present: await probeWorks(probe) })
  }
  return [root, ...found, ...kernel]
}

/** The kernel features that a lab needs and this kernel lacks. */
export async function missingFeatures(): Promise<readonly Requirement[]> {
  return (await checkRequirements()).filter((check) => check.kind === 'kernel' && !check.present)
}

function probeWorks(probe: string): Promise<boolean> {
  const script = `ip link add v0 type veth peer name v1 && { ${probe}; }`
  return new Promise((resolve) => {
    execFile('unshare', ['-n', 'sh', '-c', script], { timeout: 10_000 }, (error) => resolve(error === null))
  })
}
