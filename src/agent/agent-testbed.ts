/** The testbed of real agents: the guest lives in this process, its pages cross the network to the destination agent. */

import type { Accesses } from '../memory/access-log.js'
import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
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
import type { Guest } from '../workload/guest.js'
import { monotonicNs } from './clock.js'
import { DiskSource } from './disk-source.js'
import type { GuestCardProcess } from './guest-card.js'
import type { Link } from './link.js'
import { LogShipper } from './log-shipper.js'
import { pushFeeds } from './push-feeds.js'
import type { Fed, LaneHooks, PageSource } from './source-lane.js'

export class AgentTestbed implements Testbed {
  readonly origin = 'measured'
  readonly totalPages: number
  readonly pageBytes: number
  readonly disk: DiskSource | undefined
  readonly #guest: Guest
  readonly #link: Link
  readonly #card: GuestCardProcess | undefined
  readonly #hooks: LaneHooks
  #shipper: LogShipper | undefined
  #cancelled = false
  #wake: (() => void) | undefined
  #lastNs = 0
  /** Time that the guest waited for pages after an early handover. */
  #stallAtDestinationNs = 0

  constructor(guest: Guest, link: Link, hooks: LaneHooks, card?: GuestCardProcess) {
    this.#hooks = hooks
    this.#guest = guest
    this.#link = link
    this.#card = card
    this.totalPages = guest.memory.totalPages
    this.pageBytes = guest.memory.pageBytes
    this.disk = link.disk === undefined ? undefined : new DiskSource(link.disk, link, this)
  }

  get cancelled(): boolean {
    return this.#cancelled
  }

