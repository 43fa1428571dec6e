/** Intents that many strategies use, by name. */

import type { ReadonlyPageSet } from '../memory/page-set.js'
import type { Intent, LaneName, View } from '../migration/strategy.js'

export function copy(pages: ReadonlyPageSet, via: LaneName): Intent {
  return { do: 'copy', lanes: [{ pages, via }] }
}

/** Xen's live round: all pages, but those that the guest writes to again before their turn. */
export function copySkipping(pages: ReadonlyPageSet, via: LaneName): Intent {
  return { do: 'copy', lanes: [{ pages, via }], skipRedirtied: true }
}

/** Suspends, sends what is left, hands over: the end of every pre-copy scheme. */
export function* stopAndCopy(via: LaneName): Generator<Intent, void, View> {
  const view = yield { do: 'suspend' }
  if (view.unsent.count > 0) yield copy(view.unsent, via)
  yield { do: 'handover', via }
}

/** Another scheme's decisions, with a copy of the disk that runs beside over before the guest is suspended. */
export function* diskSettled(decisions: Iterator<Intent, void, View>): Generator<Intent, void, View> {
  for (let next = decisions.next(); !next.done; ) {
    if (next.value.do === 'suspend') yield { do: 'awaitDisk', left: 0 }
    const view: View = yield next.value
    next = decisions.next(view)
  }
}
