/**
 * Migration with an optimised credit scheduler (Amani et al. 2014), our reconstruction: while a guest migrates, its
 * weight and cap are lowered step by step when it writes too fast, and the domain that sends gets twice its weight and
 * goes first when its socket can take more. Rounds and their end are those of Xen 4.2.3.
 */

import type { Intent, Lane, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { type Domain, ranMs } from './credit-scheduler.js'
import { familyOptions, stopsAfterRound } from './deferral.js'
import { decimal, flag, integer, type OptionValues, optionHelp, rate, readOptions } from './options.js'

const options = {
  lever_guest: flag(true, 'lower weight and cap of the guest that migrates'),
  lever_sender: flag(
    true,
    'twice the weight for the domain that sends, and BOOST when its socket can take more',
  ),
  processors: integer(1, 1, 64, 'processors of the source'),
  neighbours: integer(2, 0, 64, 'other guests there, which always want to run; weight 256 each'),
  guest_weight: integer(256, 1, 65_535, 'weight of the guest'),
  sender_weight: integer(256, 1, 65_535, 'weight of the domain that sends'),
  sender_demand: decimal(0.5, 0.1, 1, 'share of a processor that the domain that sends wants'),
  sender_rate: rate('0bit', 'page payload rate of a sender with a whole processor; 0bit: no limit'),
  trigger: decimal(0.5, 0, 100, 'pages dirtied per page sent in a round from which the guest is slowed'),
  cap_step: integer(10, 1, 100, 'percent of a processor that the cap falls a round'),
  cap_min: integer(20, 1, 100, 'percent below which the cap does not fall'),
  weight_min: integer(32, 1, 65_535, 'weight below which the guest does not fall; it is halved a round'),
  ...familyOptions,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'amani',
  number: 19,
  title: 'Optimised credit scheduler (Amani et al. 2014)',
  idea: 'Schedule for the migration: less processor time for a guest that writes too fast, more for the domain that sends.',
  source: 'Amani et al. 2014 (title only); Xen 4.2.3 xen/common/sched_credit.c',
  origin: 'reconstruction',
  ours: 'Only the title could be found. The scheduler is Xen’s; both levers, their steps and limits are ours. A share of the processor acts as its mean over 3 s.',
  options: optionHelp(options),
}

export const amani: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, decide: (view) => decide(chosen, view) }
  },
}

function* decide(chosen: Options, first: View): Generator<Intent, void, View> {
  const host = new Host(chosen)
  let view = first
  let withheld = 0
  for (;;) {
    if (host.withheld !== withheld) {
      withheld = host.withheld
      view = yield { do: 'throttle', withhold: withheld }
    }
    view = yield { do: 'copy', lanes: [host.lane(view, chosen.via)], skipRedirtied: true }
    if (stopsAfterRound(chosen, view)) break
    const { sentPages } = view.lastCopy
    view = yield { do: 'syncDirty' }
    if (chosen.lever_guest && view.lastSync.count > chosen.trigger * sentPages) host.slowGuest()
  }
  // The guest leaves with its own share; an abort restores it as well.
  if (withheld > 0) view = yield { do: 'throttle', withhold: 0 }
  // Before the suspend: nobody is to wait for the reckoning.
  host.suspendGuest()
  view = yield { do: 'suspend' }
  if (view.unsent.count > 0) yield { do: 'copy', lanes: [host.lane(view, chosen.final_via)] }
  yield { do: 'handover', via: chosen.final_via }
}

/** Time over which shares are averaged: a hundred periods of accounting. */
const averagedMs = 3000
const neighbourWeight = 256

/** The processors of the source and who wants them. */
class Host {
  readonly #chosen: Options
  /** Share of a processor that the guest has without any lever. */
  readonly #guestShare: number
  #guest: Domain
  /** Reckoned only where the sender's rate depends on it. */
  #senderShare = 0
  /** Share of its usual time that the guest does not get, 0..1. */
  withheld = 0

  constructor(chosen: Options) {
    this.#chosen = chosen
    this.#guest = { weight: chosen.guest_weight, cap: 0, demand: 1, boost: false }
    this.#guestShare = this.#shares(false).guest
    this.#reckon()
  }

  /** One step down, where there is one. */
  slowGuest(): void {
    const { cap_step, cap_min, weight_min } = this.#chosen
    const { weight, cap } = this.#guest
    this.#guest = {
      ...this.#guest,
      weight: Math.min(weight, Math.max(weight_min, Math.floor(weight / 2))),
      cap: Math.max(cap_min, (cap === 0 ? 100 : cap) - cap_step),
    }
    this.#reckon()
  }

  /** From now on the guest wants no processor. */
  suspendGuest(): void {
    if (this.#chosen.sender_rate === 0) return
    this.#guest = { ...this.#guest, demand: 0 }
    this.#senderShare = this.#shares(this.#chosen.lever_sender).sender
  }

  /** All that is unsent, as fast as the sender's share of the processors lets it. */
  lane(view: View, via: Options['via']): Lane {
    const lane = { pages: view.unsent, via }
    const { sender_rate } = this.#chosen
    return sender_rate === 0 ? lane : { ...lane, rateLimitBps: sender_rate * this.#senderShare }
  }

  #reckon(): void {
    const { guest, sender } = this.#shares(this.#chosen.lever_sender)
    this.#senderShare = sender
    this.withheld = Math.max(0, 1 - guest / this.#guestShare)
  }

  #shares(favourSender: boolean): { readonly guest: number; readonly sender: number } {
    const { sender_weight, sender_demand, neighbours, processors } = this.#chosen
    const sender: Domain = {
      weight: favourSender ? 2 * sender_weight : sender_weight,
      cap: 0,
      demand: sender_demand,
      boost: favourSender,
    }
    const others = Array.from({ length: neighbours }, () => ({
      weight: neighbourWeight,
      cap: 0,
      demand: 1,
      boost: false,
    }))
    const [guestMs = 0, senderMs = 0] = ranMs([this.#guest, sender, ...others], processors, averagedMs)
    return { guest: guestMs / averagedMs, sender: senderMs / averagedMs }
  }
}