  get guestStallNs(): number {
    this.#advance()
    return Math.round(this.#guest.stallNs + this.#stallAtDestinationNs)
  }

  /** Asks the engine to abort: every wait of this testbed ends soon. */
  cancel(): void {
    this.#cancelled = true
    this.#wake?.()
    this.#link.giveUp()
  }

  nowNs(): number {
    // CLOCK_MONOTONIC in a double: keep it monotonic whatever the rounding.
    this.#lastNs = Math.max(this.#lastNs, monotonicNs())
    return this.#lastNs
  }

  async copy(request: CopyRequest): Promise<CopyResult> {
    const held = request.holdWritesOutside
    if (held !== undefined) this.#guest.holdWritesOutside(this.nowNs(), held)
    const skipping = [
      ...(request.skipRedirtied ? [() => this.#guest.memory.dirty] : []),
      ...(request.skipAccessed ? [() => this.#guest.accessed] : []),
    ]
    const shared = request.sharePages === true ? sharedOrder(request.lanes) : undefined
    const fed = await Promise.all(
      request.lanes.map((lane) =>
        this.#link.lane(lane.via).feed({
          order: shared ?? new PageOrder(lane),
          ...(lane.encoding === undefined ? {} : { encoding: lane.encoding }),
          rateLimitBps: lane.rateLimitBps,
          feedUntilNs: request.feedUntilNs,
          giveUpAtNs: request.giveUpAtNs,
          skipping,
          sent: request.sent,
          skipped: request.skipped,
          ...(this.#shipper === undefined ? {} : { versions: this.#shipper.checkpoint }),
          advanceGuest: () => this.#advance(),
          stopped: () => this.#cancelled,
        }),
      ),
    )
    if (held !== undefined) this.#guest.letWritesGo(this.nowNs())
    return total(fed)
  }

  async syncDirty(into: PageSet): Promise<number> {
    this.#advance()
    return this.#guest.memory.cleanDirty(into)
  }

  peekDirty(): ReadonlyPageSet {
    this.#advance()
    return this.#guest.memory.dirty
  }

  declareOutstanding(pages: ReadonlyPageSet): void {
    this.#guest.declareOutstanding(this.nowNs(), pages)
  }

  readAccesses(latest: number, writesOnly: boolean): Accesses {
    return this.#guest.readAccesses(this.nowNs(), latest, writesOnly)
  }

  get ballooned(): ReadonlyPageSet {
    return this.#guest.memory.ballooned
  }

  balloon(reservePages: number): void {
    this.#guest.balloon(reservePages)
  }

  checkpoint(replaySpeed: number): void {
    this.#shipper = new LogShipper(
      this.#guest,
      this.#link,
      replaySpeed,
      this.#hooks.dropLogRecord,
      this.nowNs(),
    )
  }

  shipLog(via: LaneName, giveUpAtNs: number): Promise<ShipResult | 'gave up'> {
    return this.#shipped().ship(this.#link.lane(via), this.nowNs(), giveUpAtNs)
  }

  logState(): LogState {
    return this.#shipped().state(this.nowNs())
  }

  #shipped(): LogShipper {
    assert(this.#shipper !== undefined, 'a log follows its checkpoint')
    return this.#shipper
  }

  async throttle(withhold: number): Promise<void> {
    this.#advance()
    this.#guest.throttle(this.nowNs(), withhold)
  }

  async wait(forNs: number): Promise<void> {
    if (forNs <= 0 || this.#cancelled) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, forNs / 1e6)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }

  /** Not part of the downtime: the guest still runs, but nobody hears of it any more. */
  async silence(): Promise<void> {
    await this.#card?.suspend()
  }

  async suspend(into: PageSet): Promise<number> {
    this.#advance()
    this.#guest.suspend(this.nowNs())
    return this.#guest.memory.cleanDirty(into)
  }

  async handover(
    via: LaneName,
    giveUpAtNs: number,
    missing: ReadonlyPageSet,
  ): Promise<HandoverResult | 'gave up'> {
    assert(!this.#guest.running, 'a guest is handed over suspended')
    return missing.count === 0
      ? this.#link.handOver(via, giveUpAtNs)
      : this.#link.handOver(via, giveUpAtNs, { missing, position: this.#guest.position })
  }

  async push(request: PushRequest): Promise<PushResult> {
    const feeds = pushFeeds(request.queue, request.via === request.faultsVia, () => this.#isOver(request))
    this.#link.listenForFaults(feeds.faulted)
    this.#wake = feeds.wake
    const limits = {
      rateLimitBps: undefined,
      feedUntilNs: request.feedUntilNs,
      giveUpAtNs: request.giveUpAtNs,
      skipping: [],
      sent: request.sent,
      skipped: new PageSet(this.totalPages),
      advanceGuest: () => {},
      stopped: () => this.#cancelled,
    }
    const background = this.#link
      .lane(request.via)
      .feed({ ...limits, order: feeds.background })
      .finally(feeds.end)
    const urgent =
      feeds.urgent === undefined
        ? []
        : [this.#link.lane(request.faultsVia).feed({ ...limits, order: feeds.urgent })]
    const fed = await Promise.all([background, ...urgent])
    this.#wake = undefined
    this.#link.listenForFaults(undefined)
    const report = this.#isOver(request) ? 'gave up' : await this.#link.guestReport(request.giveUpAtNs)
    if (report !== 'gave up') this.#stallAtDestinationNs = report.stallNs
    return { ...total(fed), requests: feeds.requests() }
  }

  abandon(reason: string): Promise<void> {
    return this.#link.abort(reason)
  }

  #isOver({ giveUpAtNs }: PushRequest): boolean {
    return this.#cancelled || this.nowNs() >= giveUpAtNs
  }

  async abort(reason: string): Promise<void> {
    await this.#link.abort(reason)
    if (!this.#guest.running) {
      this.#guest.resume(this.nowNs())
      this.#card?.run()
    }
    this.#guest.throttle(this.nowNs(), 0)
  }

  advanceGuest(): void {
    this.#advance()
  }

  #advance(): void {
    this.#guest.advance(this.nowNs())
  }
}

/** The pages of all lanes, from which each takes a few when it has room for more: the shortest queue gets the next. */
function sharedOrder(lanes: readonly Lane[]): PageSource | undefined {
  const first = lanes[0]
  if (first === undefined) return undefined
  const order = new PageOrder(first)
  return { take: (out) => order.take(out.subarray(0, sharedBatchPages)) }
}

function total(fed: readonly Fed[]): CopyResult {
  return {
    payloadBytes: sum(fed.map((one) => one.payloadBytes)),
    messageBytes: sum(fed.map((one) => one.messageBytes)),
    zeroPages: sum(fed.map((one) => one.zeroPages)),
    mappedPages: sum(fed.map((one) => one.mappedPages)),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
