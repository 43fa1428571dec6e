/**
 * A guest: memory, a workload and its own time. It is lazy: nothing happens until somebody advances it, and then
 * exactly the accesses that were due by that guest time happen. So both testbeds see the same writes at the same
 * guest time, and a stalled event loop does not change the dirty rate.
 */

import { type Accesses, AccessLog } from '../memory/access-log.js'
import { GuestMemory } from '../memory/guest-memory.js'
import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
import { assert } from '../support/assert.js'
import { mix32, random } from '../support/random.js'
import { cycle } from './cycle.js'
import { type DiskSpec, GuestDisk } from './disk.js'
import { growing } from './growing.js'
import { hot } from './hot.js'
import { idle } from './idle.js'
import { iid } from './iid.js'
import { type InputEvent, type InputSpec, InputStream, inputHash } from './inputs.js'
import { nested } from './nested.js'
import { phase } from './phase.js'
import { scan } from './scan.js'
import { type Trace, trace, traceWritesMax } from './trace.js'
import type { Workload, WorkloadFactory, WorkloadKind, WorkloadSpec } from './workload.js'

export interface GuestSpec {
  readonly totalPages: number
  readonly pageBytes: number
  readonly workload: WorkloadSpec
  readonly seed: number
  /** Reads for each write, to pages of the same workload; 0 when absent. */
  readonly readsPerWrite?: number
  /** The last pages of memory, which it does not use; 0 when absent. */
  readonly freePages?: number
  /** Those of the free pages, the last ones, that it has returned to the hypervisor; 0 when absent. */
  readonly balloonedPages?: number
  /** What reaches it from outside; nothing when absent. */
  readonly inputs?: InputSpec
  /**
   * Accesses that one look carries out at most; the rest waits for the next look. In real time a guest that is asked
   * for more than the machine can do then falls behind, and shows it, instead of stopping the world.
   */
  readonly accessesPerLook?: number
  /** Absent where no scheme looks at it. */
  readonly disk?: DiskSpec
}

/** Says whether an access has to wait: for a page that is not here yet, or while writers are held back. */
export type Gate = (page: number, isWrite: boolean) => boolean

export interface Blocked {
  readonly page: number
  /** On the testbed's clock. */
  readonly sinceNs: number
}

/** How far a guest has come: all that another one of the same spec needs to go on from there. */
export interface GuestPosition {
  readonly guestNs: number
  readonly accesses: number
}

const nsPerSecond = 1e9
const writesPerInput = 2
/** Accesses that are asked of the workload at a time. */
const batchAccesses = 1024
/** Guest time times rate falls short of a whole number by rounding; no access is late by more than this share of its turn. */
const rounding = 1e-6

export class Guest {
  readonly memory: GuestMemory
  readonly disk: GuestDisk | undefined
  readonly #workload: Workload
  /** Pages in use at the start; those after them are free until the workload takes them. */
  readonly #usedPages: number
  /** The first page that has never been in use. */
  #firstFree: number
  readonly #grows: boolean
  readonly #accessesPerNs: number
  readonly #accessesPerWrite: number
  readonly #accessesPerLook: number
  readonly #upcoming = new Uint32Array(batchAccesses)
  #upcomingAt = 0
  #upcomingCount = 0
  #accessesDone = 0
  /** Guest time (running time less what throttling withheld) up to `#asOfNs` of the testbed's clock. */
  #guestNs = 0
  #asOfNs: number
  #running = true
  #withheld = 0
  #stallNs = 0
  #gate: Gate | undefined
  #blocked: Blocked | undefined
  #log: AccessLog | undefined
  readonly #inputs: InputStream | undefined
  /** Inputs taken since somebody last asked, once somebody wants them. */
  #inputLog: InputEvent[] | undefined
  #inputsTaken = 0

