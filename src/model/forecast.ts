/**
 * Akoush et al. (MASCOTS 2010): how long a pre-copy migration under Xen's stop rules will take, reckoned from a constant
 * dirty rate (AVG) or from the recorded dirty log of an earlier run (HIST), without running one; and the bounds that
 * hold whatever the guest does. Its world is one page time; queues, delays and messages are in the overheads.
 */

import { PageSet } from '../memory/page-set.js'
import { assert } from '../support/assert.js'

/** When pre-copy stops, and whether pages written again before their turn are left out. */
export interface XenPolicy {
  readonly profile: 'xen42' | 'xen-new'
  readonly thresholdPages: number
  /** Live rounds at most. */
  readonly maxRounds: number
  readonly skip: boolean
}

export interface Conditions {
  readonly totalPages: number
  /** Time that one page takes at the rate of the migration. */
  readonly pageNs: number
  readonly policy: XenPolicy
  /** Pages between two looks at the dirty log. */
  readonly pagesPerPeek: number
  /** Total time of an idle migration beyond that of its pages. */
  readonly overheadNs: number
  /** Downtime of an idle migration. */
  readonly downtimeOverheadNs: number
}

export interface Forecast {
  /** Pages of each round, the last one with the guest suspended. */
  readonly rounds: readonly { readonly sent: number; readonly skipped: number }[]
  readonly pagesSent: number
  readonly totalNs: number
  readonly downtimeNs: number
}

export interface Bounds {
  readonly totalNsMin: number
  readonly totalNsMax: number
  readonly downtimeNsMin: number
  readonly downtimeNsMax: number
}

/** What a predictor believes the guest does. Times count from the start of the migration. */
export interface Dirtying {
  /** Reads and clears the dirty log: returns the pages of the next round. The first call returns all of memory. */
  sync(nowNs: number): number
  /** Takes up to `most` pages of the round; returns how many there were, and how many of them are dirty again. */
  take(most: number, nowNs: number): { readonly taken: number; readonly dirty: number }
}

/** Volume sent after which Xen 4.2.3 gives up, in multiples of memory. */
const xen42Volume = 3

export function forecast(conditions: Conditions, guest: Dirtying): Forecast {
  const { policy, totalPages } = conditions
  const rounds: { sent: number; skipped: number }[] = []
  let nowNs = 0
  let pagesSent = 0
  const round = (pages: number, skip: boolean): { sent: number; skipped: number } => {
    const done = sendRound(conditions, guest, pages, skip, nowNs)
    nowNs += done.sent * conditions.pageNs
    pagesSent += done.sent
    rounds.push({ sent: Math.round(done.sent), skipped: Math.round(done.skipped) })
    return done
  }
  for (;;) {
    const pages = guest.sync(nowNs)
    const few = pages < policy.thresholdPages
    const { sent, skipped } = round(pages, policy.skip)
    const over =
      policy.profile === 'xen42'
        ? sent + skipped < policy.thresholdPages || pagesSent > xen42Volume * totalPages
        : few
    if (over || rounds.length >= policy.maxRounds) break
  }
  const last = round(guest.sync(nowNs), false)
  return {
    rounds,
    pagesSent: Math.round(pagesSent),
    totalNs: Math.round(nowNs + conditions.overheadNs),
    downtimeNs: Math.round(last.sent * conditions.pageNs + conditions.downtimeOverheadNs),
  }
}

function sendRound(
  { pageNs, pagesPerPeek }: Conditions,
  guest: Dirtying,
  pages: number,
  skip: boolean,
  startNs: number,
): { sent: number; skipped: number } {
  let sent = 0
  let skipped = 0
  for (let left = pages; left > 0; ) {
    const { taken, dirty } = guest.take(Math.min(pagesPerPeek, left), startNs + sent * pageNs)
    assert(taken > 0, 'a round has the pages that the sync found')
    left -= taken
    skipped += skip ? dirty : 0
    sent += skip ? taken - dirty : taken
  }
  return { sent, skipped }
}

