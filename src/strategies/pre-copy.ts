/**
 * Iterative pre-copy (Clark et al., NSDI 2005) with the stop rules that real toolstacks use.
 * `xen42`: Xen 4.2.3 tools/libxc/xc_domain_save.c. `threshold-only`: rounds until the outstanding memory is small,
 * the baseline of Cha et al. (section III).
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { unreachable } from '../support/assert.js'
import { choice, integer, lane, type OptionValues, optionHelp, readOptions } from './options.js'
import { copy, copySkipping, stopAndCopy } from './phrases.js'

const options = {
  profile: choice(['xen42', 'threshold-only'], 'xen42', 'stop rule and send rule'),
  threshold_pages: integer(50, 0, 2 ** 32, 'outstanding pages at which the guest is suspended'),
  max_rounds: integer(29, 1, 1_000_000, 'live rounds at most (threshold-only: no bound unless given)'),
  via: lane('bulk', 'lane of the live rounds'),
  final_via: lane('final', 'lane of the last round and the device state'),
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'pre-copy',
  number: 2,
  title: 'Iterative pre-copy (Clark et al. 2005; Xen)',
  source: 'Clark et al., NSDI 2005; Xen 4.2.3 tools/libxc/xc_domain_save.c; Cha et al. section III',
  origin: 'published',
  options: optionHelp(options),
}

export const preCopy: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    const roundsGiven = 'max_rounds' in given
    switch (chosen.profile) {
      case 'xen42':
        return { info, decide: (view) => xen42(chosen, view) }
      case 'threshold-only':
        return { info, decide: (view) => thresholdOnly(chosen, roundsGiven, view) }
      default:
        return unreachable(chosen.profile)
    }
  },
}

/** Stops after a live round if it was the 29th, moved fewer than 50 pages, or 3 times the memory has gone out. */
function* xen42(options: Options, view: View): Generator<Intent, void, View> {
  let stop = false
  while (!stop) {
    view = yield copySkipping(view.unsent, options.via)
    const { sentPages, skippedPages } = view.lastCopy
    stop =
      view.round + 1 >= options.max_rounds ||
      sentPages + skippedPages < options.threshold_pages ||
      view.sentPages > 3 * view.totalPages
    if (!stop) view = yield { do: 'syncDirty' }
  }
  yield* stopAndCopy(options.final_via)
}

function* thresholdOnly(options: Options, bounded: boolean, view: View): Generator<Intent, void, View> {
  do {
    yield copy(view.unsent, options.via)
    view = yield { do: 'syncDirty' }
  } while (view.unsent.count > options.threshold_pages && (!bounded || view.round < options.max_rounds))
  yield* stopAndCopy(options.final_via)
}
