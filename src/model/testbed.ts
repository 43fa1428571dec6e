/**
 * The world in virtual time: a guest, a link and a destination that keeps one version number a page. The same
 * engine and strategies run on it as on real agents; a migration of minutes takes milliseconds.
 */

import type { Accesses } from '../memory/access-log.js'
import { type ContentSpec, pageContent } from '../memory/content.js'
import { Encoders } from '../memory/encoding.js'
import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import type { PageVersions } from '../memory/page-versions.js'
import { levelOf, type MarkedLane, markedAs } from '../migration/lanes.js'
import { PageOrder, sharedBatchPages } from '../migration/page-order.js'
import type { Lane, LaneName, LogState } from '../migration/strategy.js'
import type {
  CopyRequest,
  CopyResult,
  HandoverResult,
  PushRequest,
  PushResult,
  ShipResult,
  Testbed,
} from '../migration/testbed.js'
import { assert } from '../support/assert.js'
import { Guest, type GuestSpec } from '../workload/guest.js'
import { VirtualClock } from './clock.js'
import { Destination } from './destination.js'
import { ModelDisk } from './disk.js'
import { Feed, pagesPerPeek } from './feed.js'
import { Fetches, type StorageSpec } from './fetches.js'
import { type LinkSpec, rank, wireBits } from './link.js'
import { overPaths, PathSender } from './path-sender.js'
import { Pusher } from './pusher.js'
import { Replay } from './replay.js'
import { Sender } from './sender.js'
import { Wire } from './wire.js'

export interface ModelSpec {
  readonly guest: GuestSpec
  /** Needed where lanes are encoded; random pages when absent. */
  readonly content?: ContentSpec
  readonly deviceBytes: number
  readonly link: LinkSpec
  /** 802.1Q priority of each lane that a scenario marks; those not given have that of `bulk`. */
  readonly lanes: { readonly bulk: number } & Readonly<Partial<Record<MarkedLane, number>>>
  /** PCP of each class selector 0..7; the level itself where absent. */
  readonly levels?: readonly number[]
  /** Shared storage, for schemes that use it; behind the migration's port, as fast as that, when absent. */
  readonly storage?: StorageSpec
  /** Pages between two looks at the dirty log; Xen's 1024 when absent. Scaled guests need it scaled. */
  readonly pagesPerPeek?: number
}

export class ModelTestbed implements Testbed {
  readonly origin = 'predicted'
  readonly totalPages: number
  readonly pageBytes: number
  readonly guest: Guest
  /** What the destination fetches from shared storage. */
  readonly fetches: Fetches
  readonly disk: ModelDisk | undefined
  cancelled = false

  readonly #clock = new VirtualClock()
  readonly #spec: ModelSpec
  readonly #wire: Wire
  readonly #destination: Destination
  readonly #sender: Sender
  readonly #paths: PathSender
  #atSuspend: PageVersions | undefined
  #balloonedAtSuspend: ReadonlyPageSet | undefined
  #pusher: Pusher | undefined
  #replay: Replay | undefined

