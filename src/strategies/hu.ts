/**
 * Time-series prediction (Hu et al., ICPADS 2011): the rounds in which a page was dirty, or an exponential average of
 * them, tell whether it will be dirty again; such a page waits, and returns when its score falls.
 */

import type { SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { type Classifier, deferringRounds, familyOptions, HeldPages, pagesOf } from './deferral.js'
import { choice, decimal, integer, type OptionValues, optionHelp, readOptions } from './options.js'

const options = {
  score: choice(
    ['count', 'smoothed'],
    'count',
    'rounds with a write among the last ones, or their exponential average',
  ),
  history: integer(5, 1, 32, 'rounds that count looks back on (n)'),
  hold_from: integer(
    3,
    1,
    33,
    'count: rounds with a write from which a page is held back (K); above history: never',
  ),
  smoothing: decimal(0.5, 0, 1, 'smoothed: weight of the newest round'),
  hold_level: decimal(0.6, 0, 1.1, 'smoothed: average from which a page is held back'),
  max_held: decimal(0.1, 0, 1, 'share of memory held back at most; the coldest pages go out after all'),
  ...familyOptions,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'hu',
  number: 10,
  title: 'Time-series pre-copy (Hu et al. 2011)',
  idea: 'Pages that were dirty in many of the last rounds are expected to be dirty again, and are sent last.',
  source: 'Hu et al., ICPADS 2011 (abstract)',
  origin: 'published',
  ours: 'The window and its threshold, the smoothed variant, and the limit on pages held back.',
  options: optionHelp(options),
}

export const hu: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => deferringRounds(chosen, classifier(chosen, view), view) }
  },
}

function classifier(chosen: Options, first: View): Classifier {
  const most = pagesOf(chosen.max_held, first)
  const scores = chosen.score === 'count' ? new Counted(chosen, first) : new Smoothed(chosen, first)
  return {
    stopWhenAllLeftOut: true,
    leaveOut: (view) => {
      const held = new HeldPages(view.totalPages, most)
      if (view.round === 0) return { deferred: held.pages }
      scores.nextRound(view)
      const { unsent } = view
      for (let page = unsent.next(0); page !== -1; page = unsent.next(page + 1)) {
        if (scores.isHot(page)) held.add(page)
      }
      held.releaseCold(scores.heat)
      return { deferred: held.pages }
    },
  }
}

/** Ones among the last `history` bits of each page. */
class Counted {
  readonly heat: Uint8Array
  readonly #bits: Uint32Array
  readonly #mask: number
  readonly #from: number

  constructor(chosen: Options, view: View) {
    this.heat = new Uint8Array(view.totalPages)
    this.#bits = new Uint32Array(view.totalPages)
    this.#mask = chosen.history === 32 ? 0xffffffff : 2 ** chosen.history - 1
    this.#from = chosen.hold_from
  }

  nextRound({ lastSync }: View): void {
    const bits = this.#bits
    for (let page = 0; page < bits.length; page++) {
      const dirty = lastSync.has(page) ? 1 : 0
      if ((bits[page]! | dirty) === 0) continue
      bits[page] = ((bits[page]! << 1) | dirty) & this.#mask
      this.heat[page] = ones(bits[page]!)
    }
  }

  isHot(page: number): boolean {
    return this.heat[page]! >= this.#from
  }
}

class Smoothed {
  readonly heat: Uint8Array
  readonly #level: Float32Array
  readonly #weight: number
  readonly #from: number

  constructor(chosen: Options, view: View) {
    this.heat = new Uint8Array(view.totalPages)
    this.#level = new Float32Array(view.totalPages)
    this.#weight = chosen.smoothing
    this.#from = chosen.hold_level
  }

  nextRound({ lastSync }: View): void {
    const level = this.#level
    for (let page = 0; page < level.length; page++) {
      const dirty = lastSync.has(page) ? 1 : 0
      level[page] = this.#weight * dirty + (1 - this.#weight) * level[page]!
      this.heat[page] = Math.round(255 * level[page]!)
    }
  }

  isHot(page: number): boolean {
    return this.#level[page]! >= this.#from
  }
}

function ones(word: number): number {
  let count = 0
  for (let left = word; left !== 0; left &= left - 1) count++
  return count
}
