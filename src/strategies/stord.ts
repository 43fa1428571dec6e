/**
 * Split transfer omitting redundant dirty pages (Cha et al., 2015). Memory is cut into k pieces; each step sends the
 * next piece and what was dirtied in pieces already sent, but not what was dirtied in pieces still to come. What is
 * dirty after the last piece is cut into k pieces again.
 *
 * The paper's PM (table 1, line 8) is read as everything sent so far: taken as the last step only, a page of piece 1
 * dirtied during step 3 would be lost, and equation (3) would not follow. The stop rule is asked after every step,
 * so that k = 1 ends (as printed it would not).
 */

import type { ReadonlyPageSet } from '../memory/page-set.js'
import { PageSet } from '../memory/page-set.js'
import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { flag, integer, lane, type OptionValues, optionHelp, readOptions } from './options.js'
import { copy, copySkipping, stopAndCopy } from './phrases.js'

const options = {
  split: integer(2, 1, 4096, 'pieces that the memory is cut into (k)'),
  threshold_pages: integer(50, 0, 2 ** 32, 'outstanding pages at which the guest is suspended'),
  skip: flag(
    false,
    'leave out pages that are written again before their turn, as Xen does; the paper does not',
  ),
  max_volume: integer(
    10,
    1,
    1000,
    'multiples of memory sent after which the guest is suspended; not in the paper',
  ),
  max_steps: integer(10_000, 1, 1_000_000, 'steps after which the guest is suspended; not in the paper'),
  via: lane('bulk', 'lane of the steps'),
  final_via: lane('final', 'lane of the last copy and the device state'),
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'stord',
  number: 5,
  title: 'Split transfer omitting redundant dirty pages (STORD)',
  idea: 'Send memory in k pieces, each with what was dirtied in pieces already sent; what is dirtied in pieces to come goes with them.',
  source: 'Cha, Shin & Kim, IJCEE 7(1), 2015',
  origin: 'published',
  ours: 'PM is read as everything sent so far, the stop rule is asked after every step, and volume and steps are bounded.',
  options: optionHelp(options),
}

export const stord: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => decide(chosen, view) }
  },
}

function* decide(options: Options, view: View): Generator<Intent, void, View> {
  for (let stop = false, steps = 0; !stop; ) {
    yield { do: 'declare', outstanding: view.unsent }
    const waiting = view.unsent.clone()
    for (const piece of pieces(view.unsent, options.split)) {
      waiting.deleteAll(piece)
      const send = view.unsent.clone()
      send.deleteAll(waiting)
      yield options.skip ? copySkipping(send, options.via) : copy(send, options.via)
      view = yield { do: 'syncDirty' }
      stop = view.unsent.count <= options.threshold_pages || isCapped(options, view, ++steps)
      if (stop) break
    }
  }
  yield* stopAndCopy(options.final_via)
}

function isCapped(options: Options, view: View, steps: number): boolean {
  return steps >= options.max_steps || view.sentPages > options.max_volume * view.totalPages
}

/** Contiguous in address order, sizes differing by one page at most; fewer than `count` when there are fewer pages. */
export function pieces(pages: ReadonlyPageSet, count: number): readonly PageSet[] {
  const list = new Uint32Array(pages.count)
  pages.fill(0, list)
  const cuts = Math.min(count, list.length)
  return Array.from({ length: cuts }, (_, i) => {
    const piece = new PageSet(pages.capacity)
    piece.addList(list, Math.floor((i * list.length) / cuts), Math.floor(((i + 1) * list.length) / cuts))
    return piece
  })
}
