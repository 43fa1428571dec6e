/**
 * Post-copy (Hines, Deshpande & Gopalan, VEE 2009; QEMU): the guest moves first, its memory follows, pushed and on
 * demand. Adaptive pre-paging pushes in bubbles around the pages that the guest last waited for. Hybrid: some full
 * rounds of pre-copy before.
 */

import { PageSet, type ReadonlyPageSet } from '../memory/page-set.js'
import type { Intent, PushOrder, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { pagesOf } from './deferral.js'
import {
  choice,
  decimal,
  duration,
  flag,
  integer,
  lane,
  type OptionValues,
  optionHelp,
  readOptions,
} from './options.js'
import { copy } from './phrases.js'

const options = {
  variant: choice(
    ['bubble', 'push', 'bubble-m', 'demand'],
    'bubble',
    'push: in page order; bubble: outwards from the last fault; bubble-m: from several; demand: first only on demand',
  ),
  pivots: integer(7, 1, 64, 'bubble-m: faults that bubbles grow from'),
  forward: flag(false, 'bubbles grow upwards only'),
  demand_for: duration(
    '1s',
    'demand: how long pages go on demand only; then the rest is pushed in page order',
  ),
  rounds: integer(0, 0, 100, 'full rounds of pre-copy before (hybrid); 0: none'),
  self_balloon: flag(
    false,
    'first the guest returns its free pages to the hypervisor, and they are not sent',
  ),
  balloon_reserve: decimal(0, 0, 1, 'self_balloon: free pages that it keeps, as a share of memory'),
  nonpageable: decimal(0, 0, 1, 'share of memory that must be there before the guest can run'),
  via: lane('bulk', 'lane of the rounds and the push'),
  faults_via: choice(['faults', 'bulk', 'final'], 'faults', 'lane of the pages that the guest waits for'),
  final_via: lane('final', 'lane of what is sent while the guest is suspended'),
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'post-copy',
  number: 4,
  title: 'Post-copy and hybrid (Hines & Gopalan 2009)',
  idea: 'Move the guest first; then push its memory, the pages that it waits for before all others.',
  source: 'Hines, Deshpande & Gopalan, VEE 2009 and SIGOPS OSR 2009; QEMU migration/postcopy-ram.c',
  origin: 'published',
  ours: 'Details of bubbling are from memory of the paper. Self-ballooning happens once, as the migration begins; what the guest needs afterwards it takes out of the balloon.',
  options: optionHelp(options),
}

export const postCopy: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, lanes: ['faults'], decide: (view) => decide(chosen, view) }
  },
}

function* decide(chosen: Options, first: View): Generator<Intent, void, View> {
  let view = first
  if (chosen.self_balloon) {
    view = yield { do: 'balloon', reservePages: pagesOf(chosen.balloon_reserve, first) }
  }
  for (let round = 0; round < chosen.rounds; round++) {
    if (view.unsent.count > 0) yield copy(view.unsent, chosen.via)
    view = yield { do: 'syncDirty' }
  }
  view = yield { do: 'suspend' }
  const pinned = firstOf(view.unsent, pagesOf(chosen.nonpageable, view))
  if (pinned.count > 0) view = yield copy(pinned, chosen.final_via)
  view = yield { do: 'handover', via: chosen.final_via }
  if (chosen.variant === 'demand' && view.unsent.count > 0) {
    view = yield { ...push(chosen, onDemand), atMostNs: chosen.demand_for }
  }
  if (view.unsent.count > 0) yield push(chosen, orderFor(chosen, view.unsent))
}

function push(chosen: Options, order: PushOrder): Extract<Intent, { do: 'push' }> {
  return { do: 'push', order, via: chosen.via, faultsVia: chosen.faults_via }
}

/** Pushes nothing. */
const onDemand: PushOrder = { next: () => 0, faulted: () => {} }

function orderFor(chosen: Options, missing: ReadonlyPageSet): PushOrder {
  switch (chosen.variant) {
    case 'push':
    case 'demand':
      return sequential(missing)
    case 'bubble':
      return new Bubbles(missing, 1, chosen.forward)
    case 'bubble-m':
      return new Bubbles(missing, chosen.pivots, chosen.forward)
  }
}

function sequential(missing: ReadonlyPageSet): PushOrder {
  let cursor = 0
  return {
    next: (out) => {
      const count = missing.fill(cursor, out)
      if (count > 0) cursor = out[count - 1]! + 1
      return count
    },
    faulted: () => {},
  }
}

/** Grows from a page in both directions. An edge is the next page to look at; below 0 or past the end it has stopped. */
interface Bubble {
  below: number
  above: number
}

/**
 * Pages outwards from the faults, one step of each bubble in turn. With several, an edge that meets pages that have
 * gone stops there: another bubble was there before. When all edges have stopped, the rest goes in page order.
 */
export class Bubbles implements PushOrder {
  readonly #wanted: PageSet
  readonly #gone: PageSet
  readonly #most: number
  readonly #forward: boolean
  /** Newest first. */
  #bubbles: Bubble[]
  #turn = 0

  constructor(missing: ReadonlyPageSet, pivots: number, forward: boolean) {
    this.#wanted = missing.clone()
    this.#gone = new PageSet(missing.capacity)
    this.#most = pivots
    this.#forward = forward
    this.#bubbles = [this.#from(0)]
  }

  next(out: Uint32Array): number {
    let count = 0
    while (count < out.length) {
      const page = this.#step()
      if (page === -1) break
      out[count++] = page
    }
    return count
  }

  faulted(page: number): void {
    this.#take(page)
    this.#bubbles = [this.#from(page), ...this.#bubbles].slice(0, this.#most)
    this.#turn = 0
  }

  #from(pivot: number): Bubble {
    return { below: this.#forward ? -1 : pivot - 1, above: this.#wanted.has(pivot) ? pivot : pivot + 1 }
  }

  /** The next page of the bubble whose turn it is, or the lowest that is left; -1 when none is. */
  #step(): number {
    for (let tries = 0; tries < 2 * this.#bubbles.length; tries++) {
      const turn = this.#turn++
      const bubble = this.#bubbles[(turn >>> 1) % this.#bubbles.length]!
      const page = turn % 2 === 0 ? this.#below(bubble) : this.#above(bubble)
      if (page !== -1) return this.#take(page)
    }
    const lowest = this.#wanted.next(0)
    return lowest === -1 ? -1 : this.#take(lowest)
  }

  #below(bubble: Bubble): number {
    if (bubble.below < 0) return -1
    const page = this.#stops(bubble.below) ? -1 : this.#wanted.previous(bubble.below)
    bubble.below = page === -1 ? -1 : page - 1
    return page
  }

  #above(bubble: Bubble): number {
    const end = this.#wanted.capacity
    if (bubble.above >= end) return -1
    const page = this.#stops(bubble.above) ? -1 : this.#wanted.next(bubble.above)
    bubble.above = page === -1 ? end : page + 1
    return page
  }

  #stops(edge: number): boolean {
    return this.#most > 1 && this.#gone.has(edge)
  }

  #take(page: number): number {
    this.#wanted.delete(page)
    this.#gone.add(page)
    return page
  }
}

function firstOf(pages: ReadonlyPageSet, count: number): PageSet {
  const list = new Uint32Array(Math.min(count, pages.count))
  pages.fill(0, list)
  return PageSet.of(pages.capacity, list)
}
