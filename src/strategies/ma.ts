/**
 * Frequently updated pages in a bitmap page (Ma, Liu & Liu, ICSESS 2010): a page that was dirtied in one round and
 * already again before its turn in the next is updated frequently, and goes out once, in the last round.
 */

import type { SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { type Classifier, deferringRounds, familyOptions, HeldPages, pagesOf } from './deferral.js'
import { decimal, integer, type OptionValues, optionHelp, readOptions } from './options.js'

const options = {
  hits: integer(1, 0, 255, 'times that a page must be found so before it is held back; 0: never (plain Xen)'),
  max_held: decimal(0.1, 0, 1, 'share of memory held back at most; the coldest pages go out after all'),
  ...familyOptions,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'ma',
  number: 9,
  title: 'Frequently updated pages in the last round (Ma 2010)',
  idea: 'A page found dirty again before its turn is marked in a bitmap and sent in the last round only.',
  source: 'Ma, Liu & Liu, ICSESS 2010 (abstract); Xen 3.3.0 as base',
  origin: 'published',
  ours: 'What counts as frequent (the abstract names a bitmap of such pages only), and the limit on pages held back.',
  options: optionHelp(options),
}

export const ma: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => deferringRounds(chosen, classifier(chosen, view), view) }
  },
}

function classifier(chosen: Options, first: View): Classifier {
  const held = new HeldPages(first.totalPages, pagesOf(chosen.max_held, first))
  const hits = new Uint8Array(first.totalPages)
  return {
    observe: ({ round, lastCopy: { skipped } }) => {
      // In the first round every page is to be sent, so that a skipped one was dirtied once only.
      if (round === 0 || chosen.hits === 0) return
      for (let page = skipped.next(0); page !== -1; page = skipped.next(page + 1)) {
        hits[page] = Math.min(255, hits[page]! + 1)
        if (hits[page]! >= chosen.hits) held.add(page)
      }
      held.releaseCold(hits)
    },
    leaveOut: () => ({ deferred: held.pages }),
  }
}
