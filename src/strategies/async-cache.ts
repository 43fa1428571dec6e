/**
 * Asynchronous cache and prioritised packets (Moslehi & Mohebbi). Every page is streamed once; what is dirtied behind
 * the stream waits in a cache, each page at most once. Below PrmA of memory the cache only fills; from PrmA on it is
 * flushed beside the stream; from PrmB on writers pay: each write of a new page waits for a flush. The priority is
 * the class of the lanes (`migration.marking`): CS7, so PCP 7.
 *
 * The paper's flow chart is an image and its prose leaves gaps. What fills them follows the kernel mechanism that its
 * words describe (vm.dirty_background_ratio, vm.dirty_ratio; Linux 3.0 mm/page-writeback.c); each gap that could be
 * read otherwise is an option.
 */

import { PageSet } from '../memory/page-set.js'
import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
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
import { PageQueue } from './page-queue.js'
import { stopAndCopy } from './phrases.js'

const options = {
  prm_a: decimal(0.05, 0, 1, 'PrmA: share of memory in the cache from which it is flushed'),
  prm_b: decimal(0.7, 0, 1, 'PrmB: share of memory in the cache from which writers wait; 1: never'),
  chunk_pages: integer(1024, 1, 2 ** 20, 'pages flushed for each write that waits'),
  step_pages: integer(
    0,
    0,
    2 ** 20,
    'pages between two looks at the cache; 0: a 128th of memory, 16 to a chunk',
  ),
  count_stream: flag(false, 'pages not yet streamed count as cached: the guest is held at once (gap c)'),
  after_stream: choice(
    ['drain', 'stop-at-a'],
    'drain',
    'a cache below PrmA after the stream is flushed in passes, or goes out with the guest suspended (gap e)',
  ),
  sync_mode: choice(
    ['hold-writers', 'pause-all'],
    'hold-writers',
    'above PrmB only writers of new pages wait, or the guest stands still (gap f)',
  ),
  latch: flag(false, 'once writers have waited they wait to the end (gap g); else until (PrmA + PrmB) / 2'),
  redirtied: choice(
    ['keep-place', 'to-end'],
    'keep-place',
    'a cached page that is written again keeps its place, or goes to the end (gap h)',
  ),
  expire: duration('0s', 'pages cached longer than this are flushed below PrmA too; 0s: never (gap i)'),
  max_volume: integer(3, 1, 1000, 'multiples of memory sent after which the guest is suspended (Xen 4.2.3)'),
  max_turnovers: integer(29, 1, 1_000_000, 'times PrmA of memory flushed after which the guest is suspended'),
  via: lane('bulk', 'lane of the stream and the flushes'),
  final_via: lane('final', 'lane of the last copy and the device state'),
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'async-cache',
  number: 8,
  title: 'Asynchronous cache and prioritised packets (Moslehi & Mohebbi)',
  idea: 'Dirty pages wait in a cache, each once; it is flushed in the background from PrmA on, and writers pay for flushes from PrmB on.',
  source: 'Moslehi Takantapeh & Mohebbi; gaps filled after Linux 3.0 mm/page-writeback.c',
  origin: 'published',
  ours: 'The flow chart is an image and the prose leaves gaps; each is filled after the kernel mechanism whose words the paper uses, and is an option.',
  options: optionHelp(options),
}

export const asyncCache: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => decide(chosen, view) }
  },
}

/** Passes over a cache that stays below PrmA, at most; and the least that one must shrink it by to go on. */
const drainPasses = 5
const drainShrink = 0.1
/** Pages in the cache below which it is worth no pass (Xen's threshold). */
const fewPages = 50

function* decide(options: Options, first: View): Generator<Intent, void, View> {
  const run = new Migration(options, first)
  let view = first
  while (!run.mustEnd(view)) {
    const mode = run.mode()
    if (mode === 'drain') {
      if (options.after_stream === 'drain') view = yield* drain(run, view)
      break
    }
    if (options.sync_mode === 'pause-all') yield* run.pauseOrResume(mode)
    view = yield run.step(mode, view)
    run.noteRewritten(view)
    view = yield { do: 'syncDirty', ...(run.turnedOver() ? {} : { sameRound: true }) }
    run.noteDirty(view)
  }
  yield* stopAndCopy(options.final_via)
}

/** The cache would never reach PrmA again: flush what it holds, pass by pass, while that makes it smaller. */
function* drain(run: Migration, first: View): Generator<Intent, View, View> {
  let view = first
  for (let pass = 0; pass < drainPasses && run.cached >= fewPages; pass++) {
    const before = run.cached
    view = yield run.flush(before)
    run.noteRewritten(view)
    view = yield { do: 'syncDirty' }
    run.noteDirty(view)
    if (run.cached > (1 - drainShrink) * before) break
  }
  return view
}

type Mode = 'accumulate' | 'flush' | 'hold' | 'drain'

