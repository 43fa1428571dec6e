/**
 * A scenario: what to migrate, over which link, marked how, against what. From YAML to checked, converted, readonly
 * data. It knows no strategy and no kernel; whether this box can carry the scenario out is for the lab to say.
 */

import type { ReplayedCapture } from '../agent/traffic/cross-traffic.js'
import {
  bestEffortName,
  defaultTable,
  type MarkingTable,
  pcpByDscp,
  type TrafficClass,
  trafficClass,
  withOverrides,
} from '../marking/traffic-class.js'
import type { ContentSpec } from '../memory/content.js'
import type { MarkedLane } from '../migration/lanes.js'
import { PagewireError, usageError } from '../support/errors.js'
import {
  parseBytes,
  parseDurationNs,
  parsePagesPerSecond,
  parsePercent,
  parseRateBps,
} from '../support/units.js'
import type { HostilePath, Impairment } from '../topology/spec.js'
import type { InputSpec } from '../workload/inputs.js'
import { parseTrace, type Trace } from '../workload/trace.js'
import type { WorkloadKind } from '../workload/workload.js'
import { contradictions } from './scenario-checks.js'
import { checkedDocument, problemsError } from './scenario-problems.js'
import type { CrossTrafficDocument, Dataplane, Discipline, ScenarioDocument } from './scenario-schema.js'
import { type KeyPath, readScenarioText, type ScenarioText } from './scenario-text.js'

export interface Scenario {
  readonly name: string
  /** 0..2^32-1, of everything random. */
  readonly seed: number
  readonly link: Link
  readonly guest: Guest
  readonly migration: Migration
  readonly crossTraffic: readonly CrossTraffic[]
  /** Who asks the guest during the migration; absent: nobody. */
  readonly client?: Client
  /** The marking table after the scenario's own rows. */
  readonly marking: MarkingTable
  readonly capture: { readonly snaplenBytes: number }
  readonly dataplane: Dataplane
  /** What the switch does wrong; absent on a switch that does nothing wrong. */
  readonly path?: HostilePath
  /** The scenario as written, overrides applied, no defaults: for the result document. */
  readonly given: unknown
}

export interface Client {
  /** Questions per second. */
  readonly rate: number
  readonly trafficClass: TrafficClass
  /** How questions reach a guest that has moved: through the congested port's queues, or beside them. */
  readonly port: 'congested' | 'own'
  /** The guest moves to another network; its name's answers hold for so long. */
  readonly move?: { readonly nameTtlNs: number }
}

/** The congested port. */
export interface Link {
  /** Bits of whole frames per second. */
  readonly rateBps: number
  readonly discipline: Discipline
  /** Packets that each queue holds. */
  readonly queuePackets: number
  /** Largest IP packet. */
  readonly mtuBytes: number
  /** With discipline `ets`: share of each PCP's queue; 1 for one that is not named. */
  readonly weights?: Readonly<Record<number, number>>
  /** With discipline `strict`: bits per second that the port keeps for a PCP's queue. */
  readonly guarantees?: Readonly<Record<number, number>>
  /** Parallel paths of this rate. */
  readonly paths: number
  /** The flows of a queue take turns. */
  readonly perFlow: boolean
  /** What the path adds to every frame, in both directions. */
  readonly impairment?: Impairment
}

/** The guest's disk, for schemes that move it. */
export interface Disk {
  readonly totalBlocks: number
  readonly blockBytes: number
  /** Whole blocks per second of guest time. */
  readonly writesPerSecond: number
  readonly workingSetBlocks: number
  /** Share of the blocks that the destination holds from before, 0..1. */
  readonly replicaShare: number
}

export interface Guest {
  readonly memoryBytes: number
  readonly pageBytes: number
  readonly totalPages: number
  readonly deviceStateBytes: number
  readonly workload: Workload
  /** Pages at the end of memory that the guest does not use. */
  readonly freePages: number
  /** Those of them that it has returned to the hypervisor. */
  readonly balloonedPages: number
  /** What reaches the guest from outside. */
  readonly inputs?: InputSpec
  readonly content: ContentSpec
  readonly disk: Disk
}

