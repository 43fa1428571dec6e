/**
 * Iterative pre-copy (Clark et al., NSDI 2005) with the rules that real toolstacks stop by.
 * `xen42`: Xen 4.2.3 tools/libxc/xc_domain_save.c. `xen-new`: Xen tools/libs/guest/xg_sr_save.c. `clark05`: the
 * rate adaptation of Clark et al. section 5.3, or that of xc_linux_save.c of 2005. `threshold-only`: rounds until the
 * outstanding memory is small, the baseline of Cha et al. (section III).
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { unreachable } from '../support/assert.js'
import {
  choice,
  integer,
  lane,
  memorySize,
  type OptionValues,
  optionHelp,
  rate,
  readOptions,
} from './options.js'
import { copy, copySkipping, stopAndCopy } from './phrases.js'

const options = {
  profile: choice(
    ['xen42', 'xen-new', 'clark05', 'threshold-only'],
    'xen42',
    'send rule, stop rule and rate rule',
  ),
  skip: choice(
    ['profile', 'on', 'off'],
    'profile',
    'leave out pages that are written again before their turn; profile: on with xen42 and clark05',
  ),
  threshold_pages: integer(50, 0, 2 ** 32, 'pages below which the guest is suspended (not clark05)'),
  max_rounds: integer(
    29,
    1,
    1_000_000,
    'live rounds at most; where not given: xen-new 5, threshold-only any',
  ),
  min_rate: rate('100mbit', 'clark05: page payload rate of the first round'),
  max_rate: rate('500mbit', 'clark05: page payload rate at most, and that of the last round'),
  rate_step: rate('50mbit', 'clark05: how far the rate goes above the dirty rate of the round before'),
  rate_rule: choice(
    ['paper', 'code'],
    'paper',
    'clark05: follow the dirty rate up and down, or as the code of 2005 did, upwards only',
  ),
  remainder: memorySize('256KiB', 'clark05: outstanding memory below which the guest is suspended'),
  via: lane('bulk', 'lane of the live rounds'),
  final_via: lane('final', 'lane of the last round and the device state'),
}

type Options = OptionValues<typeof options>

const xenNewRounds = 5

const info: SchemeInfo = {
  name: 'pre-copy',
  number: 2,
  title: 'Iterative pre-copy (Clark et al. 2005; Xen)',
  idea: 'Send everything while the guest runs, then again and again what it wrote meanwhile, then suspend for the rest.',
  source:
    'Clark et al., NSDI 2005; Xen 4.2.3 tools/libxc/xc_domain_save.c; Xen tools/libs/guest/xg_sr_save.c; Cha et al. section III',
  origin: 'published',
  ours: 'The rate rule "paper" of clark05 is from memory of the paper; the rule "code" is that of xc_linux_save.c.',
  options: optionHelp(options),
}

export const preCopy: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    const maxRounds = 'max_rounds' in given ? chosen.max_rounds : undefined
    switch (chosen.profile) {
      case 'xen42':
        return { info, decide: (view) => xen42(chosen, view) }
      case 'xen-new':
        return { info, decide: (view) => xenNew(chosen, maxRounds ?? xenNewRounds, view) }
      case 'clark05':
        return { info, decide: (view) => clark05(chosen, view) }
      case 'threshold-only':
        return { info, decide: (view) => thresholdOnly(chosen, maxRounds ?? Number.POSITIVE_INFINITY, view) }
      default:
        return unreachable(chosen.profile)
    }
  },
}

/** The stop rule of Xen that these options ask for; undefined where they ask for another. */
export function xenPolicy(given: Readonly<Record<string, unknown>>):
  | {
      readonly profile: 'xen42' | 'xen-new'
      readonly thresholdPages: number
      readonly maxRounds: number
      readonly skip: boolean
    }
  | undefined {
  const chosen = readOptions(info.name, options, given)
  const { profile, threshold_pages: thresholdPages } = chosen
  if (profile !== 'xen42' && profile !== 'xen-new') return undefined
  const maxRounds = profile === 'xen42' || 'max_rounds' in given ? chosen.max_rounds : xenNewRounds
  return { profile, thresholdPages, maxRounds, skip: skips(chosen) }
}