  constructor(spec: ModelSpec) {
    this.totalPages = spec.guest.totalPages
    this.pageBytes = spec.guest.pageBytes
    this.guest = new Guest(spec.guest, 0)
    this.#spec = spec
    this.#wire = new Wire(spec.link, this.#clock)
    this.#destination = new Destination(spec.guest.totalPages)
    const encoders = (): Encoders => {
      const content = pageContent(spec.content ?? { kind: 'random' }, this.pageBytes, spec.guest.seed)
      return new Encoders(content, this.totalPages, spec.guest.seed)
    }
    this.fetches = new Fetches(
      spec.storage ?? { apart: false, rateBps: Number.POSITIVE_INFINITY },
      this.#pcp('storage'),
      this.totalPages,
      wireBits(spec.link, this.pageBytes + spec.link.messageHeaderBytes),
      (page, version) => this.#destination.fetched(page, version),
    )
    this.#wire.join(this.fetches)
    this.disk = this.#makeDisk()
    this.#sender = new Sender(
      this.#clock,
      spec.link,
      this.#wire,
      this.guest,
      this.#destination,
      this.fetches,
      encoders,
    )
    this.#paths = new PathSender(this.#clock, spec.link, this.guest, this.#destination, this.#sender)
  }

  nowNs(): number {
    return this.#clock.nowNs
  }

  get guestStallNs(): number {
    return this.guest.stallNs
  }

  async copy(request: CopyRequest): Promise<CopyResult> {
    const held = request.holdWritesOutside
    if (held !== undefined) this.guest.holdWritesOutside(this.nowNs(), held)
    const onPaths = (this.#spec.link.paths ?? 1) > 1 && overPaths(request)
    const feeds = request.sharePages
      ? this.#sharedFeeds(request)
      : request.lanes.map((lane) => this.#feed(lane, onPaths ? sharedBatchPages : undefined))
    const result = onPaths
      ? this.#paths.send(feeds, request)
      : this.#sender.send(feeds, request, this.#replay?.checkpoint)
    if (held !== undefined) this.guest.letWritesGo(this.nowNs())
    return result
  }

  async syncDirty(into: PageSet): Promise<number> {
    this.guest.advance(this.nowNs())
    return this.guest.memory.cleanDirty(into)
  }

  peekDirty(): ReadonlyPageSet {
    this.guest.advance(this.nowNs())
    return this.guest.memory.dirty
  }

  declareOutstanding(pages: ReadonlyPageSet): void {
    this.guest.declareOutstanding(this.nowNs(), pages)
  }

  readAccesses(latest: number, writesOnly: boolean): Accesses {
    return this.guest.readAccesses(this.nowNs(), latest, writesOnly)
  }

  /** As of the suspend, once there was one: what the guest takes into use at the destination is not the source's. */
  get ballooned(): ReadonlyPageSet {
    return this.#balloonedAtSuspend ?? this.guest.memory.ballooned
  }

  balloon(reservePages: number): void {
    this.guest.balloon(reservePages)
  }

  checkpoint(replaySpeed: number): void {
    this.#replay = new Replay(this.guest, this.#spec.guest, replaySpeed, this.nowNs())
  }

  async shipLog(via: LaneName, giveUpAtNs: number): Promise<ShipResult | 'gave up'> {
    const { link } = this.#spec
    const replay = this.#replayed()
    const { events, bytes } = replay.take(this.nowNs())
    const { position } = this.guest
    const messageBytes = bytes + link.messageHeaderBytes
    const bits = wireBits(link, messageBytes)
    if (this.#wire.send(this.#pcp(via), 1, bits, giveUpAtNs - 2 * link.delayNs) < bits) return 'gave up'
    this.#clock.pass(link.delayNs)
    replay.arrived(events, position, this.nowNs())
    if (!this.guest.running) {
      this.#clock.passTo(Math.min(replay.doneNs, giveUpAtNs))
      if (replay.doneNs > giveUpAtNs) return 'gave up'
      this.#destination.execute(replay.versions)
    }
    this.#clock.pass(link.delayNs)
    return { messageBytes }
  }

  logState(): LogState {
    return this.#replayed().state(this.nowNs(), this.#spec.link.delayNs)
  }

  #replayed(): Replay {
    assert(this.#replay !== undefined, 'a log follows its checkpoint')
    return this.#replay
  }

  async throttle(withhold: number): Promise<void> {
    this.guest.throttle(this.nowNs(), withhold)
  }

  async wait(forNs: number): Promise<void> {
    this.#clock.pass(forNs)
  }

  async suspend(into: PageSet): Promise<number> {
    this.guest.suspend(this.nowNs())
    this.#atSuspend = this.guest.memory.versions.clone()
    this.#balloonedAtSuspend = this.guest.memory.ballooned.clone()
    return this.guest.memory.cleanDirty(into)
  }

  async handover(
    via: LaneName,
    giveUpAtNs: number,
    missing: ReadonlyPageSet,
  ): Promise<HandoverResult | 'gave up'> {
    const { link, deviceBytes } = this.#spec
    const messageBytes = deviceBytes + link.messageHeaderBytes
    const bits = wireBits(link, messageBytes)
    if (this.#wire.send(this.#pcp(via), 1, bits, giveUpAtNs - 2 * link.delayNs) < bits) return 'gave up'
    this.#clock.pass(link.delayNs)
    const deviceDoneNs = this.nowNs()
    if (!this.#wire.drain(giveUpAtNs - link.delayNs)) return 'gave up'
    const resumedNs = this.nowNs()
    this.#destination.discard(missing)
    if (missing.count > 0) {
      this.guest.throttle(resumedNs, 0)
      this.guest.setGate(resumedNs, (page) => missing.has(page) && !this.#destination.has(page))
      this.guest.resume(resumedNs)
    }
    this.#clock.pass(link.delayNs)
    return { deviceDoneNs, resumedNs, messageBytes }
  }

  async push(request: PushRequest): Promise<PushResult> {
    assert(this.#atSuspend !== undefined, 'pages are pushed after the suspend')
    this.#pusher ??= new Pusher(
      this.#clock,
      this.#spec.link,
      this.#wire,
      this.guest,
      this.#destination,
      this.#atSuspend,
    )
    return this.#pusher.push(request, this.#pcp(request.via), this.#pcp(request.faultsVia))
  }

  async abandon(_reason: string): Promise<void> {
    if (this.guest.running) this.guest.suspend(this.nowNs())
  }

  async abort(_reason: string): Promise<void> {
    if (!this.guest.running) this.guest.resume(this.nowNs())
    this.#balloonedAtSuspend = undefined
    this.guest.throttle(this.nowNs(), 0)
  }

  /** The oracle: pages whose version at the destination is not the one that the source had at its suspend. */
  differingPages(): number {
    assert(this.#atSuspend !== undefined, 'the guest was suspended')
    return this.#destination.differing(this.#atSuspend, this.ballooned)
  }

  #makeDisk(): ModelDisk | undefined {
    const { link, guest } = this.#spec
    const { disk } = this.guest
    if (disk === undefined) return undefined
    return new ModelDisk(this.#clock, this.#wire, link, this.guest, disk, guest.seed, (lane) =>
      this.#pcp(lane),
    )
  }

  #feed(lane: Lane, batchPages = this.#spec.pagesPerPeek ?? pagesPerPeek): Feed {
    const pcp = this.#pcp(lane.via)
    return new Feed(lane, pcp, this.#rank(pcp), batchPages)
  }

  /** Lanes that draw on the same pages. */
  #sharedFeeds({ lanes }: CopyRequest): readonly Feed[] {
    const first = lanes[0]
    if (first === undefined) return []
    const order = new PageOrder(first)
    return lanes.map((lane) => {
      const pcp = this.#pcp(lane.via)
      return new Feed(lane, pcp, this.#rank(pcp), sharedBatchPages, order)
    })
  }

  #pcp(lane: LaneName): number {
    const { lanes, levels } = this.#spec
    const level = levelOf(lane)
    if (level !== undefined) return levels?.[level] ?? level
    return lanes[markedAs(lane)] ?? lanes.bulk
  }

  /** With one queue for all, nobody is served first. */
  #rank(pcp: number): number {
    return this.#spec.link.discipline === 'strict' ? rank(pcp) : 0
  }
}
