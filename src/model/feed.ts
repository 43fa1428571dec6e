/** What is left of each lane of a copy, and whose turn it is on the wire. */

import { PageOrder } from '../migration/page-order.js'
import type { Lane } from '../migration/strategy.js'

/** Pages between two looks at the dirty log (Xen's batch), as on the real testbed. */
export const pagesPerPeek = 1024

export class Feed {
  readonly lane: Lane
  readonly pcp: number
  /** Place in the order of service, 0 first. */
  readonly rank: number
  readonly batch: Uint32Array
  /** The pages batch[at..count) wait. */
  at = 0
  count = 0
  sentPages = 0
  /** A rate limit lets nothing leave before this time. */
  readyNs = 0
  exhausted = false
  readonly #order: PageOrder

  /** `order`: of pages that lanes share. */
  constructor(lane: Lane, pcp: number, rank: number, batchPages: number, order = new PageOrder(lane)) {
    this.batch = new Uint32Array(batchPages)
    this.lane = lane
    this.pcp = pcp
    this.rank = rank
    this.#order = order
  }

  /** Takes the next batch; `keep` drops pages from its front part and returns how many stay. */
  refill(keep: (batch: Uint32Array, count: number) => number): void {
    this.at = 0
    do {
      const taken = this.#order.take(this.batch)
      this.exhausted = taken === 0
      this.count = keep(this.batch, taken)
    } while (this.count === 0 && !this.exhausted)
  }

  /** The next pages of the batch were sent. */
  took(pages: number): void {
    this.at += pages
    this.sentPages += pages
  }
}

/** The lane that sends next: of those that may, the first in the order of service, then who sent least. */
export function nextTurn(feeds: readonly Feed[], nowNs: number): Feed | undefined {
  let best: Feed | undefined
  for (const feed of feeds) {
    if (feed.exhausted) continue
    if (best === undefined || goesBefore(feed, best, nowNs)) best = feed
  }
  return best
}

function goesBefore(one: Feed, other: Feed, nowNs: number): boolean {
  const oneWaits = one.readyNs > nowNs
  const otherWaits = other.readyNs > nowNs
  if (oneWaits !== otherWaits) return otherWaits
  if (oneWaits) return one.readyNs < other.readyNs
  if (one.rank !== other.rank) return one.rank < other.rank
  return one.sentPages < other.sentPages
}