export interface Workload {
  readonly kind: WorkloadKind
  /** As written; absent where the scenario gives a rate. */
  readonly dirtyRatio?: number
  /** Page writes per second of guest time, from the rate or the ratio; 0 for an idle guest. */
  readonly dirtyPagesPerSecond: number
  /** Pages that `hot` and `phase` prefer and that the other kinds are confined to. */
  readonly workingSetPages: number
  /** Share of the writes that go to the working set, 0..1 (`hot`). */
  readonly hotShare: number
  readonly growthShare?: number
  /** How long a working set stays (`phase`), in nanoseconds of guest time. */
  readonly periodNs?: number
  /** The recorded writes (`trace`). */
  readonly trace?: Trace
}

/** The text of a file that a scenario names; a relative name is beside the scenario. Throws a usage error. */
export type ReadBeside = (file: string) => string

export interface Migration {
  readonly strategy: string
  /** As written; checked against the strategy, which converts them itself. */
  readonly options: Readonly<Record<string, unknown>>
  readonly lanes: Readonly<Record<MarkedLane, TrafficClass>>
  readonly maxTotalNs: number
  readonly congestionControl: string
  /** SO_SNDBUF of each lane; absent: the kernel tunes it. */
  readonly laneBufferBytes?: number
}

interface Stream {
  readonly flows: number
  readonly trafficClass: TrafficClass
  readonly from: 'neighbour' | 'source'
  /** After the start of the migration. */
  readonly startNs: number
  /** After the start of the migration; absent: until it ends. */
  readonly stopNs?: number
}

export type CrossTraffic =
  /** Rate of all flows together, in bits of whole frames; size of the IP packet. */
  | (Stream & { readonly kind: 'udp-cbr'; readonly rateBps: number; readonly packetBytes: number })
  | (Stream & { readonly kind: 'tcp-bulk'; readonly rateBps?: number })
  /** Without a rate, the capture's own pace times `capture.speed`. */
  | (Stream & { readonly kind: 'pcap'; readonly rateBps?: number; readonly capture: ReplayedCapture })

/** Class of a replayed capture whose frames keep their marks. Only its name means anything. */
const asCaptured: TrafficClass = { name: 'as captured', phb: 'DF', dscp: 0, pcp: 0, source: 'capture' }

/** Used where a scenario gives neither a dirty ratio nor a dirty rate. */
const dirtyRatioDefault = 0.5

/** Used where a scenario gives no working set; all of memory for the other kinds. */
const workingSetDefault: Readonly<Partial<Record<WorkloadKind, string>>> = { hot: '10%', phase: '10%' }

/** Used where a scenario gives no share of writes for the working set. */
const hotShareDefault = 0.9

/** Used where a scenario gives no period for its phases. */
const periodDefault = '1s'

export interface ReadScenario {
  readonly scenario: Scenario
  /** The same, as a document with all defaults filled in. */
  readonly document: ScenarioDocument
  /** The text with overrides applied, comments kept. */
  readonly text: string
}

/** `readScenario` for those who only want the scenario. */
export function parseScenario(
  text: string,
  fileName: string,
  overrides: readonly string[] = [],
  beside: ReadBeside = nothingBeside,
): Scenario {
  return readScenario(text, fileName, overrides, beside).scenario
}

function nothingBeside(file: string): string {
  throw usageError(`${file} cannot be read here`, {
    code: 'unreadable-input',
    next: 'This scenario stands alone: give its workload another kind.',
  })
}

/**
 * Reads a scenario. `fileName` is for messages; `overrides` are `path=value` texts of `--set`, applied before any
 * check. Throws a usage error (exit 2) that lists every problem as `file:line:column: path: sentence`.
 */
export function readScenario(
  text: string,
  fileName: string,
  overrides: readonly string[],
  beside: ReadBeside = nothingBeside,
): ReadScenario {
  const source = readScenarioText(text, fileName, overrides)
  const document = checkedDocument(source)
  const scenario = converted(document, source, beside)
  const problems = contradictions(document, scenario)
  if (problems.length > 0) throw problemsError(source, problems)
  return { scenario, document, text: source.text }
}

/** Bytes of each frame around the TCP payload: Ethernet 14 and tag 4 outside the MTU, IPv4 20, TCP 20, time stamps 12 inside it. */
const frameBytes = { outsideMtu: 14 + 4, insideMtu: 20 + 20 + 12 } as const

/** Bytes in front of each page on the wire. */
const pageHeaderBytes = 16

/**
 * Pages per second that the idle link can carry: MTU-size TCP segments back to back at the link rate, each page with
 * its header. A dirty ratio of 1 dirties exactly this many pages per second, so that pre-copy cannot converge.
 */