/** Stops after a live round if it was the 29th, moved fewer than 50 pages, or 3 times the memory has gone out. */
function* xen42(options: Options, view: View): Generator<Intent, void, View> {
  let stop = false
  while (!stop) {
    view = yield liveRound(options, view)
    const { sentPages, skippedPages } = view.lastCopy
    stop =
      view.round + 1 >= options.max_rounds ||
      sentPages + skippedPages < options.threshold_pages ||
      view.sentPages > 3 * view.totalPages
    if (!stop) view = yield { do: 'syncDirty' }
  }
  yield* stopAndCopy(options.final_via)
}

/** Asked before each round: fewer than 50 dirty pages, or 5 rounds done. What is known to be dirty still goes out live. */
function* xenNew(options: Options, maxRounds: number, view: View): Generator<Intent, void, View> {
  let few = false
  for (let rounds = 0; rounds < maxRounds && !few; rounds++) {
    if (rounds > 0) view = yield { do: 'syncDirty' }
    few = view.unsent.count < options.threshold_pages
    if (view.unsent.count > 0) view = yield liveRound(options, view)
  }
  yield* stopAndCopy(options.final_via)
}

function* thresholdOnly(options: Options, maxRounds: number, view: View): Generator<Intent, void, View> {
  do {
    yield liveRound(options, view)
    view = yield { do: 'syncDirty' }
  } while (view.unsent.count > options.threshold_pages && view.round < maxRounds)
  yield* stopAndCopy(options.final_via)
}

/** Each round is a little faster than the guest dirtied in the one before; too fast, or little left, ends it. */
function* clark05(options: Options, view: View): Generator<Intent, void, View> {
  let rateBps = options.min_rate
  let sentBefore = view.totalPages
  for (;;) {
    const { pages, via, skip } = round(options, view)
    view = yield { do: 'copy', lanes: [{ pages, via, rateLimitBps: rateBps }], skipRedirtied: skip }
    const { sentPages, durationNs } = view.lastCopy
    const outstandingBytes = (view.redirtied.count + view.unsent.count) * view.pageBytes
    const dirtyBps = durationNs > 0 ? (view.redirtied.count * view.pageBytes * 8e9) / durationNs : 0
    const next = nextRate(options, rateBps, dirtyBps, sentPages > sentBefore)
    if (outstandingBytes < options.remainder || next === 'stop' || view.round + 1 >= options.max_rounds) break
    rateBps = next
    sentBefore = sentPages
    view = yield { do: 'syncDirty' }
  }
  view = yield { do: 'suspend' }
  const last = { pages: view.unsent, via: options.final_via, rateLimitBps: options.max_rate }
  if (view.unsent.count > 0) yield { do: 'copy', lanes: [last] }
  yield { do: 'handover', via: options.final_via }
}

function nextRate(options: Options, rateBps: number, dirtyBps: number, sentMore: boolean): number | 'stop' {
  const { min_rate, max_rate, rate_step, rate_rule } = options
  if (rate_rule === 'code') {
    if (sentMore && rateBps >= max_rate) return 'stop'
    return dirtyBps > rateBps ? Math.min(max_rate, dirtyBps + rate_step) : rateBps
  }
  const wanted = Math.max(min_rate, dirtyBps + rate_step)
  return wanted > max_rate ? 'stop' : wanted
}

function liveRound(options: Options, view: View): Intent {
  const { pages, via, skip } = round(options, view)
  return skip ? copySkipping(pages, via) : copy(pages, via)
}

function round(options: Options, view: View): { pages: View['unsent']; via: Options['via']; skip: boolean } {
  return { pages: view.unsent, via: options.via, skip: skips(options) }
}

function skips(options: Options): boolean {
  const byProfile = options.profile === 'xen42' || options.profile === 'clark05'
  return options.skip === 'profile' ? byProfile : options.skip === 'on'
}
