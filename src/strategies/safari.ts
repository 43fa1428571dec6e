/**
 * Not-recently-used pages and a modified clock (Safari, Bohlol & Fouladfar, ECDC 2015), our reconstruction: only one
 * sentence about it is on record (in Moslehi & Mohebbi). A hand passes the dirty pages: one that was not accessed
 * since the last pass is sent; one that was gets a second chance, and is held back as working set the next time.
 */

import { PageSet } from '../memory/page-set.js'
import type { SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { type Classifier, deferringRounds, familyOptions, pagesOf } from './deferral.js'
import { decimal, type OptionValues, optionHelp, readOptions } from './options.js'

const options = {
  max_held: decimal(
    0.01,
    0,
    1,
    'share of memory held back to the end at most, so that downtime stays as it was',
  ),
  ...familyOptions,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'safari',
  number: 11,
  title: 'NRU and modified clock (Safari et al. 2015)',
  idea: 'Dirty pages that were accessed since the clock hand last passed get a second chance, then wait for the end.',
  source: 'Safari, Bohlol & Fouladfar, ECDC 2015, as summarised by Moslehi & Mohebbi',
  origin: 'reconstruction',
  ours: 'All but the use of a clock policy: the text of the paper was not to be had.',
  options: optionHelp(options),
}

export const safari: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => deferringRounds(chosen, classifier(chosen, view), view) }
  },
}

function classifier(chosen: Options, first: View): Classifier {
  const most = pagesOf(chosen.max_held, first)
  const secondChance = new PageSet(first.totalPages)
  const working = new PageSet(first.totalPages)
  return {
    accesses: { latest: 0 },
    skipAccessed: true,
    observe: ({ lastCopy: { skipped } }) => {
      // What the hand passed without skipping was sent, and begins anew.
      secondChance.retainAll(skipped)
      for (let page = skipped.next(0); page !== -1; page = skipped.next(page + 1)) {
        if (secondChance.has(page) && working.count < most) working.add(page)
        secondChance.add(page)
      }
    },
    leaveOut: () => ({ deferred: working }),
  }
}