  constructor(spec: GuestSpec, nowNs: number) {
    this.memory = new GuestMemory(spec.totalPages, spec.pageBytes)
    this.disk = spec.disk === undefined ? undefined : new GuestDisk(spec.disk, spec.seed)
    this.#usedPages = spec.totalPages - (spec.freePages ?? 0)
    this.#firstFree = this.#usedPages
    assert(this.#usedPages >= 1, 'a guest uses a page at least')
    this.#balloonTo(spec.totalPages - (spec.balloonedPages ?? 0))
    this.#workload = makeWorkload(spec)
    this.#grows = (spec.workload.growthShare ?? 0) > 0
    this.#accessesPerWrite = 1 + (spec.readsPerWrite ?? 0)
    this.#accessesPerNs = accessRate(spec)
    this.#accessesPerLook = spec.accessesPerLook ?? Number.POSITIVE_INFINITY
    this.#inputs = spec.inputs === undefined ? undefined : new InputStream(spec.inputs, spec.seed)
    this.#asOfNs = nowNs
  }

  /**
   * Makes this fresh guest one that has come as far as another of the same spec, suspended: its memory holds the same
   * versions, because every access is a function of the spec. Not for workloads that a scheme has confined.
   */
  catchUp({ guestNs, accesses }: GuestPosition): void {
    assert(this.#accessesDone === 0, 'only a guest that has done nothing catches up with another')
    this.#running = false
    this.#guestNs = guestNs
    this.#run(accesses)
    this.memory.cleanDirty(new PageSet(this.memory.totalPages))
  }

  /** This fresh guest, suspended, has come so far, with this memory: what it does from there is `replay`. */
  restore(position: GuestPosition, versions: Uint32Array): void {
    this.catchUp(position)
    this.memory.versions.setAll(versions)
  }

  /** Executes again what another guest of the same spec did from here to `until`, with these inputs. */
  replay(events: readonly InputEvent[], until: GuestPosition): void {
    assert(!this.#running && until.accesses >= this.#accessesDone, 'a suspended guest is replayed forwards')
    for (const { accesses, payload } of events) {
      this.#run(accesses)
      this.#takeInput(payload)
    }
    this.#run(until.accesses)
    this.#guestNs = until.guestNs
  }

  /** Returns all free pages to the hypervisor but so many (Hines & Gopalan: self-ballooning). */
  balloon(reservePages: number): void {
    this.#balloonTo(this.#firstFree + reservePages)
  }

  #balloonTo(first: number): void {
    assert(first >= this.#firstFree, 'only free pages are returned')
    this.memory.balloon(first, this.memory.totalPages)
  }

  /** From now on inputs are logged. */
  logInputs(nowNs: number): GuestPosition {
    this.advance(nowNs)
    this.#inputLog = []
    return this.position
  }

  /** Takes the inputs logged so far. */
  takeInputLog(nowNs: number): readonly InputEvent[] {
    this.advance(nowNs)
    const taken = this.loggedInputs
    this.#inputLog = []
    return taken
  }

  /** Writes of its own workload, without those that inputs made it do. */
  get ownWrites(): number {
    return this.memory.writes - writesPerInput * this.#inputsTaken
  }

  /** Inputs logged and not taken, as of the last look. */
  get loggedInputs(): readonly InputEvent[] {
    assert(this.#inputLog !== undefined, 'inputs are logged before they are asked for')
    return this.#inputLog
  }

  get logsInputs(): boolean {
    return this.#inputLog !== undefined
  }

  /** An input reaches the guest at the point of its execution where it is. */
  deliver(payload: Uint8Array): void {
    this.#inputLog?.push({ accesses: this.#accessesDone, payload })
    this.#takeInput(payload)
  }

  get position(): GuestPosition {
    return { guestNs: this.#guestNs, accesses: this.#accessesDone }
  }

  /** Guest time in nanoseconds at the last look. */
  get guestNs(): number {
    return this.#guestNs
  }

  get running(): boolean {
    return this.#running
  }

  /** Share of guest time withheld, 0..1. */
  get withheld(): number {
    return this.#withheld
  }

  /** Running time lost so far to throttling and to accesses that had to wait, in nanoseconds. */
  get stallNs(): number {
    return this.#stallNs
  }

  /** The access that waits at this moment, after the last look. */
  get blocked(): Blocked | undefined {
    return this.#blocked
  }

  /** Lets the guest run up to `nowNs` of the testbed's clock. Going back in time is a broken promise. */
  advance(nowNs: number): void {
    assert(nowNs >= this.#asOfNs, 'guest time does not go back')
    const elapsedNs = nowNs - this.#asOfNs
    this.#asOfNs = nowNs
    if (!this.#running) return
    if (this.#blocked !== undefined) {
      this.#stallNs += elapsedNs
      return
    }
    this.#guestNs += elapsedNs * (1 - this.#withheld)
    this.#stallNs += elapsedNs * this.#withheld
    this.disk?.advance(this.#guestNs)
    const most = this.#accessesDone + this.#accessesPerLook
    if (this.#inputs !== undefined && !this.#takeInputs(this.#inputs, most)) return
    const due = this.#dueAt(this.#guestNs)
    if (due > this.#accessesDone) this.#run(Math.min(due, most))
  }

  #dueAt(guestNs: number): number {
    return dueBy(this.#workload, this.#accessesPerNs, guestNs)
  }

  /** Inputs that are due, each at its point between the accesses. False when the guest has not come so far yet. */
  #takeInputs(inputs: InputStream, most: number): boolean {
    while (inputs.nextNs <= this.#guestNs) {
      const at = this.#dueAt(inputs.nextNs)
      if (at > this.#accessesDone) this.#run(Math.min(at, most))
      if (this.#accessesDone < at) return false
      this.deliver(inputs.take())
    }
    return true
  }

  /** Writes to a page that the input names, and to one that depends on what the first holds: the order matters. */
  #takeInput(payload: Uint8Array): void {
    const { memory } = this
    this.#inputsTaken++
    const hash = inputHash(payload)
    const first = hash % this.#usedPages
    const second = mix32(hash ^ memory.versions.of(first)) % this.#usedPages
    memory.write(first)
    memory.write(second)
  }

  /** Withholds a share of guest CPU time from now on, 0..1. */
  throttle(nowNs: number, withhold: number): void {
    assert(withhold >= 0 && withhold <= 1, 'a throttle withholds 0..1 of guest time')
    this.advance(nowNs)
    this.#withheld = withhold
  }

  suspend(nowNs: number): void {
    assert(this.#running, 'only a running guest can be suspended')
    this.advance(nowNs)
    this.#running = false
  }

  resume(nowNs: number): void {
    assert(!this.#running, 'only a suspended guest can be resumed')
    this.advance(nowNs)
    this.#running = true
  }

  /** From now on a write waits that would make a page dirty outside this set. See `letWritesGo`. */
  holdWritesOutside(nowNs: number, pages: ReadonlyPageSet): void {
    const dirty = this.memory.dirty
    this.setGate(nowNs, (page, isWrite) => isWrite && !pages.has(page) && !dirty.has(page))
  }

  /** No write waits any more; one that did happens now. */
  letWritesGo(nowNs: number): void {
    this.setGate(nowNs, undefined)
    if (this.#blocked !== undefined) this.release(nowNs)
  }

  /** From now on accesses pass this gate, or none. An access that waits goes on waiting until it is released. */
  setGate(nowNs: number, gate: Gate | undefined): void {
    this.advance(nowNs)
    this.#gate = gate
  }

  /** The access that waits happens now, and the guest runs on. */
  release(nowNs: number): void {
    assert(this.#blocked !== undefined, 'an access waits')
    this.advance(nowNs)
    this.#blocked = undefined
    this.#access(this.#upcoming[this.#upcomingAt]!)
  }

  /**
   * Reads and clears what the guest accessed since the last read, up to `nowNs`. The first read begins the log and
   * finds nothing; its `latest` and `writesOnly` hold for all.
   */
  readAccesses(nowNs: number, latest: number, writesOnly: boolean): Accesses {
    this.advance(nowNs)
    this.#log ??= new AccessLog(this.memory.totalPages, latest, writesOnly)
    return this.#log.take()
  }

  /** Pages accessed since the last readAccesses, as of the last look: a live view. */
  get accessed(): ReadonlyPageSet {
    assert(this.#log !== undefined, 'accesses are read before they are looked at')
    return this.#log.pages
  }

  /** What the scheme regards as outstanding memory; only the workload `nested` takes notice. */
  declareOutstanding(nowNs: number, pages: ReadonlyPageSet): void {
    this.advance(nowNs)
    if (this.#workload.confine === undefined) return
    this.#workload.confine(pages)
    this.#upcomingCount = this.#upcomingAt
  }

  /** Accesses up to the `due`th, or up to one that has to wait. */
  #run(due: number): void {
    while (this.#accessesDone < due) {
      const left = due - this.#accessesDone
      if (this.#upcomingAt === this.#upcomingCount) this.#refill(left)
      const count = Math.min(left, this.#upcomingCount - this.#upcomingAt)
      const plain = this.#gate === undefined && this.#log === undefined && this.#accessesPerWrite === 1
      if (plain) this.#writeAll(count)
      else if (!this.#accessAll(count, this.#gate)) return
    }
  }

  /** Exactly what is due where the workload can be confined anew, so that no page of an old set is left over. */
  #refill(due: number): void {
    const count = this.#workload.confine === undefined ? batchAccesses : Math.min(due, batchAccesses)
    this.#workload.next(this.#upcoming, count)
    this.#upcomingAt = 0
    this.#upcomingCount = count
  }

  #writeAll(count: number): void {
    const end = this.#upcomingAt + count
    if (this.#grows) for (let i = this.#upcomingAt; i < end; i++) this.#use(this.#upcoming[i]!)
    this.memory.writeAll(this.#upcoming, this.#upcomingAt, end)
    this.#upcomingAt = end
    this.#accessesDone += count
  }

  /** False when an access has to wait. */
  #accessAll(count: number, gate: Gate | undefined): boolean {
    for (let i = 0; i < count; i++) {
      const page = this.#upcoming[this.#upcomingAt]!
      if (gate?.(page, this.#isWrite(page))) {
        this.#block(page)
        return false
      }
      this.#access(page)
    }
    return true
  }

  #access(page: number): void {
    const isWrite = this.#isWrite(page)
    if (this.#grows) this.#use(page)
    if (isWrite) this.memory.write(page)
    if (this.#log !== undefined && (isWrite || !this.#log.writesOnly)) this.#log.note(page)
    this.#accessesDone++
    this.#upcomingAt++
  }

  /** A page that was free is in use from now on: where it was ballooned, the balloon deflates by it. */
  #use(page: number): void {
    if (page < this.#firstFree) return
    this.#firstFree = page + 1
    this.memory.deflate(page)
  }

  /** One access in `#accessesPerWrite` is a write, evenly spread, and the first access to a page that was free. */
  #isWrite(page: number): boolean {
    if (page >= this.#usedPages) return true
    const per = this.#accessesPerWrite
    return Math.floor((this.#accessesDone + 1) / per) > Math.floor(this.#accessesDone / per)
  }

  /** Guest time stands still at the moment of the access that has to wait. */
  #block(page: number): void {
    const atGuestNs = Math.min(this.#guestNs, dueNs(this.#workload, this.#accessesPerNs, this.#accessesDone))
    const waitedNs = (this.#guestNs - atGuestNs) / (1 - this.#withheld)
    this.#guestNs = atGuestNs
    this.#stallNs += waitedNs * (1 - this.#withheld)
    this.#blocked = { page, sinceNs: this.#asOfNs - waitedNs }
  }
}

const factories: Readonly<Record<WorkloadKind, WorkloadFactory>> = {
  idle,
  cycle,
  iid,
  hot,
  nested,
  phase,
  scan,
  trace,
}

function makeWorkload({ workload, totalPages, freePages = 0, seed }: GuestSpec): Workload {
  const used = totalPages - freePages
  const inner = factories[workload.kind](workload, used, random(seed, 0x67756573))
  const { growthShare = 0 } = workload
  return growthShare > 0 ? growing(inner, used, freePages, growthShare) : inner
}

/**
 * The writes of a guest of this spec up to a guest time: a trace that gives the same writes again. At most
 * `traceWritesMax`, and none at all for an idle guest. Not for workloads that a scheme confines.
 */
export function recordedTrace(spec: GuestSpec, untilGuestNs: number): Trace {
  const workload = makeWorkload(spec)
  const accessesPerNs = accessRate(spec)
  const count = Math.min(traceWritesMax, dueBy(workload, accessesPerNs, untilGuestNs))
  const pages = new Uint32Array(count)
  workload.next(pages, count)
  const timesNs = Array.from(pages, (_, access) => Math.round(dueNs(workload, accessesPerNs, access)))
  return { timesNs, pages: [...pages] }
}

/** Accesses that are due by a guest time. */
function dueBy(workload: Workload, accessesPerNs: number, guestNs: number): number {
  return workload.dueBy?.(guestNs) ?? Math.floor(guestNs * accessesPerNs + rounding)
}

/** Guest time of the access with this number, from 0. */
function dueNs(workload: Workload, accessesPerNs: number, access: number): number {
  return workload.timeOf?.(access) ?? (access + 1) / accessesPerNs
}

function accessRate({ workload, readsPerWrite = 0 }: GuestSpec): number {
  const writesPerSecond = workload.kind === 'idle' ? 0 : workload.writesPerSecond
  return (writesPerSecond * (1 + readsPerWrite)) / nsPerSecond
}
