/**
 * Carries a strategy's intents out on a testbed. It owns the order of phases, the unsent set, the rounds, the
 * metrics, the journal and the promises between them; only the world differs between testbeds.
 */

import type { Accesses } from '../memory/access-log.js'
import { addRegionCounts, PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
import { assert, unreachable } from '../support/assert.js'
import { PagewireError } from '../support/errors.js'
import { DiskLedger } from './disk-ledger.js'
import type { Journal } from './journal.js'
import { bitsPerSecond, type MigrationRecord, type Outcome, type Round, regionPages } from './metrics.js'
import { PushQueue } from './push.js'
import type { CopyOutcome, Intent, Lane, LaneName, Strategy, View } from './strategy.js'
import type { CopyResult, HandoverResult, Testbed } from './testbed.js'

export interface MigrationLimits {
  /** Longest migration before it is aborted, in nanoseconds since its beginning. */
  readonly maxTotalNs: number
}

/** A strategy that asks for more intents than this does not end; the largest known one needs some thousands. */
const maxIntents = 1_000_000

/** Runs one migration to its end: completed, aborted, cancelled or failed. */
export async function migrate(
  strategy: Strategy,
  testbed: Testbed,
  limits: MigrationLimits,
  journal: Journal,
  beganNs = testbed.nowNs(),
): Promise<MigrationRecord> {
  const engine = new Engine(strategy.info.name, testbed, limits, journal, beganNs)
  const decisions = strategy.decide(engine.view())
  let view: View | undefined
  for (let intents = 0; ; intents++) {
    assert(intents < maxIntents, `${strategy.info.name} ends within ${maxIntents} intents`)
    const next = view === undefined ? decisions.next() : decisions.next(view)
    if (next.done) break
    try {
      await engine.carryOut(next.value)
    } catch (error) {
      // The world failed: a result with what was measured so far. Anything else is a defect, and goes on up.
      if (!(error instanceof PagewireError)) throw error
      await engine.fail(error)
    }
    if (engine.ended) break
    view = engine.view()
  }
  return engine.finish()
}

type Phase = View['phase']

/** A round that is not over: its counts so far. */
interface OpenRound {
  readonly startNs: number
  sent: number
  skipped: number
  dirtied: number
  bytes: number
  payload: number
  readonly byRegion: number[]
}

function openRound(startNs: number, totalPages: number): OpenRound {
  const regions = Math.ceil(totalPages / regionPages(totalPages))
  return { startNs, sent: 0, skipped: 0, dirtied: 0, bytes: 0, payload: 0, byRegion: Array(regions).fill(0) }
}

class Engine {
  readonly #name: string
  readonly #testbed: Testbed
  readonly #journal: Journal
  readonly #beganNs: number
  readonly #deadlineNs: number

  readonly #unsent: PageSet
  readonly #everSent: PageSet
  readonly #sent: PageSet
  readonly #skipped: PageSet
  readonly #none: ReadonlyPageSet
  #phase: Phase = 'running'
  #round = 0
  #lastCopy: CopyOutcome
  #lastSync: ReadonlyPageSet
  #accesses: Accesses

  readonly #rounds: Round[] = []
  #open: OpenRound
  #sentPages = 0
  #zeroPages = 0
  #mappedPages = 0
  readonly #disk: DiskLedger | undefined
  #postcopyRequests = 0
  #payloadBytes = 0
  #messageBytes = 0
  #copyNs = 0
  #throttleMax = 0
  readonly #notes = new Set<string>()
  #logBytes: number | undefined
  #suspendedNs = 0
  #finalCopyDoneNs = 0
  #handover: HandoverResult | undefined
  #outcome: Outcome | undefined
  #reason: string | undefined
  #endedNs = 0

  constructor(name: string, testbed: Testbed, limits: MigrationLimits, journal: Journal, beganNs: number) {
    this.#name = name
    this.#testbed = testbed
    this.#journal = journal
    this.#beganNs = beganNs
    this.#deadlineNs = beganNs + limits.maxTotalNs
    this.#disk = testbed.disk === undefined ? undefined : new DiskLedger(testbed.disk)
    this.#unsent = withContent(testbed)
    this.#everSent = new PageSet(testbed.totalPages)
    this.#sent = new PageSet(testbed.totalPages)
    this.#skipped = new PageSet(testbed.totalPages)
    this.#none = new PageSet(testbed.totalPages)
    this.#lastSync = this.#none
    this.#accesses = { pages: this.#none, sequence: new Uint32Array(0) }
    this.#lastCopy = { sentPages: 0, skippedPages: 0, skipped: this.#none, durationNs: 0, goodputBps: 0 }
    this.#open = openRound(this.#sinceBegin(), testbed.totalPages)
    journal.record({ at_ns: 0, event: 'begin', strategy: name, pages_total: testbed.totalPages })
  }

  get ended(): boolean {
    return this.#outcome !== undefined
  }

  view(): View {
    const testbed = this.#testbed
    // Snapshots: a strategy may keep a view, and the sets behind it go on changing.
    const redirtied = testbed.peekDirty().clone()
    const view: View = {
      nowNs: this.#sinceBegin(),
      phase: this.#phase,
      round: this.#round,
      totalPages: testbed.totalPages,
      pageBytes: testbed.pageBytes,
      unsent: this.#unsent.clone(),
      redirtied,
      lastSync: this.#lastSync,
      accesses: this.#accesses,
      lastCopy: this.#lastCopy,
      sentPages: this.#sentPages,
      ...(this.#logBytes === undefined ? {} : { log: testbed.logState() }),
      ...(this.#disk === undefined ? {} : { disk: this.#disk.view }),
    }
    this.#journal.record({
      at_ns: view.nowNs,
      event: 'view',
      phase: view.phase,
      round: view.round,
      unsent_pages: view.unsent.count,
      redirtied_pages: redirtied.count,
      sent_pages: view.sentPages,
      last_copy_goodput_mbps: view.lastCopy.goodputBps / 1e6,
    })
    return view
  }

  async carryOut(intent: Intent): Promise<void> {
    assert(!this.ended, 'no intent after the end')
    if (this.#mustStop()) return this.#stop()
    this.#note(intent)
    switch (intent.do) {
      case 'copy':
        return this.#copy(intent)
      case 'syncDirty':
        return this.#syncDirty(intent.sameRound === true)
      case 'readAccesses':
        this.#accesses = this.#testbed.readAccesses(intent.latest, intent.writesOnly === true)
        return
      case 'declare':
        return this.#testbed.declareOutstanding(intent.outstanding)
      case 'throttle':
        this.#throttleMax = Math.max(this.#throttleMax, intent.withhold)
        return this.#testbed.throttle(intent.withhold)
      case 'wait':
        return this.#testbed.wait(Math.min(intent.forNs, this.#deadlineNs - this.#testbed.nowNs()))
      case 'suspend':
        return this.#suspend()
      case 'handover':
        return this.#handOver(intent.via)
      case 'push':
        return this.#push(intent)
      case 'balloon':
        this.#testbed.balloon(intent.reservePages)
        this.#unsent.deleteAll(this.#testbed.ballooned)
        return
      case 'checkpoint':
        assert(
          this.#logBytes === undefined && this.#phase === 'running',
          'one checkpoint, of a running guest',
        )
        this.#logBytes = 0
        this.#testbed.checkpoint(intent.replaySpeed)
        // Also what the guest has taken out of its balloon since the beginning.
        this.#unsent.addAll(withContent(this.#testbed))
        return
      case 'shipLog':
        return this.#shipLog(intent.via)
      case 'note':
        this.#notes.add(intent.text)
        return
      case 'abort':
        return this.#abort('aborted', intent.reason)
      case 'copyDisk':
        return this.#disk?.begin(intent, this.#deadlineNs)
      case 'forwardWrites':
        return this.#disk?.forward(intent, this.#deadlineNs)
      case 'awaitDisk':
        return this.#orStop(this.#disk?.await(intent, this.#deadlineNs))
      case 'compareDisk':
        return this.#orStop(this.#disk?.compare(intent, this.#deadlineNs))
      default:
        return unreachable(intent)
    }
  }

  /** The testbed broke. The guest runs on where it last ran. */
  async fail(error: PagewireError): Promise<void> {
    if (this.#phase !== 'postcopy') await this.#testbed.abort(error.message)
    this.#reason = error.message
    this.#end('failed')
  }

  /** Checks what every migration owes at its end, and adds up. */
  finish(): MigrationRecord {
    if (!this.ended) {
      assert(this.#phase === 'postcopy', `${this.#name} hands over or aborts before it ends`)
      assert(this.#unsent.count === 0, `${this.#name} leaves no page unsent`)
      this.#end('completed')
    }
    const downtime = this.#downtime()
    return {
      strategy: this.#name,
      outcome: this.#outcome!,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      totalNs: this.#endedNs - this.#beganNs,
      ...downtime,
      rounds: this.#rounds,
      pagesTotal: this.#testbed.totalPages,
      pagesSent: this.#sentPages,
      pagesZero: this.#zeroPages,
      pagesMapped: this.#mappedPages,
      pagesUnique: this.#everSent.count,
      postcopyRequests: this.#postcopyRequests,
      payloadBytes: this.#payloadBytes,
      messageBytes: this.#messageBytes,
      goodputBps: bitsPerSecond(this.#payloadBytes, this.#copyNs),
      ...(this.#disk === undefined ? {} : { disk: this.#disk.record }),
      guestStallNs: this.#testbed.guestStallNs,
      guestThrottleMax: this.#throttleMax,
      ...(this.#testbed.ballooned.count === 0 ? {} : { pagesBallooned: this.#testbed.ballooned.count }),
      ...(this.#logBytes === undefined ? {} : { logBytes: this.#logBytes }),
      ...(this.#notes.size === 0 ? {} : { notes: [...this.#notes] }),
    }
  }

  async #copy(intent: Extract<Intent, { do: 'copy' }>): Promise<void> {
    const testbed = this.#testbed
    const startNs = testbed.nowNs()
    const untilNs = intent.atMostNs === undefined ? this.#deadlineNs : startNs + intent.atMostNs
    let left = intent.lanes.filter((lane) => pageCount(lane.pages) > 0)
    const maySkip = intent.skipRedirtied === true || intent.skipAccessed === true
    const skipped = maySkip ? new PageSet(testbed.totalPages) : undefined
    let sentPages = 0
    let payloadBytes = 0
    while (left.length > 0 && testbed.nowNs() < untilNs && !this.#mustStop()) {
      this.#sent.clear()
      this.#skipped.clear()
      const calledNs = testbed.nowNs()
      const result = await testbed.copy({
        lanes: left,
        feedUntilNs: Math.min(untilNs, this.#deadlineNs),
        giveUpAtNs: this.#deadlineNs,
        skipRedirtied: intent.skipRedirtied === true,
        skipAccessed: intent.skipAccessed === true,
        ...(intent.holdWritesOutside === undefined ? {} : { holdWritesOutside: intent.holdWritesOutside }),
        ...(intent.sharePages === undefined ? {} : { sharePages: intent.sharePages }),
        sent: this.#sent,
        skipped: this.#skipped,
      })
      sentPages += this.#sent.count
      skipped?.addAll(this.#skipped)
      payloadBytes += result.payloadBytes
      this.#account(result)
      const done = this.#sent.count + this.#skipped.count
      assert(done > 0 || testbed.nowNs() > calledNs, 'a copy sends a page or takes time')
      const owed = pagesOf(intent.sharePages === true ? left.slice(0, 1) : left)
      left = done === owed ? [] : remaining(left, this.#sent, this.#skipped)
    }

    const durationNs = testbed.nowNs() - startNs
    this.#copyNs += durationNs
    const skippedPages = skipped?.count ?? 0
    this.#open.skipped += skippedPages
    this.#lastCopy = {
      sentPages,
      skippedPages,
      skipped: skipped ?? this.#none,
      durationNs,
      goodputBps: bitsPerSecond(payloadBytes, durationNs),
    }
    if (left.length > 0 && this.#mustStop()) await this.#stop()
  }

  #account({ zeroPages, mappedPages = 0, payloadBytes, messageBytes }: CopyResult): void {
    const pages = this.#sent.count
    this.#unsent.deleteAll(this.#sent)
    this.#everSent.addAll(this.#sent)
    this.#sentPages += pages
    this.#zeroPages += zeroPages
    this.#mappedPages += mappedPages
    this.#payloadBytes += payloadBytes
    this.#messageBytes += messageBytes
    this.#open.sent += pages
    addRegionCounts(this.#sent, regionPages(this.#testbed.totalPages), this.#open.byRegion)
    this.#open.bytes += messageBytes
    this.#open.payload += payloadBytes
  }

  async #syncDirty(sameRound: boolean): Promise<void> {
    assert(this.#phase === 'running', 'no syncDirty once the guest is suspended')
    const found = new PageSet(this.#testbed.totalPages)
    const dirtied = await this.#testbed.syncDirty(found)
    this.#unsent.addAll(found)
    this.#lastSync = found
    if (sameRound) {
      this.#open.dirtied += dirtied
      return
    }
    this.#round++
    this.#closeRound(dirtied)
  }

  /** Each log is a round of its own. */
  async #shipLog(via: LaneName): Promise<void> {
    assert(this.#logBytes !== undefined && this.#everSent.count > 0, 'a log follows its checkpoint')
    const result = await this.#testbed.shipLog(via, this.#deadlineNs)
    if (result === 'gave up') return this.#stop()
    this.#logBytes += result.messageBytes
    this.#messageBytes += result.messageBytes
    this.#open.bytes += result.messageBytes
    // What the guest wrote since the checkpoint the destination has computed itself.
    if (this.#phase === 'suspended') this.#unsent.clear()
    this.#closeRound(0)
  }

  async #suspend(): Promise<void> {
    assert(this.#phase === 'running', 'the guest is suspended once')
    await this.#testbed.silence?.()
    this.#suspendedNs = this.#testbed.nowNs()
    const dirtied = await this.#testbed.suspend(this.#unsent)
    this.#disk?.suspend()
    this.#round++
    this.#closeRound(dirtied)
    this.#phase = 'suspended'
  }

  async #handOver(via: Extract<Intent, { do: 'handover' }>['via']): Promise<void> {
    assert(this.#phase === 'suspended', 'handover needs a suspended guest, and happens once')
    if ((await this.#disk?.settle(this.#name, this.#deadlineNs)) === false) return this.#stop()
    this.#finalCopyDoneNs = this.#testbed.nowNs()
    const result = await this.#testbed.handover(via, this.#deadlineNs, this.#unsent.clone())
    if (result === 'gave up') return this.#stop()
    this.#handover = result
    this.#messageBytes += result.messageBytes
    this.#open.bytes += result.messageBytes
    this.#closeRound(0)
    this.#phase = 'postcopy'
  }

  async #push(intent: Extract<Intent, { do: 'push' }>): Promise<void> {
    assert(this.#phase === 'postcopy', 'pages are pushed to a guest that was handed over')
    const testbed = this.#testbed
    const startNs = testbed.nowNs()
    const untilNs = intent.atMostNs === undefined ? this.#deadlineNs : startNs + intent.atMostNs
    this.#sent.clear()
    const result = await testbed.push({
      queue: new PushQueue(this.#unsent, intent.order),
      via: intent.via,
      faultsVia: intent.faultsVia,
      feedUntilNs: Math.min(untilNs, this.#deadlineNs),
      giveUpAtNs: this.#deadlineNs,
      sent: this.#sent,
    })
    const sentPages = this.#sent.count
    this.#account(result)
    this.#postcopyRequests += result.requests
    const durationNs = testbed.nowNs() - startNs
    this.#copyNs += durationNs
    const goodputBps = bitsPerSecond(result.payloadBytes, durationNs)
    this.#lastCopy = { sentPages, skippedPages: 0, skipped: this.#none, durationNs, goodputBps }
    const outOfTime = testbed.cancelled || testbed.nowNs() >= this.#deadlineNs
    if (this.#unsent.count > 0 && outOfTime) await this.#lose()
  }

  /** Time is up, and the guest at the destination lacks pages: it cannot go back, and it cannot run on. */
  async #lose(): Promise<void> {
    const lacking = `the guest at the destination lacks ${this.#unsent.count} pages`
    const reason = this.#testbed.cancelled
      ? `stopped by the user: ${lacking}`
      : `${lacking} at the end of max_total_time`
    await this.#testbed.abandon(reason)
    this.#reason = reason
    this.#end(this.#testbed.cancelled ? 'cancelled' : 'failed')
  }

  /** Part of the disk that has to be there: when it is not in time, that is the end. */
  async #orStop(done: Promise<boolean> | undefined): Promise<void> {
    if ((await done) === false) await this.#stop()
  }

  #mustStop(): boolean {
    return (
      this.#phase !== 'postcopy' && (this.#testbed.cancelled || this.#testbed.nowNs() >= this.#deadlineNs)
    )
  }

  #stop(): Promise<void> {
    if (this.#testbed.cancelled) return this.#abort('cancelled', 'stopped by the user')
    const limit = ((this.#deadlineNs - this.#beganNs) / 1e9).toFixed(1)
    return this.#abort('aborted', `the migration did not end within max_total_time (${limit} s)`)
  }

  async #abort(outcome: 'aborted' | 'cancelled', reason: string): Promise<void> {
    assert(this.#phase !== 'postcopy', 'a guest that runs at the destination cannot go back')
    await this.#testbed.abort(reason)
    this.#reason = reason
    this.#end(outcome)
  }

  #end(outcome: Outcome): void {
    this.#endedNs = this.#testbed.nowNs()
    if (this.#open.sent > 0 || outcome !== 'completed') this.#closeRound(0)
    this.#outcome = outcome
    this.#journal.record({
      at_ns: this.#sinceBegin(),
      event: 'end',
      outcome,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
    })
  }

  #closeRound(pagesDirtied: number): void {
    const now = this.#sinceBegin()
    const open = this.#open
    const pages = open.sent + open.skipped + open.dirtied + pagesDirtied
    // A scheme that syncs and then suspends at once had no round in between.
    if (pages === 0 && open.bytes === 0 && now === open.startNs) return
    this.#rounds.push({
      round: this.#rounds.length + 1,
      phase: this.#phase,
      startNs: open.startNs,
      durationNs: now - open.startNs,
      pagesSent: open.sent,
      pagesSentByRegion: open.byRegion,
      pagesSkipped: open.skipped,
      pagesDirtied: open.dirtied + pagesDirtied,
      pagesOutstanding: this.#unsent.count,
      bytesSent: open.bytes,
      payloadBytes: open.payload,
    })
    this.#open = openRound(now, this.#testbed.totalPages)
  }

  #downtime(): Pick<MigrationRecord, 'downtimeNs' | 'downtimeSplitNs'> {
    const end = this.#handover
    if (end === undefined) return {}
    return {
      downtimeNs: end.resumedNs - this.#suspendedNs,
      downtimeSplitNs: {
        finalCopy: this.#finalCopyDoneNs - this.#suspendedNs,
        device: end.deviceDoneNs - this.#finalCopyDoneNs,
        handover: end.resumedNs - end.deviceDoneNs,
      },
    }
  }

  #note(intent: Intent): void {
    const base = { at_ns: this.#sinceBegin(), event: 'intent', do: intent.do, round: this.#round } as const
    switch (intent.do) {
      case 'copy':
        this.#journal.record({
          ...base,
          pages: pagesOf(intent.lanes),
          lanes: intent.lanes.map((lane) => lane.via),
        })
        break
      case 'declare':
        this.#journal.record({ ...base, pages: intent.outstanding.count })
        break
      case 'throttle':
        this.#journal.record({ ...base, detail: intent.withhold })
        break
      case 'wait':
        this.#journal.record({ ...base, detail: intent.forNs })
        break
      case 'shipLog':
        this.#journal.record({ ...base, lanes: [intent.via] })
        break
      case 'balloon':
        this.#journal.record({ ...base, detail: intent.reservePages })
        break
      case 'checkpoint':
        this.#journal.record({ ...base, detail: intent.replaySpeed })
        break
      case 'note':
        this.#journal.record({ ...base, detail: intent.text })
        break
      case 'abort':
        this.#journal.record({ ...base, detail: intent.reason })
        break
      case 'handover':
        this.#journal.record({ ...base, lanes: [intent.via] })
        break
      case 'push':
        this.#journal.record({ ...base, pages: this.#unsent.count, lanes: [intent.via, intent.faultsVia] })
        break
      default:
        this.#journal.record(base)
    }
  }

  #sinceBegin(): number {
    return this.#testbed.nowNs() - this.#beganNs
  }
}

/** All pages but those in the balloon. */
function withContent({ totalPages, ballooned }: Testbed): PageSet {
  const pages = PageSet.full(totalPages)
  pages.deleteAll(ballooned)
  return pages
}

/** Pages of a lane, whether a set or a list. */
export function pageCount(pages: ReadonlyPageSet | Uint32Array): number {
  return pages instanceof Uint32Array ? pages.length : pages.count
}

function pagesOf(lanes: readonly Lane[]): number {
  return lanes.reduce((sum, lane) => sum + pageCount(lane.pages), 0)
}

/** What a copy that was cut short still owes: its lanes without the pages that were sent or skipped. */
function remaining(lanes: readonly Lane[], sent: ReadonlyPageSet, skipped: ReadonlyPageSet): Lane[] {
  return lanes
    .map((lane) => ({ ...lane, pages: without(lane.pages, sent, skipped) }))
    .filter((lane) => pageCount(lane.pages) > 0)
}

function without(
  pages: ReadonlyPageSet | Uint32Array,
  sent: ReadonlyPageSet,
  skipped: ReadonlyPageSet,
): ReadonlyPageSet | Uint32Array {
  if (pages instanceof Uint32Array) return pages.filter((page) => !sent.has(page) && !skipped.has(page))
  const left = pages.clone()
  left.deleteAll(sent)
  left.deleteAll(skipped)
  return left
}