class Migration {
  readonly #options: Options
  readonly #totalPages: number
  readonly #stepPages: number
  readonly #turnoverPages: number
  /** Pages that the stream has not reached. */
  readonly #ahead: PageSet
  readonly #cache: PageQueue
  #holding = false
  #paused = false
  #flushedPages = 0
  #turnovers = 0
  #nowNs = 0

  constructor(options: Options, view: View) {
    this.#options = options
    this.#totalPages = view.totalPages
    this.#ahead = view.unsent.clone()
    this.#cache = new PageQueue(view.totalPages)
    const auto = Math.min(options.chunk_pages, Math.max(16, Math.floor(view.totalPages / 128)))
    this.#stepPages = options.step_pages === 0 ? auto : options.step_pages
    const turnover = options.prm_a * view.totalPages
    this.#turnoverPages = turnover > 0 ? turnover : Number.POSITIVE_INFINITY
  }

  get cached(): number {
    return this.#cache.count
  }

  /** Step 8 of the flow chart (nothing is dirty any more), and the caps of Xen 4.2.3. */
  mustEnd(view: View): boolean {
    const { max_volume, max_turnovers } = this.#options
    const done = this.#ahead.count === 0 && this.#cache.count === 0
    return done || view.sentPages > max_volume * this.#totalPages || this.#turnovers >= max_turnovers
  }

  /** What the next step is, by the level of the cache. */
  mode(): Mode {
    const { prm_a, prm_b, latch } = this.#options
    const level = this.#level()
    const release = (prm_a + prm_b) / 2
    if (prm_b < 1 && level >= prm_b) this.#holding = true
    else if (!latch && level < release) this.#holding = false
    if (this.#holding && this.#cache.count > 0) return 'hold'
    if (this.#cache.count > 0 && (level >= prm_a || this.#expired())) return 'flush'
    return this.#ahead.count > 0 ? 'accumulate' : 'drain'
  }

  step(mode: Exclude<Mode, 'drain'>, view: View): Intent {
    switch (mode) {
      case 'accumulate':
        return this.#copy(this.#takeAhead(this.#stepPages))
      case 'flush': {
        if (this.#ahead.count === 0) return this.flush(this.#stepPages)
        const half = Math.ceil(this.#stepPages / 2)
        return this.#copy(alternate(this.#takeAhead(half), this.#takeCached(half)))
      }
      case 'hold': {
        const chunk = this.#takeCached(this.#options.chunk_pages)
        if (this.#options.sync_mode === 'pause-all') return this.#copy(chunk)
        // A page on its way is in the cache no longer: to write to it again is to dirty a new page.
        const free = view.unsent.clone()
        free.deleteAll(PageSet.of(this.#totalPages, chunk))
        return { ...this.#copy(chunk), holdWritesOutside: free }
      }
    }
  }

  flush(pages: number): Intent {
    return this.#copy(this.#takeCached(pages))
  }

  *pauseOrResume(mode: Mode): Generator<Intent, void, View> {
    if ((mode === 'hold') === this.#paused) return
    this.#paused = mode === 'hold'
    yield { do: 'throttle', withhold: this.#paused ? 1 : 0 }
  }

  /** What is dirty behind the stream waits in the cache. */
  noteDirty(view: View): void {
    const behind = view.unsent.clone()
    behind.deleteAll(this.#ahead)
    this.#nowNs = view.nowNs
    this.#cache.add(behind, view.nowNs)
  }

  noteRewritten(view: View): void {
    if (this.#options.redirtied === 'to-end') this.#cache.moveToEnd(view.redirtied)
  }

  /** True once each time that another PrmA of memory was flushed: the nearest thing to a round. */
  turnedOver(): boolean {
    if (this.#flushedPages < this.#turnoverPages) return false
    this.#flushedPages -= this.#turnoverPages
    this.#turnovers++
    return true
  }

  #level(): number {
    const counted = this.#options.count_stream ? this.#ahead.count : 0
    return (this.#cache.count + counted) / this.#totalPages
  }

  #expired(): boolean {
    const { expire } = this.#options
    return expire > 0 && this.#cache.oldestNs(this.#nowNs) > expire
  }

  #copy(pages: Uint32Array): Extract<Intent, { do: 'copy' }> {
    return { do: 'copy', lanes: [{ pages, via: this.#options.via }] }
  }

  #takeAhead(most: number): Uint32Array {
    const pages = new Uint32Array(Math.min(most, this.#ahead.count))
    this.#ahead.fill(0, pages)
    this.#ahead.deleteAll(PageSet.of(this.#totalPages, pages))
    return pages
  }

  #takeCached(most: number): Uint32Array {
    const pages = this.#cache.take(most)
    this.#flushedPages += pages.length
    return pages
  }
}

/** One page of each in turn; what is left of the longer one follows. */
function alternate(one: Uint32Array, other: Uint32Array): Uint32Array {
  const merged = new Uint32Array(one.length + other.length)
  for (let i = 0, at = 0; at < merged.length; i++) {
    if (i < one.length) merged[at++] = one[i]!
    if (i < other.length) merged[at++] = other[i]!
  }
  return merged
}
