/**
 * A priority manager (future work of Moslehi & Mohebbi), our reconstruction: ten times a second the migration's need is
 * weighed against what it gets, and its pages go on the lane of a higher or lower class. What other flows were promised
 * is left to them: the migration limits itself. Rounds and their end are those of Xen 4.2.3.
 */

import type { Intent, LaneName, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { familyOptions, stopsAfterRound } from './deferral.js'
import {
  decimal,
  duration,
  flag,
  integer,
  type OptionValues,
  optionHelp,
  rate,
  readOptions,
} from './options.js'

const { via: _via, final_via: _finalVia, ...rounds } = familyOptions
const options = {
  interval: duration('100ms', 'time between two decisions'),
  hysteresis: duration('500ms', 'shortest time between two changes of the level, but for the last copy'),
  deadline: duration('60s', 'total time that the migration should keep'),
  bulk_level: integer(5, 0, 6, 'class selector of the live rounds; one more when the deadline needs it'),
  converge_at: decimal(0.9, 0, 100, 'bytes dirtied per byte sent from which level 7 is used'),
  link_rate: rate('200mbit', 'what the congested port sends, in bits of whole frames'),
  guaranteed: rate('0bit', 'rate that other flows were promised in all; the migration leaves it to them'),
  skip: flag(true, 'leave out pages that are written again before their turn'),
  ...rounds,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'priority-manager',
  number: 20,
  title: 'Priority manager (future work of Moslehi & Mohebbi)',
  idea: 'Choose the class of the migration as it goes: low while it converges in time, higher when it must, highest for the last copy.',
  source: 'Moslehi & Mohebbi, future work (one sentence)',
  origin: 'reconstruction',
  ours: 'All of it but the wish. Guarantees of others are kept by a limit on the sender (guaranteed), or by the port (link.guarantees), or both. A level is a lane of its own.',
  options: optionHelp(options),
}

const highestLevel = 7

export const priorityManager: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    const levels = new Set([chosen.bulk_level, chosen.bulk_level + 1, highestLevel])
    const lanes = [...levels].map(laneOf)
    return { info, lanes, decide: (view) => decide(chosen, view) }
  },
}

function laneOf(level: number): LaneName {
  return `level-${level}`
}

function* decide(chosen: Options, first: View): Generator<Intent, void, View> {
  const manager = new Manager(chosen)
  let view = first
  for (let stop = false; !stop; ) {
    view = yield* round(chosen, manager, view)
    stop = stopsAfterRound({ ...chosen, via: 'bulk', final_via: 'final' }, view)
    if (!stop) view = yield { do: 'syncDirty' }
    manager.synced(view)
  }
  view = yield { do: 'suspend' }
  if (view.unsent.count > 0) yield manager.copy(view.unsent, highestLevel)
  yield { do: 'handover', via: laneOf(highestLevel) }
}

/** One live round in pieces of an interval; the view that it ends with counts the round as one copy. */
function* round(chosen: Options, manager: Manager, first: View): Generator<Intent, View, View> {
  let view = first
  let sentPages = 0
  const skipped = first.unsent.clone()
  skipped.clear()
  const left = first.unsent.clone()
  do {
    const level = manager.decide(view)
    if (manager.infeasible) view = yield { do: 'note', text: 'deadline infeasible' }
    view = yield { ...manager.copy(left, level), atMostNs: chosen.interval, skipRedirtied: chosen.skip }
    sentPages += view.lastCopy.sentPages
    skipped.addAll(view.lastCopy.skipped)
    left.retainAll(view.unsent)
    left.deleteAll(skipped)
  } while (left.count > 0)
  return { ...view, lastCopy: { ...view.lastCopy, sentPages, skippedPages: skipped.count, skipped } }
}

/** Page payload in the bits of whole frames of 1500 bytes of IP packet: the rest is headers. */
const payloadShare = ((1500 - 52) / (1500 + 18)) * (4096 / (4096 + 16))

class Manager {
  readonly #chosen: Options
  #level: number
  #changedNs = Number.NEGATIVE_INFINITY
  #syncedNs = 0
  /** The deadline needs more than others leave. */
  infeasible = false

  constructor(chosen: Options) {
    this.#chosen = chosen
    this.#level = chosen.bulk_level
  }

  synced(view: View): void {
    this.#syncedNs = view.nowNs
  }

  /** The level of the next copy. */
  decide(view: View): number {
    const { bulk_level, converge_at, hysteresis } = this.#chosen
    const { goodputBps } = view.lastCopy
    const needBps = this.#needBps(view)
    this.infeasible = needBps > this.#allowedBps()
    const dirtied = this.#dirtyBps(view)
    let level = bulk_level
    if (goodputBps > 0 && needBps > goodputBps) level = bulk_level + 1
    if (goodputBps > 0 && dirtied >= converge_at * goodputBps) level = highestLevel
    if (level !== this.#level && view.nowNs - this.#changedNs >= hysteresis) {
      this.#level = level
      this.#changedNs = view.nowNs
    }
    return this.#level
  }

  /** What others were promised is theirs, whatever the level. */
  copy(pages: View['unsent'], level: number): Extract<Intent, { do: 'copy' }> {
    const lane = { pages, via: laneOf(level) }
    const limited = this.#chosen.guaranteed === 0 ? lane : { ...lane, rateLimitBps: this.#allowedBps() }
    return { do: 'copy', lanes: [limited] }
  }

  /** Page payload rate that leaves the others what they were promised; never less than a hundredth of the link. */
  #allowedBps(): number {
    const { link_rate, guaranteed } = this.#chosen
    return payloadShare * Math.max(link_rate / 100, link_rate - guaranteed)
  }

  /** The rate at which everything that is unsent or dirty would be through by the deadline. */
  #needBps(view: View): number {
    const leftNs = this.#chosen.deadline - view.nowNs
    const bits = (view.unsent.count + view.redirtied.count) * view.pageBytes * 8
    return leftNs > 0 ? (bits * 1e9) / leftNs : Number.POSITIVE_INFINITY
  }

  /** Distinct pages written since the last sync, as a rate. */
  #dirtyBps(view: View): number {
    const sinceNs = view.nowNs - this.#syncedNs
    return sinceNs > 0 ? (view.redirtied.count * view.pageBytes * 8e9) / sinceNs : 0
  }
}
