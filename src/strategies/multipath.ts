/**
 * Packets of equal priority (future work of Moslehi & Mohebbi), our reconstruction: the pages of a round go over
 * several channels, each on a path of its own where there are several, and the channel whose queue is shortest gets the
 * next batch. Rounds and their end are those of Xen 4.2.3 without its skip rule.
 */

import type { ReadonlyPageSet } from '../memory/page-set.js'
import type { Intent, LaneName, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { familyOptions, stopsAfterRound } from './deferral.js'
import { integer, type OptionValues, optionHelp, readOptions } from './options.js'

const { via: _via, ...rounds } = familyOptions
const options = {
  channels: integer(4, 1, 16, 'connections of the same class; each keeps to one path'),
  ...rounds,
}

const info: SchemeInfo = {
  name: 'multipath',
  number: 20,
  title: 'Equal priority over parallel paths (future work of Moslehi & Mohebbi)',
  idea: 'Spread the pages over channels of one class, pinned to parallel paths; the shortest queue gets the next batch.',
  source: 'Moslehi & Mohebbi, future work (one sentence)',
  origin: 'reconstruction',
  ours: 'All of it but the wish. Parallel paths are link.paths, deficit round robin within a class is link.per_flow; without them the channels share one port. No flowlets, since a channel keeps to its path.',
  options: optionHelp(options),
}

export const multipath: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    const channels = Array.from({ length: chosen.channels - 1 }, (_, i): LaneName => `channel-${i + 2}`)
    return { info, lanes: channels, decide: (view) => decide(chosen, ['bulk', ...channels], view) }
  },
}

function* decide(
  chosen: OptionValues<typeof options>,
  channels: readonly LaneName[],
  first: View,
): Generator<Intent, void, View> {
  let view = first
  for (;;) {
    view = yield spread(channels, view.unsent)
    if (stopsAfterRound({ ...chosen, via: 'bulk' }, view)) break
    view = yield { do: 'syncDirty' }
  }
  view = yield { do: 'suspend' }
  if (view.unsent.count > 0) yield spread(channels, view.unsent)
  yield { do: 'handover', via: chosen.final_via }
}

function spread(channels: readonly LaneName[], pages: ReadonlyPageSet): Intent {
  return { do: 'copy', lanes: channels.map((via) => ({ pages, via })), sharePages: true }
}