export function linkPageRate(link: Pick<Link, 'rateBps' | 'mtuBytes'>, pageBytes: number): number {
  const payloadShare = (link.mtuBytes - frameBytes.insideMtu) / (link.mtuBytes + frameBytes.outsideMtu)
  return ((link.rateBps / 8) * payloadShare) / (pageBytes + pageHeaderBytes)
}

type Place = <T>(path: KeyPath, convert: () => T) => T

function converted(document: ScenarioDocument, source: ScenarioText, beside: ReadBeside): Scenario {
  const place: Place = (path, convert) => {
    try {
      return convert()
    } catch (error) {
      if (!(error instanceof PagewireError)) throw error
      throw usageError(`${source.placeOf(path).name}: ${path.join('.')}: ${error.message}`, {
        code: error.code,
        ...given('next', error.next),
      })
    }
  }
  const marking = place(['classes'], () => withOverrides(defaultTable, document.classes))
  const classAt = (path: KeyPath, name: string | number): TrafficClass =>
    place(path, () => trafficClass(marking, name))
  const link = linkOf(document.link, place, classAt)
  return {
    name: document.name,
    seed: document.seed,
    link,
    guest: guestOf(document.guest, link, place, beside),
    migration: migrationOf(document.migration, place, classAt),
    crossTraffic: document.cross_traffic.map((stream, i) =>
      streamOf(stream, i, { link, marking, place, classAt }),
    ),
    ...given('client', clientOf(document.client, classAt, place)),
    marking,
    capture: { snaplenBytes: document.capture.snaplen },
    dataplane: document.dataplane,
    ...given('path', document.path === undefined ? undefined : pathOf(document.path, place)),
    given: source.value,
  }
}

type ClassAt = (path: KeyPath, name: string | number) => TrafficClass

function linkOf(link: ScenarioDocument['link'], place: Place, classAt: ClassAt): Link {
  return {
    rateBps: place(['link', 'rate'], () => parseRateBps(link.rate)),
    discipline: link.discipline,
    queuePackets: link.queue,
    mtuBytes: link.mtu,
    paths: link.paths,
    perFlow: link.per_flow,
    ...given('weights', link.weights === undefined ? undefined : weightsOf(link.weights, classAt)),
    ...given(
      'guarantees',
      link.guarantees === undefined ? undefined : guaranteesOf(link.guarantees, classAt, place),
    ),
    ...given('impairment', impairmentOf(link, place)),
  }
}

/** Two classes of one PCP have one queue, and together what both were promised. */
function guaranteesOf(
  guarantees: Readonly<Record<string, string>>,
  classAt: ClassAt,
  place: Place,
): Record<number, number> {
  const byPcp: Record<number, number> = {}
  for (const [name, rate] of Object.entries(guarantees)) {
    const path: KeyPath = ['link', 'guarantees', name]
    const { pcp } = classAt(path, name)
    byPcp[pcp] = (byPcp[pcp] ?? 0) + place(path, () => parseRateBps(rate))
  }
  return byPcp
}

/** The queue of a PCP has one weight: the larger one where two classes share it. */
function weightsOf(weights: Readonly<Record<string, number>>, classAt: ClassAt): Record<number, number> {
  const byPcp: Record<number, number> = {}
  for (const [name, weight] of Object.entries(weights)) {
    const { pcp } = classAt(['link', 'weights', name], name)
    byPcp[pcp] = Math.max(weight, byPcp[pcp] ?? 0)
  }
  return byPcp
}

function impairmentOf(link: ScenarioDocument['link'], place: Place): Impairment | undefined {
  const { delay, jitter, loss, reorder } = link
  const duration = (key: string, text: string | undefined): number =>
    text === undefined ? 0 : place(['link', key], () => parseDurationNs(text))
  const share = (key: string, text: string | undefined): number =>
    text === undefined ? 0 : place(['link', key], () => parsePercent(text))
  const impairment = {
    delayNs: duration('delay', delay),
    jitterNs: duration('jitter', jitter),
    lossRatio: share('loss', loss),
    reorderRatio: share('reorder', reorder),
  }
  return Object.values(impairment).some((value) => value > 0) ? impairment : undefined
}

function pathOf(path: NonNullable<ScenarioDocument['path']>, place: Place): HostilePath {
  const { bleach, remark, strip, police, invert } = path
  return {
    ...given('bleach', bleach),
    ...given('remarkPcp', remark),
    ...given('strip', strip),
    ...given(
      'policeBps',
      police === undefined ? undefined : place(['path', 'police'], () => parseRateBps(police)),
    ),
    ...given('invert', invert),
  }
}

