/** One line on a terminal's stderr that says how far a run is; nothing where stderr is no terminal. */

import type { Progress } from '../agent/source.js'
import type { RunPhase } from '../experiment/runner.js'
import type { Scenario } from '../experiment/scenario.js'
import type { JournalEntry } from '../migration/journal.js'

export interface RunProgress {
  phase(phase: RunPhase): void
  progress(progress: Progress): void
  journal(entry: JournalEntry): void
  /** Clears the line. */
  done(): void
}

export function runProgress(scenario: Scenario, shown: boolean, output: NodeJS.WriteStream): RunProgress {
  if (!shown || !output.isTTY)
    return { phase: () => {}, progress: () => {}, journal: () => {}, done: () => {} }
  return new ProgressLine(scenario, output)
}

class ProgressLine implements RunProgress {
  readonly #scenario: Scenario
  readonly #output: NodeJS.WriteStream
  #round = 1
  #last: Progress | undefined
  #leftInRound = 0
  #doneBefore = 0

  constructor(scenario: Scenario, output: NodeJS.WriteStream) {
    this.#scenario = scenario
    this.#output = output
  }

  phase(phase: RunPhase): void {
    this.#show(`${phase} ...`)
  }

  journal(entry: JournalEntry): void {
    if (entry.event !== 'intent' || entry.do !== 'copy') return
    this.#round = entry.round + 1
    this.#leftInRound = entry.pages ?? 0
    this.#doneBefore = this.#last?.pagesConfirmed ?? 0
  }

  progress(now: Progress): void {
    const { pageBytes, workload } = this.#scenario.guest
    const before = this.#last
    this.#last = now
    if (before === undefined || now.elapsedNs === before.elapsedNs) return
    const seconds = (now.elapsedNs - before.elapsedNs) / 1e9
    const pagesPerSecond = (now.pagesConfirmed - before.pagesConfirmed) / seconds
    const copied = Math.min(now.pagesConfirmed - this.#doneBefore, this.#leftInRound)
    const share = this.#leftInRound === 0 ? 1 : copied / this.#leftInRound
    const left = (this.#leftInRound - copied) / Math.max(1, pagesPerSecond)
    this.#show(
      [
        `${now.phase === 'suspended' ? 'guest suspended' : 'migrating'}, round ${this.#round}`,
        `${(100 * share).toFixed(0).padStart(3)} %`,
        `${((pagesPerSecond * pageBytes) / 1e6).toFixed(1)} MB/s`,
        `dirtying ${Math.round(workload.dirtyPagesPerSecond)} pages/s`,
        `${now.dirtyPages} pages dirty`,
        `${left.toFixed(1)} s left in this round`,
      ].join('  '),
    )
  }

  done(): void {
    this.#output.write('\r\x1b[K')
  }

  #show(text: string): void {
    const width = this.#output.columns ?? 80
    this.#output.write(`\r\x1b[K${text.slice(0, width - 1)}`)
  }
}
