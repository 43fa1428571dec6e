/**
 * Pages that shared storage has (Gustafsson 2013; Jo, Gustafsson, Son & Egger, VEE 2013): pre-copy that names the block
 * in place of a page which the guest read from network storage and has not written to since; the destination reads the
 * block from storage itself, and resumes the guest when it has them all.
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { choice, decimal, optionHelp, readOptions } from './options.js'
import { preCopy } from './pre-copy.js'

const options = {
  share: decimal(0.5, 0, 1, 'share of memory that the guest has read from shared storage; 0: plain pre-copy'),
  profile: choice(
    ['xen42', 'xen-new', 'threshold-only'],
    'xen42',
    'rounds and stop rule, as those of pre-copy',
  ),
}

const info: SchemeInfo = {
  name: 'shared-storage',
  number: 21,
  title: 'Pages that are on shared storage (Gustafsson 2013, Jo et al. 2013)',
  idea: 'A page that is a copy of a block on network storage goes as the number of the block; the destination fetches it there.',
  source: 'Gustafsson, thesis, Seoul National University 2013; Jo et al., VEE 2013 (abstracts)',
  origin: 'published',
  ours: 'The format of the map, the share and the choice of the cached pages. Pages that were written are not written back, so that storage is always as the map says. In the lab storage is a process on the host "neighbour": its blocks cross the same congested port as the migration, which spares the source but not the port.',
  options: optionHelp(options),
}

export const sharedStorage: StrategyFactory = {
  info,
  create: (given) => {
    const { share, profile } = readOptions(info.name, options, given)
    const base = preCopy.create({ profile })
    if (share === 0) return { info, decide: base.decide }
    return { info, lanes: ['storage'], decide: (view) => mapped(base.decide(view), share) }
  },
}

/** Another scheme's decisions, with the map in every copy. */
function* mapped(decisions: Iterator<Intent, void, View>, share: number): Generator<Intent, void, View> {
  for (let next = decisions.next(); !next.done; ) {
    const intent = next.value
    const view: View =
      intent.do === 'copy'
        ? yield {
            ...intent,
            lanes: intent.lanes.map((lane) => ({ ...lane, encoding: { kind: 'map', share } })),
          }
        : yield intent
    next = decisions.next(view)
  }
}
