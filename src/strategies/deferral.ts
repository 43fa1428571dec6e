/**
 * The engine room of the hot-page family: pre-copy rounds with Xen's skip rule and Xen 4.2.3's stop rule, in which a
 * classifier holds pages back. A page that is held back stays unsent, so that no update is lost (without that,
 * reading the dirty log would forget it), and goes out when it is released or when the guest is suspended.
 */

import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
import type { Intent, LaneName, View } from '../migration/strategy.js'
import { decimal, integer, lane } from './options.js'
import { copySkipping, stopAndCopy } from './phrases.js'

/** Options that every member of the family has. */
export const familyOptions = {
  threshold_pages: integer(
    50,
    0,
    2 ** 32,
    'pages sent and skipped in a round below which the guest is suspended',
  ),
  max_rounds: integer(29, 1, 1_000_000, 'live rounds at most'),
  max_volume: decimal(3, 1, 1000, 'multiples of memory sent after which the guest is suspended'),
  via: lane('bulk', 'lane of the live rounds'),
  final_via: lane('final', 'lane of the last round and the device state'),
}

export interface FamilyOptions {
  readonly threshold_pages: number
  readonly max_rounds: number
  readonly max_volume: number
  readonly via: LaneName
  readonly final_via: LaneName
}

export interface LeftOut {
  /** Held back until further notice: the stop rule does not look at them. */
  readonly deferred?: ReadonlyPageSet
  /** Left out of this round only: they count as skipped. */
  readonly skipped?: ReadonlyPageSet
}

export interface Classifier {
  /** After the copy of a live round: what it skipped is in the view. */
  observe?(view: View): void
  /** Before a live round: which of the unsent pages not to send in it. */
  leaveOut(view: View): LeftOut
  /** A page that was accessed since the last look is skipped at its turn, not only one that was written. */
  readonly skipAccessed?: boolean
  /** Asks for the guest's accesses before each classification. */
  readonly accesses?: { readonly latest: number; readonly writesOnly?: true }
  /** True: a round with nothing to send ends pre-copy. */
  readonly stopWhenAllLeftOut?: boolean
}

export function* deferringRounds(
  options: FamilyOptions,
  classifier: Classifier,
  first: View,
): Generator<Intent, void, View> {
  let view = first
  if (classifier.accesses !== undefined) view = yield { do: 'readAccesses', ...classifier.accesses }
  for (let stop = false; !stop; ) {
    const pages = view.unsent.clone()
    const { deferred, skipped } = classifier.leaveOut(view)
    if (deferred !== undefined) pages.deleteAll(deferred)
    const beforeSkip = pages.count
    if (skipped !== undefined) pages.deleteAll(skipped)
    const leftOutPages = beforeSkip - pages.count
    if (pages.count === 0 && classifier.stopWhenAllLeftOut === true && view.round > 0) break
    view = yield classifier.skipAccessed === true
      ? { do: 'copy', lanes: [{ pages, via: options.via }], skipAccessed: true }
      : copySkipping(pages, options.via)
    classifier.observe?.(view)
    stop = stopsAfterRound(options, view, leftOutPages)
    if (stop) break
    view = yield { do: 'syncDirty' }
    if (classifier.accesses !== undefined) view = yield { do: 'readAccesses', ...classifier.accesses }
  }
  yield* stopAndCopy(options.final_via)
}

/** Xen 4.2.3's stop rule, asked after the copy of a live round. Pages left out count as skipped. */
export function stopsAfterRound(options: FamilyOptions, view: View, leftOutPages = 0): boolean {
  const { sentPages, skippedPages } = view.lastCopy
  return (
    view.round + 1 >= options.max_rounds ||
    sentPages + skippedPages + leftOutPages < options.threshold_pages ||
    view.sentPages > options.max_volume * view.totalPages
  )
}

/** Pages held back, at most so many: of those that do not fit, the coldest go out after all. */
export class HeldPages {
  readonly pages: PageSet
  readonly #most: number

  constructor(totalPages: number, most: number) {
    this.pages = new PageSet(totalPages)
    this.#most = most
  }

  add(page: number): void {
    this.pages.add(page)
  }

  delete(page: number): void {
    this.pages.delete(page)
  }

  /** Releases the coldest pages beyond the limit; `heat` is 0..255 for each page, ties fall by page number. */
  releaseCold(heat: Uint8Array): void {
    let extra = this.pages.count - this.#most
    if (extra <= 0) return
    const perHeat = new Uint32Array(256)
    for (let page = this.pages.next(0); page !== -1; page = this.pages.next(page + 1)) {
      perHeat[heat[page]!]!++
    }
    for (let degree = 0; extra > 0; degree++) {
      if (perHeat[degree] === 0) continue
      extra -= this.#releaseOf(heat, degree, extra)
    }
  }

  #releaseOf(heat: Uint8Array, degree: number, most: number): number {
    let released = 0
    for (let page = this.pages.next(0); page !== -1 && released < most; page = this.pages.next(page + 1)) {
      if (heat[page] !== degree) continue
      this.pages.delete(page)
      released++
    }
    return released
  }
}

/** `share` of memory in whole pages, at least one unless the share is 0. */
export function pagesOf(share: number, view: View): number {
  return share === 0 ? 0 : Math.max(1, Math.round(share * view.totalPages))
}
