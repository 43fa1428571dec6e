/** What both agents agree on before the first page: the session description, the device state, the hash of a page. */

import { crc32 } from 'node:zlib'
import { type ContentSpec, type PageContent, type Recipe, recipes } from '../memory/content.js'
import type { LaneName } from '../migration/strategy.js'
import { assert } from '../support/assert.js'
import { random } from '../support/random.js'
import { protocolError } from '../wire/frame-reader.js'
import type { DiskSpec } from '../workload/disk.js'
import type { GuestSpec } from '../workload/guest.js'
import { type WorkloadSpec, workloadKinds } from '../workload/workload.js'
import type { TraceReader } from './trace-frames.js'

/** The lane on which a guest that was handed over early asks for pages. */
export const faultsLane: LaneName = 'faults'
/** A session with it may have a guest that is executed again. */
const logLane: LaneName = 'log'

/** Whether the destination may have to run the guest by itself. */
export function mayRunOn(session: Pick<Session, 'lanes'>): boolean {
  return session.lanes.includes(faultsLane) || session.lanes.includes(logLane)
}

export interface Session {
  readonly totalPages: number
  readonly pageBytes: number
  readonly deviceBytes: number
  readonly seed: number
  readonly content: ContentSpec
  readonly lanes: readonly string[]
  /** What the guest does, so that the destination can run it on; absent where it is only handed over complete. */
  readonly workload?: SessionWorkload
  /** The disk that moves with the guest; absent where it stays where it is. */
  readonly disk?: DiskSpec
}

/** The parts of a guest's spec that the session does not hold otherwise. */
export interface SessionWorkload {
  readonly spec: WorkloadSpec
  readonly readsPerWrite: number
  /** Pages at the end of memory that it does not use. */
  readonly freePages: number
}

/** A lane as an agent opens it. `port` is where the destination listens. */
export interface LaneEndpoint {
  readonly name: string
  readonly dscp: number
  readonly pcp: number
  readonly port: number
  /** The destination's address on the path of this lane; that of all other lanes when absent. */
  readonly host?: string
}

const largestPageBytes = 2 ** 21
const largestGuestBytes = 2 ** 36
const largestDeviceBytes = 2 ** 30

export function encodeSession(session: Session): Buffer {
  return Buffer.from(JSON.stringify(session))
}

/** Reads the source's description. Throws when a field is missing or out of range. */
export function decodeSession(payload: Buffer): Session {
  const fields = jsonObject(payload)
  const pageBytes = whole(fields, 'pageBytes', 64, largestPageBytes)
  return {
    pageBytes,
    totalPages: whole(fields, 'totalPages', 1, largestGuestBytes / pageBytes),
    deviceBytes: whole(fields, 'deviceBytes', 0, largestDeviceBytes),
    seed: whole(fields, 'seed', 0, 2 ** 32 - 1),
    content: contentSpec(fields['content']),
    lanes: laneNames(fields['lanes']),
    ...(fields['workload'] === undefined ? {} : { workload: sessionWorkload(fields['workload']) }),
    ...(fields['disk'] === undefined ? {} : { disk: sessionDisk(fields['disk']) }),
  }
}

/** The guest of a session, for a destination that runs it on; with the trace that came before, if it replays one. */
export function sessionGuest(session: Session, trace: TraceReader): GuestSpec {
  const { totalPages, pageBytes, seed, workload } = session
  if (workload === undefined) throw protocolError('the session does not say what the guest does')
  const { spec, readsPerWrite, freePages } = workload
  if (freePages >= totalPages) throw protocolError('the session has a guest that uses no page')
  const traced = spec.kind === 'trace' ? { trace: trace.trace(totalPages - freePages) } : {}
  return { totalPages, pageBytes, seed, workload: { ...spec, ...traced }, readsPerWrite, freePages }
}

const smallestBlockBytes = 512
const largestBlockBytes = 2 ** 15

function sessionDisk(value: unknown): DiskSpec {
  const fields = record(value, 'disk')
  const blockBytes = whole(fields, 'blockBytes', smallestBlockBytes, largestBlockBytes)
  if (blockBytes % 8 !== 0) throw protocolError(`session.disk.blockBytes is ${blockBytes}, no multiple of 8`)
  const totalBlocks = whole(fields, 'totalBlocks', 1, largestGuestBytes / blockBytes)
  const { writesPerSecond, replicaShare } = fields
  if (typeof writesPerSecond !== 'number' || !(writesPerSecond >= 0 && writesPerSecond <= 1e9)) {
    throw protocolError(`session.disk.writesPerSecond is ${JSON.stringify(writesPerSecond)}`)
  }
  if (typeof replicaShare !== 'number' || !(replicaShare >= 0 && replicaShare <= 1)) {
    throw protocolError(`session.disk.replicaShare is ${JSON.stringify(replicaShare)}, not 0 to 1`)
  }
  const workingSetBlocks = whole(fields, 'workingSetBlocks', 1, totalBlocks)
  return { totalBlocks, blockBytes, writesPerSecond, workingSetBlocks, replicaShare }
}

