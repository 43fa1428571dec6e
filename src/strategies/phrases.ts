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
