/** The steps of one recognised migration, each told once, as soon as the capture has shown it. */

import type { FoundMigration } from './migration-watch.js'

/** What happened, when (as frames have it), and the event's own fields. */
export type TellStep = (event: string, timeNs: number, fields: Readonly<Record<string, unknown>>) => void

export class MigrationEvents {
  private begun = false
  private ended = false
  private marks = 0
  /** Rounds that have begun; all but the last of them have ended. */
  private rounds = 0
  /** Rounds that were told to be the stop phase. */
  private stops = 0

  constructor(
    private readonly found: FoundMigration,
    private readonly tell: TellStep,
  ) {}

  /** After more of its streams was read. */
  advance(): void {
    const { session, source, destination } = this.found
    const { track, marks } = session.of
    const [first] = track.rounds
    if (first === undefined) return
    if (!this.begun) {
      this.begun = true
      this.tell('migration-begin', first.firstNs, { protocol: session.kind, source, destination })
    }
    while (this.rounds < track.rounds.length) this.beginRound()
    this.findStop()
    for (const { name, timeNs } of marks.slice(this.marks))
      this.tell('migration-mark', timeNs, { what: name })
    this.marks = marks.length
    if (session.kind === 'pagewire' && session.of.endedNs !== undefined) this.end(session.of.endedNs)
  }

  /** The migration is over, or the capture is. */
  end(timeNs: number): void {
    if (!this.begun || this.ended) return
    this.ended = true
    this.endRound()
    const { track } = this.found.session.of
    this.tell('migration-end', timeNs, { pages: track.pagesSent, rounds: track.rounds.length })
  }

  private beginRound(): void {
    if (this.rounds > 0) this.endRound()
    this.rounds++
    const round = this.found.session.of.track.rounds[this.rounds - 1]
    if (round) this.tell('round-begin', round.firstNs, { round: this.rounds, phase: round.phase })
  }

  private endRound(): void {
    const round = this.found.session.of.track.rounds[this.rounds - 1]
    if (round === undefined) return
    const { phase, pages, zeroPages, repeatedPages, bytes, lastNs } = round
    const sizes = { pages, zero_pages: zeroPages, repeated_pages: repeatedPages, bytes }
    this.tell('round-end', lastNs, { round: this.rounds, phase, ...sizes })
  }

  /** Only the newest round can become the stop phase, sometimes after it was sent. */
  private findStop(): void {
    const round = this.found.session.of.track.rounds.at(-1)
    if (round?.phase !== 'stop' || this.stops > 0) return
    this.stops++
    this.tell('stop-and-copy', round.firstNs, { round: this.rounds })
  }
}
