/** Chooses and orders pages at random. */
import { assert } from '../support/assert.js'
import { Permutation } from '../support/permutation.js'
import type { Random } from '../support/random.js'

/** `count` distinct pages of 0..totalPages-1, in random order of runs of `runPages` neighbours (the last one may be shorter). */
export function spreadPages(
  totalPages: number,
  count: number,
  runPages: number,
  numbers: Random,
): Uint32Array {
  assert(count >= 1 && count <= totalPages, 'a working set has between one page and all of them')
  const order = new Permutation(Math.ceil(totalPages / runPages), numbers)
  // One run more, because one of them may be the short one.
  const runs = new Uint32Array(Math.min(order.size, Math.ceil(count / runPages) + 1))
  order.fill(0, runs, runs.length)
  const pages = new Uint32Array(count)
  let filled = 0
  for (const run of runs) {
    const end = Math.min((run + 1) * runPages, totalPages)
    for (let page = run * runPages; page < end && filled < count; page++) pages[filled++] = page
  }
  assert(filled === count, 'the runs cover the working set')
  return pages
}
