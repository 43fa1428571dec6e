/**
 * How QEMU slows a guest that dirties memory faster than it can be sent: auto-converge takes processor time from it
 * in steps (migration/ram.c), the dirty limit makes its writers sleep when a ring of dirty pages is full
 * (system/dirtylimit.c).
 */

import type { View } from '../migration/strategy.js'
import { choice, decimal, duration, flag, integer, type OptionValues, rate } from './options.js'

export const brakeOptions = {
  brake: choice(
    ['none', 'auto-converge', 'dirty-limit'],
    'none',
    'what is done with a guest that writes too fast',
  ),
  trigger: decimal(0.5, 0.01, 1, 'bytes dirtied per byte sent from which a period counts as bad'),
  period: duration('1s', 'shortest time between two judgements; also the period of the dirty limit'),
  throttle_initial: integer(20, 1, 99, 'auto-converge: first step, percent of guest time'),
  throttle_step: integer(10, 1, 99, 'auto-converge: further steps, percent'),
  throttle_max: integer(99, 1, 99, 'auto-converge: percent at most'),
  tail_slow: flag(false, 'auto-converge: smaller steps where less is enough'),
  forced_sync: duration('5s', 'longest time without a read of the dirty log while the guest is slowed'),
  dirty_quota: rate('8mbit', 'dirty-limit: rate at which the guest may dirty memory (1 MB/s)'),
  tolerance: rate('200mbit', 'dirty-limit: distance from the quota that is left alone (25 MB/s)'),
  ring_pages: integer(4096, 16, 2 ** 20, 'dirty-limit: dirtied pages after which a writer sleeps'),
}

export type BrakeOptions = OptionValues<typeof brakeOptions>

export interface Brake {
  /** True when the dirty log must be read though the rest does not fit the downtime limit. */
  wantsSync(sinceSyncNs: number): boolean
  /** After a read of the dirty log that found `newlyDirty` pages more. Returns a new share of guest time to withhold. */
  synced(view: View, newlyDirty: number): number | undefined
  /** After each window. */
  ticked(view: View): number | undefined
}

export const noBrake: Brake = {
  wantsSync: () => false,
  synced: () => undefined,
  ticked: () => undefined,
}

export function qemuBrake(chosen: BrakeOptions): Brake {
  return chosen.brake === 'auto-converge' ? new AutoConverge(chosen) : new DirtyLimit(chosen)
}

/** Judges periods: dirtied against sent bytes. Two bad ones, not necessarily in a row, ask for action. */
class Judge {
  readonly #chosen: BrakeOptions
  #sinceNs = 0
  #sentPages = 0
  #dirtied = 0
  #bad = 0
  /** Of the last judged period. */
  dirtiedPages = 0
  allowedPages = 0

  constructor(chosen: BrakeOptions) {
    this.#chosen = chosen
  }

  /** True when it is time to act. */
  judge(view: View, newlyDirty: number): boolean {
    this.#dirtied += newlyDirty
    if (view.nowNs - this.#sinceNs < this.#chosen.period) return false
    this.dirtiedPages = this.#dirtied
    this.allowedPages = (view.sentPages - this.#sentPages) * this.#chosen.trigger
    this.#sinceNs = view.nowNs
    this.#sentPages = view.sentPages
    this.#dirtied = 0
    if (this.dirtiedPages <= this.allowedPages) return false
    this.#bad++
    if (this.#bad < 2) return false
    this.#bad = 0
    return true
  }
}

class AutoConverge implements Brake {
  readonly #chosen: BrakeOptions
  readonly #judge: Judge
  #percent = 0

  constructor(chosen: BrakeOptions) {
    this.#chosen = chosen
    this.#judge = new Judge(chosen)
  }

  wantsSync(sinceSyncNs: number): boolean {
    return this.#percent > 0 && sinceSyncNs >= this.#chosen.forced_sync
  }

  synced(view: View, newlyDirty: number): number | undefined {
    if (!this.#judge.judge(view, newlyDirty)) return undefined
    this.#percent =
      this.#percent === 0
        ? this.#chosen.throttle_initial
        : Math.min(this.#chosen.throttle_max, this.#percent + this.#step())
    return this.#percent / 100
  }

  ticked(): undefined {
    return undefined
  }

  #step(): number {
    const { tail_slow, throttle_step } = this.#chosen
    if (!tail_slow) return throttle_step
    const now = 100 - this.#percent
    const ideal = (now * this.#judge.allowedPages) / this.#judge.dirtiedPages
    return Math.min(throttle_step, Math.max(0, now - ideal))
  }
}

/** Longest sleep, in multiples of the time that it takes to fill the ring. */
const longestSleep = 99
/** Relative distance from the quota above which the sleep is set at once instead of in steps. */
const farFromQuota = 0.5
const smallStep = 0.1

class DirtyLimit implements Brake {
  readonly #chosen: BrakeOptions
  readonly #judge: Judge
  #active = false
  #tickNs = 0
  /** Pages dirtied since the last tick: those that reads of the dirty log found, and those in the log now. */
  #foundPages = 0
  #logPages = 0
  #highestBps = 0
  #sleepNs = 0

  constructor(chosen: BrakeOptions) {
    this.#chosen = chosen
    this.#judge = new Judge(chosen)
  }

  wantsSync(sinceSyncNs: number): boolean {
    return this.#active && sinceSyncNs >= this.#chosen.forced_sync
  }

  synced(view: View, newlyDirty: number): undefined {
    this.#foundPages += view.lastSync.count - this.#logPages
    this.#logPages = 0
    if (this.#judge.judge(view, newlyDirty)) this.#active = true
    return undefined
  }

  ticked(view: View): number | undefined {
    this.#foundPages += view.redirtied.count - this.#logPages
    this.#logPages = view.redirtied.count
    const elapsedNs = view.nowNs - this.#tickNs
    if (elapsedNs < this.#chosen.period) return undefined
    const nowBps = (this.#foundPages * view.pageBytes * 8e9) / elapsedNs
    this.#tickNs = view.nowNs
    this.#foundPages = 0
    this.#highestBps = Math.max(this.#highestBps, nowBps)
    if (!this.#active || this.#highestBps === 0) return undefined
    const ringNs = (this.#chosen.ring_pages * view.pageBytes * 8e9) / this.#highestBps
    this.#adjust(nowBps, ringNs)
    return this.#sleepNs / (ringNs + this.#sleepNs)
  }

  #adjust(nowBps: number, ringNs: number): void {
    const { dirty_quota: quotaBps, tolerance } = this.#chosen
    if (Math.abs(quotaBps - nowBps) <= tolerance) return
    const gap = Math.abs(quotaBps - nowBps) / Math.max(quotaBps, nowBps)
    const change = gap > farFromQuota ? (ringNs * gap) / Math.max(1 - gap, 0.01) : ringNs * smallStep
    const wanted = this.#sleepNs + (nowBps > quotaBps ? change : -change)
    this.#sleepNs = Math.min(longestSleep * ringNs, Math.max(0, wanted))
  }
}