function guestOf(guest: ScenarioDocument['guest'], link: Link, place: Place, beside: ReadBeside): Guest {
  const bytes = (key: 'memory' | 'page_size' | 'device_state'): number =>
    place(['guest', key], () => parseBytes(guest[key]))
  const memoryBytes = bytes('memory')
  const pageBytes = bytes('page_size')
  const pagesOf = (key: 'free' | 'balloon'): number =>
    place(['guest', key], () => Math.floor(partOf(guest[key], memoryBytes) / pageBytes))
  const freePages = pagesOf('free')
  const usedBytes = memoryBytes - freePages * pageBytes
  return {
    memoryBytes,
    pageBytes,
    totalPages: memoryBytes / pageBytes,
    deviceStateBytes: bytes('device_state'),
    workload: workloadOf(guest.workload, { memoryBytes, pageBytes, usedBytes }, link, place, beside),
    freePages,
    balloonedPages: pagesOf('balloon'),
    ...given('inputs', guest.inputs === undefined ? undefined : inputsOf(guest.inputs, place)),
    content: guest.content,
    disk: diskOf(guest.disk, link, place),
  }
}

function diskOf(disk: ScenarioDocument['guest']['disk'], link: Link, place: Place): Disk {
  const at = (key: string): KeyPath => ['guest', 'disk', key]
  const sizeBytes = place(at('size'), () => parseBytes(disk.size))
  const blockBytes = place(at('block_size'), () => parseBytes(disk.block_size))
  const totalBlocks = sizeBytes / blockBytes
  const share = place(at('working_set'), () => parsePercent(disk.working_set))
  return {
    totalBlocks,
    blockBytes,
    writesPerSecond: disk.write_ratio * linkPageRate(link, blockBytes),
    workingSetBlocks: Math.max(1, Math.round(share * totalBlocks)),
    replicaShare: place(at('replica'), () => parsePercent(disk.replica)),
  }
}

/** A part of memory as a share or a size, in bytes. */
function partOf(text: string, memoryBytes: number): number {
  return text.endsWith('%') ? memoryBytes * parsePercent(text) : parseBytes(text)
}

function inputsOf(inputs: NonNullable<ScenarioDocument['guest']['inputs']>, place: Place): InputSpec {
  const bytes = place(['guest', 'inputs', 'size'], () => parseBytes(inputs.size))
  return { perSecond: inputs.per_second, bytes }
}

function workloadOf(
  workload: ScenarioDocument['guest']['workload'],
  size: { readonly memoryBytes: number; readonly pageBytes: number; readonly usedBytes: number },
  link: Link,
  place: Place,
  beside: ReadBeside,
): Workload {
  const at = ['guest', 'workload']
  if (workload.kind === 'trace') return tracedWorkload(workload.file, size, place, beside)
  const idle = workload.kind === 'idle'
  const dirtyRatio =
    workload.dirty_ratio ?? (workload.dirty_rate === undefined && !idle ? dirtyRatioDefault : undefined)
  const rate = optional(workload.dirty_rate, [...at, 'dirty_rate'], parsePagesPerSecond, place)
  const workingSet = workload.working_set ?? workingSetDefault[workload.kind] ?? '100%'
  const workingSetBytes = place([...at, 'working_set'], () => partOf(workingSet, size.memoryBytes))
  const mostBytes = workload.working_set === undefined ? size.usedBytes : Number.POSITIVE_INFINITY
  return {
    kind: workload.kind,
    ...given('dirtyRatio', idle ? undefined : dirtyRatio),
    dirtyPagesPerSecond: idle ? 0 : (rate ?? (dirtyRatio ?? 0) * linkPageRate(link, size.pageBytes)),
    workingSetPages: Math.max(1, Math.round(Math.min(workingSetBytes, mostBytes) / size.pageBytes)),
    hotShare: workload.hot_share === undefined ? hotShareDefault : parsePercent(workload.hot_share),
    ...given('growthShare', optional(workload.growth, [...at, 'growth'], parsePercent, place)),
    ...(workload.kind === 'phase'
      ? { periodNs: place([...at, 'period'], () => parseDurationNs(workload.period ?? periodDefault)) }
      : {}),
  }
}

