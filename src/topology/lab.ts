/**
 * Builds labs, reads them back, takes them away, and sweeps what dead owners left. The only door to
 * netns-scripts/up.sh and down.sh for the rest of the program.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { defaultTable, type MarkingTable, pcpByDscp } from '../marking/traffic-class.js'
import { environmentError, failure, usageError } from '../support/errors.js'
import { type CommandOutcome, commandFailed, execute } from './command.js'
import { type AwakeProcessors, keepProcessorsAwake } from './idle-states.js'
import {
  bootId,
  claim,
  find,
  forget,
  listed,
  type Manifest,
  manifestDirectory,
  type OwnerState,
  stateOf,
  takeOver,
  thisProcess,
} from './manifest.js'
import {
  type AppliedLab,
  type BoundaryCounters,
  type QueueCounters,
  type ReadBack,
  readBack,
  readBoundary,
  readCounters,
  readQueueDump,
} from './read-back.js'
import { builtObject, missingFeatures, missingTool, netnsScript, requireLab } from './requirements.js'
import {
  addressOf,
  type CapturePoint,
  capturePointsOf,
  checkSpec,
  type HostName,
  hostDevice,
  type LabSpec,
  macOf,
  namespaceOf,
  namespacesOf,
  pathAddress,
  pathsOf,
  upArguments,
  type VlanName,
  vlanDevice,
} from './spec.js'

export type { AppliedLab, BoundaryCounters, QueueCounters } from './read-back.js'
export type {
  CaptureName,
  CapturePoint,
  DataplaneName,
  Discipline,
  HostilePath,
  HostName,
  Impairment,
  LabSpec,
  LinkSpec,
  Tap,
  VlanName,
} from './spec.js'

/** A lab that is up. */
export interface Lab {
  readonly spec: LabSpec
  namespace(host: HostName | 'switch'): string
  /** IPv4 address; the network is a /24. */
  address(host: HostName, vlan: VlanName): string
  /** The host's address on each parallel path; the first is that of the VLAN `migration`. */
  pathAddresses(host: HostName): readonly string[]
  mac(host: HostName): string
  /** Device that holds the address, for raw sockets and extra addresses. */
  device(vlan: VlanName): string
  /** The host's card, where tags can be seen: for captures and injection. */
  readonly uplink: string
  /** What to put before an argv to run it in a namespace. `ip netns exec` replaces itself: the pid is the command's. */
  inside(host: HostName | 'switch'): readonly string[]
  readonly capturePoints: readonly CapturePoint[]
  /** What the kernel said it applied, JSON-ready. */
  readonly applied: AppliedLab
  /** A directory of this lab's own, removed with it. */
  readonly directory: string
  /** Queues of the congested port, in order of service; empty when unshaped. */
  counters(): Promise<readonly QueueCounters[]>
  /** All that tc tells of the congested port, counters included: for people. */
  queueDump(): Promise<string>
  /** Both ends of each host's veth. */
  boundary(): Promise<readonly BoundaryCounters[]>
  /** Ends what runs in the namespaces and removes everything. Twice is fine. */
  down(): Promise<void>
}

export interface LabOptions {
  /** Leave the lab standing when this process ends; `labDown` takes it away. */
  readonly keep?: boolean
}

/** The kernel tells of links once a second at the latest. */
const settleLooks = 12
const settlePauseMs = 100

/**
 * Builds the lab that the spec asks for and reads it back; on any failure nothing stays. Throws an environment error
 * for a missing privilege, tool or kernel feature, a usage error for a run id that is in use.
 */
export async function labUp(spec: LabSpec, options: LabOptions = {}): Promise<Lab> {
  checkSpec(spec)
  requireLab()
  const manifest = await claimName(spec.runId, options.keep ?? false)
  // A lab that outlives this process cannot keep anything awake.
  const awake = options.keep ? undefined : keepProcessorsAwake()
  try {
    const object = spec.dataplane === 'tc-bpf' ? await dataplaneObject(spec, manifest.directory) : ''
    const argv = [netnsScript('up.sh'), ...upArguments(spec, object)]
    const outcome = await execute(argv)
    if (outcome.status !== 0) throw await upError(argv, outcome, spec)
    const { applied, differences } = await settled(() => readBack(spec, awake?.wakeLatencyUs ?? null))
    if (differences.length > 0) {
      throw failure(`the lab is not what was asked for: ${differences.join('; ')}`, {
        code: 'lab-differs',
        next: 'Another program may have changed it, or this kernel ignored a setting; see doctor.',
      })
    }
    return labOf(spec, manifest, applied, awake)
  } catch (error) {
    awake?.release()
    await takeAway(manifest)
    throw error
  }
}

/** Looks again while a card is down that may be about to come up. */
async function settled(look: () => Promise<ReadBack>): Promise<ReadBack> {
  for (let looks = 1; ; looks++) {
    const found = await look()
    if (found.differences.length === 0 || !found.isSettling || looks === settleLooks) return found
    await delay(settlePauseMs)
  }
}

