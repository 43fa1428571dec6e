/**
 * Working set from an LRU list with a splay tree, found before the first round (Zaw & Thein, IJCST 2012): the pages
 * most recently accessed are left out of the rounds and sent with the processor state.
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { type Classifier, deferringRounds, familyOptions, pagesOf } from './deferral.js'
import { decimal, duration, type OptionValues, optionHelp, readOptions } from './options.js'
import { RecentPages } from './recent-pages.js'

const options = {
  list: decimal(0.1, 0, 1, 'share of memory that the working set list holds; 0: none (plain Xen)'),
  observe_for: duration(
    '1s',
    'longest observation before the first round; it ends after 4 accesses a list entry',
  ),
  ...familyOptions,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'zaw',
  number: 12,
  title: 'LRU cache and splay tree (Zaw & Thein 2012)',
  idea: 'A working set list is learnt before the first round; the rounds leave it out, the last one sends it.',
  source: 'Zaw & Thein, IJCST 3(3), 2012',
  origin: 'published',
  ours: 'The size of the list and how long it is learnt.',
  options: optionHelp(options),
}

export const zaw: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => decide(chosen, view) }
  },
}

/** Looks at the accesses during the observation, so that the list is complete when it is full. */
const looks = 100

function* decide(chosen: Options, first: View): Generator<Intent, void, View> {
  const capacity = pagesOf(chosen.list, first)
  if (capacity === 0) {
    return yield* deferringRounds(chosen, { leaveOut: () => ({}) }, first)
  }
  const recent = new RecentPages(first.totalPages, capacity)
  const accesses = { latest: 4 * capacity } as const
  let view = yield { do: 'readAccesses', ...accesses }
  for (let look = 0, seen = 0; look < looks && seen < accesses.latest; look++) {
    yield { do: 'wait', forNs: Math.ceil(chosen.observe_for / looks) }
    view = yield { do: 'readAccesses', ...accesses }
    recent.accessAll(view.accesses.sequence)
    seen += view.accesses.sequence.length
  }
  const classifier: Classifier = {
    accesses,
    leaveOut: ({ accesses: { sequence } }) => {
      recent.accessAll(sequence)
      return { deferred: recent.pages }
    },
  }
  yield* deferringRounds(chosen, classifier, view)
}
