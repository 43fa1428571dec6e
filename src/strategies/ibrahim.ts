/**
 * Control by the memory rate of change (Ibrahim et al., SC 2011), our reconstruction of the rules: no rate limit and no
 * fixed downtime target; the migration ends when what is dirty after a round is small enough, stays as it is, is at
 * the bottom of a period, or grows.
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { choice, duration, integer, lane, type OptionValues, optionHelp, readOptions } from './options.js'
import { copy, stopAndCopy } from './phrases.js'

const options = {
  floor: duration('30ms', 'estimated copy time of the dirty pages that is good enough'),
  rules: choice(['all', 'floor-only'], 'all', 'all rules, or only the floor (QEMU with that downtime limit)'),
  max_rounds: integer(1000, 1, 1_000_000, 'live rounds at most'),
  via: lane('bulk', 'lane of the live rounds'),
  final_via: lane('final', 'lane of the last round and the device state'),
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'ibrahim',
  number: 14,
  title: 'Pre-copy for memory-intensive applications (Ibrahim et al. 2011)',
  idea: 'Rounds go on while they make the dirty memory smaller: the application, not a fixed target, says when to stop.',
  source: 'Ibrahim et al., SC 2011 (abstract and introduction)',
  origin: 'reconstruction',
  ours: 'The principle is theirs; the rules of when memory stays, oscillates or grows, and their thresholds, are ours.',
  options: optionHelp(options),
}

export const ibrahim: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => decide(chosen, view) }
  },
}

function* decide(chosen: Options, first: View): Generator<Intent, void, View> {
  const dirty: number[] = []
  let view = first
  do {
    view = yield copy(view.unsent, chosen.via)
    const goodputBps = view.lastCopy.goodputBps
    view = yield { do: 'syncDirty' }
    dirty.push(view.unsent.count)
    if (isSmall(chosen, view, goodputBps)) break
    if (chosen.rules === 'all' && (isSteady(dirty) || isAtBottom(dirty) || isGrowing(dirty, view))) break
  } while (view.round < chosen.max_rounds)
  yield* stopAndCopy(chosen.final_via)
}

function isSmall(chosen: Options, view: View, goodputBps: number): boolean {
  if (view.unsent.count === 0) return true
  const bits = view.unsent.count * view.pageBytes * 8
  return goodputBps > 0 && (bits * 1e9) / goodputBps <= chosen.floor
}

const steadyRounds = 3
const steadyChange = 0.1
const bottomMargin = 1.1

/** No further progress: three rounds in a row within a tenth of the one before. */
function isSteady(dirty: readonly number[]): boolean {
  if (dirty.length < steadyRounds + 1) return false
  return dirty.slice(-steadyRounds).every((pages, i) => {
    const before = dirty[dirty.length - steadyRounds + i - 1]!
    return Math.abs(pages - before) <= steadyChange * before
  })
}

/** Phases of the application: a full period was seen, and this round is as low as the lowest but a tenth. */
function isAtBottom(dirty: readonly number[]): boolean {
  const peaks = dirty.filter((pages, i) => i > 0 && pages > dirty[i - 1]! && pages > (dirty[i + 1] ?? pages))
  const lowest = Math.min(...dirty)
  return peaks.length >= 2 && dirty.at(-1)! <= bottomMargin * lowest
}

/** More dirty memory than a round before in three rounds, after twice the memory went out. */
function isGrowing(dirty: readonly number[], view: View): boolean {
  const growing = dirty.filter((pages, i) => i > 0 && pages > dirty[i - 1]!).length
  return growing >= 3 && view.sentPages > 2 * view.totalPages
}