/** Takes a listed lab away. False when there is none of that name. */
export async function labDown(runId: string): Promise<boolean> {
  requireLab()
  const manifest = await find(runId)
  if (!manifest) return false
  await takeAway(manifest)
  return true
}

/** Takes away what dead owners left, and nothing else. Returns the run ids. */
export async function sweep(): Promise<readonly string[]> {
  const swept: string[] = []
  for (const manifest of await listed()) {
    if ((await stateOf(manifest)) !== 'dead') continue
    requireLab()
    if (!(await takeOver(manifest))) continue
    await takeAway(manifest)
    swept.push(manifest.run_id)
  }
  return swept
}

export interface LabStatus {
  readonly run_id: string
  readonly owner: OwnerState
  readonly owner_pid: number | null
  readonly created: string
  /** Those of the lab's namespaces that exist. */
  readonly namespaces: readonly string[]
}

/** Every lab on the list. Needs no root. */
export async function labStatus(): Promise<readonly LabStatus[]> {
  return Promise.all(
    (await listed()).map(async (manifest) => ({
      run_id: manifest.run_id,
      owner: await stateOf(manifest),
      owner_pid: manifest.owner?.pid ?? null,
      created: manifest.created,
      namespaces: namespacesOf(manifest.run_id).filter(namespaceExists),
    })),
  )
}

function labOf(
  spec: LabSpec,
  manifest: Manifest,
  applied: AppliedLab,
  awake: AwakeProcessors | undefined,
): Lab {
  return {
    spec,
    namespace: (host) => namespaceOf(spec.runId, host),
    address: addressOf,
    pathAddresses: (host) => pathsOf(spec.link).map((path) => pathAddress(host, path)),
    mac: macOf,
    device: (vlan) => vlanDevice(spec.dataplane, vlan),
    uplink: hostDevice,
    inside: (host) => ['ip', 'netns', 'exec', namespaceOf(spec.runId, host)],
    capturePoints: capturePointsOf(spec.runId, spec.guest !== undefined),
    applied,
    directory: manifest.directory,
    counters: () => readCounters(spec),
    queueDump: () => readQueueDump(spec),
    boundary: () => readBoundary(spec),
    down: () => {
      awake?.release()
      return takeAway(manifest)
    },
  }
}

/** Lists the lab under its name before anything of it exists. A dead owner's lab of the same name makes way. */
async function claimName(runId: string, keep: boolean): Promise<Manifest> {
  const manifest: Manifest = {
    schema: 'pagewire.lab/1',
    run_id: runId,
    owner: keep ? null : await thisProcess(),
    boot_id: await bootId(),
    created: new Date().toISOString(),
    namespaces: namespacesOf(runId),
    directory: join(manifestDirectory, runId),
  }
  const old = await find(runId)
  if (old && (await stateOf(old)) === 'dead' && (await takeOver(old))) await takeAway(old)
  if (namespacesOf(runId).some(namespaceExists) || !(await claim(manifest))) {
    throw usageError(`a lab '${runId}' is up already`, {
      code: 'lab-exists',
      next: `Take another name, or remove it with: netns-scripts/down.sh ${runId}`,
    })
  }
  return manifest
}

async function takeAway(manifest: Manifest): Promise<void> {
  const argv = [netnsScript('down.sh'), manifest.run_id]
  const outcome = await execute(argv)
  if (outcome.status !== 0) throw commandFailed(argv, outcome)
  await forget(manifest)
}

/** The compiled dataplane: the default one of the build, or one of the lab's own when the marking table differs. */
async function dataplaneObject(spec: LabSpec, directory: string): Promise<string> {
  if (existsSync(builtObject) && sameMarks(spec.marking, defaultTable)) return builtObject
  requireLab(['clang'])
  const own = join(directory, 'lab.o')
  const argv = [netnsScript('compile-bpf.sh'), own, ...[...pcpByDscp(spec.marking)].map(String)]
  const outcome = await execute(argv)
  if (outcome.status === 0) return own
  if (outcome.status === 3) throw missingTool('clang')
  throw commandFailed(argv, outcome)
}

function sameMarks(a: MarkingTable, b: MarkingTable): boolean {
  return pcpByDscp(a).join() === pcpByDscp(b).join()
}

/** Why up.sh failed: something that it found missing, a feature that this kernel lacks, or the command's own words. */
async function upError(argv: readonly string[], outcome: CommandOutcome, spec: LabSpec): Promise<Error> {
  const words = outcome.stderr.trim()
  if (outcome.status === 3) return environmentError(words, { code: 'lab-environment' })
  const missing = await missingFeatures(spec.dataplane)
  if (missing.length === 0) return commandFailed(argv, outcome)
  const names = missing.map((entry) => entry.name).join(', ')
  return environmentError(`this kernel lacks what dataplane ${spec.dataplane} needs: ${names}`, {
    code: 'missing-feature',
    next: `${missing[0]?.how} pagewire doctor tells more. The lab said: ${words}`,
  })
}

function namespaceExists(name: string): boolean {
  return existsSync(join('/run/netns', name))
}
