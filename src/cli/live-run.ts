/** Collects what a live view shows of a run, from the run's own hooks. */

import type { Progress } from '../agent/source.js'
import type { MeterInterval } from '../capture/meter.js'
import type { RunPhase } from '../experiment/runner.js'
import type { Scenario } from '../experiment/scenario.js'
import { classOfDscp, defaultTable } from '../marking/traffic-class.js'
import type { JournalEntry } from '../migration/journal.js'
import { added, type LiveRound, type LiveRun } from '../report/live.js'

/** `nowNs`: any clock; the first thing that happens is its zero. */
export class LiveRunState {
  readonly #nowNs: () => number
  readonly #changed: () => void
  #run: LiveRun
  #zeroNs: number | undefined
  #leftInRound = 0
  #confirmedBefore = 0
  #confirmed = 0
  #suspended = false
  #outcome: string | undefined
  #current: { round: number; pages: number; at_s: number; phase: LiveRound['phase'] } | undefined

  constructor(title: string, scenario: Scenario, nowNs: () => number, changed: () => void) {
    this.#nowNs = nowNs
    this.#changed = changed
    this.#run = {
      title,
      doing: 'starting',
      linkMbps: scenario.link.rateBps / 1e6,
      pagesTotal: scenario.guest.totalPages,
      samples: [],
      pages: [],
      rounds: [],
    }
  }

  get run(): LiveRun {
    return this.#run
  }

  phase(phase: RunPhase): void {
    this.#set({ doing: this.#outcome === undefined ? phase : `${this.#outcome}; ${phase}` })
  }

  interval({ classes, duration_ms }: MeterInterval): void {
    const mbps: Record<string, number> = {}
    for (const { pcp, dscp, bytes } of classes) {
      const name = nameOf(pcp, dscp)
      mbps[name] = (mbps[name] ?? 0) + (bytes * 8) / duration_ms / 1e3
    }
    this.#set({ samples: added(this.#run.samples, { at_s: this.#at(), mbps }) })
  }

  progress({ pagesConfirmed, dirtyPages }: Progress): void {
    this.#confirmed = pagesConfirmed
    const remaining = Math.max(0, this.#leftInRound - (pagesConfirmed - this.#confirmedBefore))
    const pages = added(this.#run.pages, { at_s: this.#at(), remaining, dirty: dirtyPages })
    this.#set({ pages, rounds: this.#upToNow() })
  }

  journal(entry: JournalEntry): void {
    if (entry.event === 'end') {
      this.#outcome = entry.reason === undefined ? entry.outcome : `${entry.outcome}: ${entry.reason}`
      this.#set({ rounds: this.#upToNow(), doing: this.#outcome })
      this.#current = undefined
    }
    if (entry.event !== 'intent') return
    if (entry.do === 'suspend') this.#suspended = true
    if (entry.do !== 'copy' && entry.do !== 'push') return
    this.#leftInRound = entry.pages ?? 0
    this.#confirmedBefore = this.#confirmed
    const began = { round: entry.round + 1, pages: this.#leftInRound, at_s: this.#at() }
    const rounds = this.#upToNow()
    const phase = entry.do === 'push' ? 'postcopy' : this.#suspended ? 'suspended' : 'running'
    this.#current = { ...began, phase }
    this.#set({ rounds, doing: `round ${began.round}, ${began.pages} pages` })
  }

  /** The rounds with the present one as far as it is. */
  #upToNow(): readonly LiveRound[] {
    const current = this.#current
    const { rounds } = this.#run
    if (current === undefined) return rounds
    const now: LiveRound = {
      round: current.round,
      phase: current.phase,
      start_ms: current.at_s * 1000,
      duration_ms: (this.#at() - current.at_s) * 1000,
      pages_sent: current.pages,
    }
    return rounds.at(-1)?.start_ms === now.start_ms ? [...rounds.slice(0, -1), now] : [...rounds, now]
  }

  #at(): number {
    this.#zeroNs ??= this.#nowNs()
    return (this.#nowNs() - this.#zeroNs) / 1e9
  }

  #set(change: Partial<LiveRun>): void {
    this.#run = { ...this.#run, ...change }
    this.#changed()
  }
}

/** As the queues see it: the priority, and the class of the DSCP that asked for it. */
function nameOf(pcp: number | null, dscp: number | null): string {
  const name = dscp === null ? 'not IP' : classOfDscp(defaultTable, dscp).name
  return pcp === null ? `untagged ${name}` : `PCP ${pcp} ${name}`
}
