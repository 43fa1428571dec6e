/**
 * Reuse distance (FarzinAlamdari & Zamanifar, PDGC 2012): the number of different pages written between two writes of
 * a page. A page that is expected to be written again while the round lasts is left out of it.
 */

import { PageSet } from '../memory/page-set.js'
import type { SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { type Classifier, deferringRounds, familyOptions } from './deferral.js'
import { choice, decimal, integer, type OptionValues, optionHelp, readOptions } from './options.js'
import { ReuseDistances } from './reuse-distances.js'

const options = {
  distance: choice(
    ['coarse', 'exact'],
    'coarse',
    'from the rounds in which a page was dirty, or from the sequence of writes',
  ),
  smoothing: decimal(0.5, 0, 1, 'weight of the newest distance in the average of a page'),
  horizon: decimal(
    1,
    0,
    100,
    'multiples of the pages dirtied in the last round that a distance is held against; 0: never skip',
  ),
  patience: integer(3, 1, 1000, 'rounds that a page is left out at most while its distance rises'),
  ...familyOptions,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'farzin-alamdari',
  number: 13,
  title: 'Reuse distance (FarzinAlamdari & Zamanifar 2012)',
  idea: 'A page whose writes lie close together is not sent in a round that will see it written again.',
  source: 'FarzinAlamdari & Zamanifar, PDGC 2012 (abstract)',
  origin: 'published',
  ours: 'The threshold (pages dirtied in the last round), the average, and how long a page may be left out.',
  options: optionHelp(options),
}

export const farzinAlamdari: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => deferringRounds(chosen, classifier(chosen, view), view) }
  },
}

/** Writes that are kept between two looks; of a longer round the latest count. */
const latestWrites = 2 ** 22

function classifier(chosen: Options, first: View): Classifier {
  const distances =
    chosen.distance === 'exact' ? new FromWrites(first.totalPages) : new FromRounds(first.totalPages)
  const averages = new Averages(first.totalPages, chosen.smoothing)
  const leftOut = new Uint16Array(first.totalPages)
  return {
    ...(chosen.distance === 'exact' ? { accesses: { latest: latestWrites, writesOnly: true } } : {}),
    stopWhenAllLeftOut: true,
    leaveOut: (view) => {
      const skipped = new PageSet(view.totalPages)
      if (view.round === 0) return {}
      distances.nextRound(view, (page, distance) => averages.add(page, distance))
      const horizon = chosen.horizon * view.lastSync.count
      const { unsent } = view
      for (let page = unsent.next(0); page !== -1; page = unsent.next(page + 1)) {
        const tooLong = leftOut[page]! >= chosen.patience && averages.isRising(page)
        if (averages.of(page) < horizon && !tooLong) {
          skipped.add(page)
          leftOut[page] = Math.min(65535, leftOut[page]! + 1)
        } else {
          leftOut[page] = 0
        }
      }
      return { skipped }
    },
  }
}

/** Average distance of each page; unknown until its second write. */
class Averages {
  readonly #average: Float64Array
  readonly #before: Float64Array
  readonly #weight: number

  constructor(totalPages: number, weight: number) {
    this.#average = new Float64Array(totalPages).fill(Number.POSITIVE_INFINITY)
    this.#before = new Float64Array(totalPages).fill(Number.POSITIVE_INFINITY)
    this.#weight = weight
  }

  add(page: number, distance: number): void {
    const known = this.#average[page]!
    this.#before[page] = known
    this.#average[page] =
      known === Number.POSITIVE_INFINITY ? distance : this.#weight * distance + (1 - this.#weight) * known
  }

  of(page: number): number {
    return this.#average[page]!
  }

  isRising(page: number): boolean {
    return this.#average[page]! > this.#before[page]!
  }
}

type Found = (page: number, distance: number) => void

/** Pages dirtied in the rounds between two rounds in which a page was dirty: all that a dirty bitmap can tell. */
class FromRounds {
  /** Round counter times distinct pages: pages dirtied in all rounds up to the one in which the page was dirty last. */
  readonly #dirtiedUpTo: Float64Array
  #dirtied = 0

  constructor(totalPages: number) {
    this.#dirtiedUpTo = new Float64Array(totalPages).fill(-1)
  }

  nextRound({ lastSync }: View, found: Found): void {
    const before = this.#dirtied
    this.#dirtied += lastSync.count
    for (let page = lastSync.next(0); page !== -1; page = lastSync.next(page + 1)) {
      const upTo = this.#dirtiedUpTo[page]!
      if (upTo >= 0) found(page, before - upTo)
      this.#dirtiedUpTo[page] = this.#dirtied
    }
  }
}

class FromWrites {
  readonly #distances: ReuseDistances

  constructor(totalPages: number) {
    this.#distances = new ReuseDistances(totalPages)
  }

  nextRound({ accesses: { sequence } }: View, found: Found): void {
    for (let i = 0; i < sequence.length; i++) {
      const page = sequence[i]!
      const distance = this.#distances.write(page)
      if (distance !== undefined) found(page, distance)
    }
  }
}
