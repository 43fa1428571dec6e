/** Chooses and orders pages at random. */
import { assert } from '../support/assert.js'
import type { Random } from '../support/random.js'

/** `count` distinct pages of 0..totalPages-1, in random order of runs of `runPages` neighbours (the last one may be shorter). */
export function spreadPages(
  totalPages: number,
  count: number,
  runPages: number,
  numbers: Random,
): Uint32Array {
  assert(count >= 1 && count <= totalPages, 'a working set has between one page and all of them')
  const starts = new Uint32Array(Math.ceil(totalPages / runPages))
  for (let run = 0; run < starts.length; run++) starts[run] = run * runPages
  shuffle(starts, numbers)
  if (runPages === 1) return starts.slice(0, count)
  const pages = new Uint32Array(count)
  let filled = 0
  for (let run = 0; run < starts.length; run++) {
    const start = starts[run]!
    const end = Math.min(start + runPages, totalPages)
    for (let page = start; page < end; page++) {
      if (filled === count) return pages
      pages[filled++] = page
    }
  }
  assert(filled === count, 'the runs cover all pages')
  return pages
}

/** Fisher-Yates, in place. */
export function shuffle(items: Uint32Array, numbers: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = numbers.below(i + 1)
    const item = items[i]!
    items[i] = items[j]!
    items[j] = item
  }
}