/** Rate and working set are what the trace says they are. */
function tracedWorkload(
  file: string | undefined,
  size: { readonly pageBytes: number; readonly usedBytes: number },
  place: Place,
  beside: ReadBeside,
): Workload {
  const trace = place(['guest', 'workload', 'file'], () => {
    if (file === undefined) {
      throw usageError('kind trace needs a file', {
        code: 'contradiction',
        next: 'Record one with pagewire predict --record-trace FILE, or write one: see pagewire trace --help.',
      })
    }
    return parseTrace(beside(file), file, Math.floor(size.usedBytes / size.pageBytes))
  })
  return {
    kind: 'trace',
    trace,
    dirtyPagesPerSecond: (1e9 * trace.pages.length) / trace.timesNs.at(-1)!,
    workingSetPages: new Set(trace.pages).size,
    hotShare: hotShareDefault,
  }
}

function migrationOf(migration: ScenarioDocument['migration'], place: Place, classAt: ClassAt): Migration {
  const { marking } = migration
  return {
    strategy: migration.strategy,
    options: migration.options,
    lanes: {
      bulk: classAt(['migration', 'marking', 'bulk'], marking.bulk),
      final: classAt(['migration', 'marking', 'final'], marking.final ?? marking.bulk),
      faults: classAt(['migration', 'marking', 'faults'], marking.faults ?? marking.final ?? marking.bulk),
      storage: classAt(['migration', 'marking', 'storage'], marking.storage ?? marking.bulk),
      log: classAt(['migration', 'marking', 'log'], marking.log ?? marking.bulk),
      disk: classAt(['migration', 'marking', 'disk'], marking.disk ?? marking.bulk),
      deltas: classAt(['migration', 'marking', 'deltas'], marking.deltas ?? marking.disk ?? marking.bulk),
    },
    maxTotalNs: place(['migration', 'max_total_time'], () => parseDurationNs(migration.max_total_time)),
    congestionControl: migration.congestion_control,
    ...given(
      'laneBufferBytes',
      optional(migration.lane_buffer, ['migration', 'lane_buffer'], parseBytes, place),
    ),
  }
}

function streamOf(
  stream: CrossTrafficDocument,
  index: number,
  around: {
    readonly link: Link
    readonly marking: MarkingTable
    readonly place: Place
    readonly classAt: ClassAt
  },
): CrossTraffic {
  const { link, marking, place, classAt } = around
  const at = (key: string): KeyPath => ['cross_traffic', index, key]
  const rateBps = optional(stream.rate, at('rate'), parseRateBps, place)
  const packetBytes = optional(stream.packet_size, at('packet_size'), parseBytes, place)
  const common: Stream = {
    flows: stream.flows,
    trafficClass:
      stream.class === undefined && stream.kind === 'pcap'
        ? asCaptured
        : classAt(at('class'), stream.class ?? bestEffortName),
    from: stream.from,
    startNs: place(at('start'), () => parseDurationNs(stream.start)),
    ...given('stopNs', optional(stream.stop, at('stop'), parseDurationNs, place)),
  }
  switch (stream.kind) {
    case 'udp-cbr':
      return {
        ...common,
        kind: stream.kind,
        rateBps: rateBps ?? 0,
        packetBytes: packetBytes ?? link.mtuBytes,
      }
    case 'tcp-bulk':
      return { ...common, kind: stream.kind, ...given('rateBps', rateBps) }
    case 'pcap':
      return {
        ...common,
        kind: stream.kind,
        ...given('rateBps', rateBps),
        capture: {
          file: stream.file ?? '',
          speed: stream.speed ?? 1,
          loop: stream.loop ?? true,
          ...given('pcpByDscp', stream.class === undefined ? [...pcpByDscp(marking)] : undefined),
        },
      }
  }
}

function clientOf(client: ScenarioDocument['client'], classAt: ClassAt, place: Place): Client | undefined {
  const { rate, port, network } = client
  const trafficClass = classAt(['client', 'class'], client.class)
  const nameTtlNs = place(['client', 'name_ttl'], () => parseDurationNs(client.name_ttl))
  if (rate === 0) return undefined
  return { rate, trafficClass, port, ...(network === 'other' ? { move: { nameTtlNs } } : {}) }
}

function optional<T>(
  text: string | undefined,
  path: KeyPath,
  parse: (text: string) => T,
  place: Place,
): T | undefined {
  return text === undefined ? undefined : place(path, () => parse(text))
}

/** `{ key: value }`, or nothing where there is no value: an absent key and `undefined` are not the same. */
function given<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  const out: { [key in K]?: V } = {}
  if (value !== undefined) out[key] = value
  return out
}