function sessionWorkload(value: unknown): SessionWorkload {
  const fields = record(value, 'workload')
  const spec = record(fields['spec'], 'workload.spec')
  const kind = workloadKinds.find((one) => one === spec['kind'])
  if (kind === undefined)
    throw protocolError(`session.workload.spec.kind ${JSON.stringify(spec['kind'])} is not known`)
  const amount = (from: Readonly<Record<string, unknown>>, name: string, max: number): number => {
    const number = from[name]
    if (typeof number === 'number' && number >= 0 && number <= max) return number
    throw protocolError(`session.workload ${name} is ${JSON.stringify(number)}, not a number up to ${max}`)
  }
  return {
    readsPerWrite: amount(fields, 'readsPerWrite', 1e6),
    freePages: whole(fields, 'freePages', 0, largestGuestBytes),
    spec: {
      kind,
      writesPerSecond: amount(spec, 'writesPerSecond', 1e9),
      workingSetPages: whole(spec, 'workingSetPages', 1, largestGuestBytes),
      hotShare: amount(spec, 'hotShare', 1),
      ...(spec['growthShare'] === undefined ? {} : { growthShare: amount(spec, 'growthShare', 1) }),
      ...(spec['periodNs'] === undefined
        ? {}
        : { periodNs: whole(spec, 'periodNs', 1, Number.MAX_SAFE_INTEGER) }),
    },
  }
}

function record(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value))
  throw protocolError(`session.${name} is not an object`)
}

function jsonObject(payload: Buffer): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(payload.toString('utf8'))
  } catch (cause) {
    throw protocolError(`the session description is not JSON: ${String(cause)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw protocolError('the session description is not an object')
  }
  return Object.fromEntries(Object.entries(value))
}

function whole(fields: Readonly<Record<string, unknown>>, name: string, min: number, max: number): number {
  const value = fields[name]
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw protocolError(`session.${name} is ${JSON.stringify(value)}, not a whole number from ${min} to ${max}`)
}

function contentSpec(value: unknown): ContentSpec {
  const fields = typeof value === 'object' && value !== null ? value : {}
  const kind = 'kind' in fields ? fields.kind : undefined
  if (kind === 'mix' && 'shares' in fields) return { kind, shares: contentShares(fields.shares) }
  const recipe = recipes.find((one) => one === kind)
  if (recipe !== undefined) return { kind: recipe }
  throw protocolError(`session.content ${JSON.stringify(value)} is not known to this agent`)
}

function contentShares(value: unknown): Partial<Record<Recipe, number>> {
  const given = new Map<string, unknown>(
    typeof value === 'object' && value !== null ? Object.entries(value) : [],
  )
  const shares: Partial<Record<Recipe, number>> = {}
  for (const recipe of recipes) {
    const share = given.get(recipe) ?? 0
    if (typeof share !== 'number' || !(share >= 0) || !Number.isFinite(share)) {
      throw protocolError(`session.content.shares.${recipe} is ${JSON.stringify(share)}, not a weight`)
    }
    shares[recipe] = share
  }
  if (!recipes.some((recipe) => (shares[recipe] ?? 0) > 0))
    throw protocolError('session.content is a mix of nothing')
  return shares
}

function laneNames(value: unknown): readonly string[] {
  if (
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= 64 &&
    value.every((v) => typeof v === 'string')
  ) {
    return value
  }
  throw protocolError('session.lanes is not a list of 1 to 64 names')
}

/** The opaque device and CPU state of the guest: `bytes` seeded bytes, the same at both ends. */
export function deviceState(seed: number, bytes: number): Buffer {
  const numbers = random(seed, 0x64657669)
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let i = 0; i < words.length; i++) words[i] = numbers.uint32()
  return Buffer.from(words.buffer, 0, bytes)
}

/** CRC-32 of the bytes of one version of a page, made in `scratch` (at least one page long). */
export function pageHash(content: PageContent, page: number, version: number, scratch: Buffer): number {
  assert(scratch.length >= content.pageBytes, 'the scratch buffer holds a page')
  content.write(page, version, scratch, 0)
  return crc32(scratch.length === content.pageBytes ? scratch : scratch.subarray(0, content.pageBytes))
}