/** Live rounds end once more than 3 times the memory went out (Xen 4.2.3), or after `maxRounds`; then one memory at most. */
export function bounds(
  profile: XenPolicy['profile'],
  maxRounds: number,
  conditions: Omit<Conditions, 'policy' | 'pagesPerPeek'>,
): Bounds {
  const { totalPages, pageNs, overheadNs, downtimeOverheadNs } = conditions
  const memoryNs = totalPages * pageNs
  const byRounds = maxRounds + 1
  const most = profile === 'xen42' ? Math.min(xen42Volume + 2, byRounds) : byRounds
  return {
    totalNsMin: Math.round(memoryNs + overheadNs),
    totalNsMax: Math.round(most * memoryNs + overheadNs),
    downtimeNsMin: Math.round(downtimeOverheadNs),
    downtimeNsMax: Math.round(memoryNs + downtimeOverheadNs),
  }
}

/** AVG: so many distinct pages a second, of a writable working set, evenly over it. */
export class ConstantRate implements Dirtying {
  readonly #totalPages: number
  readonly #pagesPerNs: number
  readonly #workingSetPages: number
  #sinceNs = 0
  /** Pages that those of the round are drawn from; before the first sync none. */
  #among = 0

  constructor(totalPages: number, pagesPerSecond: number, workingSetPages: number) {
    this.#totalPages = totalPages
    this.#pagesPerNs = pagesPerSecond / 1e9
    this.#workingSetPages = workingSetPages
  }

  sync(nowNs: number): number {
    const first = this.#among === 0
    const pages = first ? this.#totalPages : Math.round(this.#dirty(nowNs))
    this.#among = first ? this.#totalPages : Math.max(1, this.#workingSetPages)
    this.#sinceNs = nowNs
    return pages
  }

  take(most: number, nowNs: number): { taken: number; dirty: number } {
    return { taken: most, dirty: most * Math.min(1, this.#dirty(nowNs) / this.#among) }
  }

  #dirty(nowNs: number): number {
    return Math.min(this.#workingSetPages, this.#pagesPerNs * (nowNs - this.#sinceNs))
  }
}

/** Which pages were dirtied in each interval of an earlier run; those of interval i are pages[starts[i]..starts[i + 1]). */
export interface DirtyHistory {
  readonly intervalNs: number
  readonly pages: Uint32Array
  readonly starts: Uint32Array
}

/** HIST: the guest does again what it did. What lies beyond the end of the record dirties nothing. */
export class RecordedLog implements Dirtying {
  readonly #history: DirtyHistory
  readonly #dirty: PageSet
  #round: PageSet | undefined
  #cursor = 0
  /** Intervals folded into the dirty log so far. */
  #interval = 0

  constructor(totalPages: number, history: DirtyHistory) {
    this.#history = history
    this.#dirty = new PageSet(totalPages)
  }

  sync(nowNs: number): number {
    this.#advance(nowNs)
    this.#round = this.#round === undefined ? PageSet.full(this.#dirty.capacity) : this.#dirty.clone()
    this.#dirty.clear()
    this.#cursor = 0
    return this.#round.count
  }

  take(most: number, nowNs: number): { taken: number; dirty: number } {
    assert(this.#round !== undefined, 'a round begins with a sync')
    this.#advance(nowNs)
    const batch = new Uint32Array(most)
    const taken = this.#round.fill(this.#cursor, batch)
    if (taken > 0) this.#cursor = batch[taken - 1]! + 1
    let dirty = 0
    for (let i = 0; i < taken; i++) if (this.#dirty.has(batch[i]!)) dirty++
    return { taken, dirty }
  }

  /** An interval counts as soon as most of it is over. */
  #advance(nowNs: number): void {
    const { intervalNs, pages, starts } = this.#history
    const until = Math.min(Math.round(nowNs / intervalNs), starts.length - 1)
    if (until <= this.#interval) return
    this.#dirty.addList(pages, starts[this.#interval]!, starts[until]!)
    this.#interval = until
  }
}

/** Distinct pages dirtied a second, and the pages dirtied at all: what AVG needs of a record. */
export function average(
  totalPages: number,
  history: DirtyHistory,
): { readonly pagesPerSecond: number; readonly workingSetPages: number } {
  const seen = new PageSet(totalPages)
  seen.addList(history.pages, 0, history.pages.length)
  const seconds = ((history.starts.length - 1) * history.intervalNs) / 1e9
  return { pagesPerSecond: history.pages.length / seconds, workingSetPages: seen.count }
}
