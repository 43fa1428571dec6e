/** The pages that the destination lacks after an early handover: which are still to go, and in what order. */

import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import { assert } from '../support/assert.js'

/** In what order to push pages that nobody waits for. Pure: it decides, the testbed sends. */
export interface PushOrder {
  /** Writes the next pages into `out`, as many as it likes, and returns how many; 0 when it has none to push. */
  next(out: Uint32Array): number
  /** The guest waits for this page, which is sent at once unless it is on its way. */
  faulted(page: number): void
}

/** Joins the order with the faults, so that each page leaves once. */
export class PushQueue {
  /** Pages that have not left. */
  readonly left: PageSet
  readonly #order: PushOrder

  constructor(missing: ReadonlyPageSet, order: PushOrder) {
    this.left = missing.clone()
    this.#order = order
  }

  /** The next pages in order that have not left; they count as left now. 0 when the order has none to push. */
  take(out: Uint32Array): number {
    for (;;) {
      const offered = this.#order.next(out)
      if (offered === 0) return 0
      let kept = 0
      for (let i = 0; i < offered; i++) {
        const page = out[i]!
        assert(page < this.left.capacity, 'an order names pages of the guest')
        if (!this.left.has(page)) continue
        this.left.delete(page)
        out[kept++] = page
      }
      if (kept > 0) return kept
    }
  }

  /** The guest waits for a page. True when it is to be sent now; false when it has left already. */
  fault(page: number): boolean {
    this.#order.faulted(page)
    if (!this.left.has(page)) return false
    this.left.delete(page)
    return true
  }
}
