/**
 * A guest that is executed again at the destination, in virtual time: the log that the source keeps, and the guest of the
 * same spec that really does all of it again from the checkpoint.
 */

import type { PageVersions } from '../memory/page-versions.js'
import type { LogState } from '../migration/strategy.js'
import { Guest, type GuestPosition, type GuestSpec } from '../workload/guest.js'
import type { InputEvent } from '../workload/inputs.js'

/** In front of each record on the wire: where in the guest's execution it belongs, and its length. */
const recordHeaderBytes = 12

export class Replay {
  /** Of each page when the checkpoint was taken: what copies send. */
  readonly checkpoint: PageVersions
  readonly #source: Guest
  readonly #destination: Guest
  readonly #speed: number
  #position: GuestPosition
  /** At `#sinceNs` the destination had executed `#fromNs` of guest time; it goes on up to `#position`. */
  #fromNs: number
  #sinceNs: number
  #sentBytes = 0

  constructor(source: Guest, spec: GuestSpec, speed: number, nowNs: number) {
    this.#source = source
    this.#speed = speed
    this.#position = source.logInputs(nowNs)
    this.#fromNs = this.#position.guestNs
    this.#sinceNs = nowNs
    this.checkpoint = source.memory.versions.clone()
    const { inputs: _inputs, ...deterministic } = spec
    this.#destination = new Guest(deterministic, 0)
    this.#destination.restore(this.#position, this.checkpoint.list())
  }

  /** Takes the log; `bytes` is what it weighs. */
  take(nowNs: number): { readonly events: readonly InputEvent[]; readonly bytes: number } {
    const events = this.#source.takeInputLog(nowNs)
    return { events, bytes: bytesOf(events) }
  }

  /** The log up to `position` has arrived; the destination executes it after what it had before. */
  arrived(events: readonly InputEvent[], position: GuestPosition, nowNs: number): void {
    this.#fromNs = this.#replayedNs(nowNs)
    this.#sinceNs = nowNs
    this.#position = position
    this.#destination.replay(events, position)
    this.#sentBytes += bytesOf(events)
  }

  /** When the destination has executed everything that arrived. */
  get doneNs(): number {
    const leftNs = this.#position.guestNs - this.#fromNs
    return this.#sinceNs + (this.#speed === 0 ? 0 : leftNs / this.#speed)
  }

  /** The destination's memory, once it has executed everything. */
  get versions(): PageVersions {
    return this.#destination.memory.versions
  }

  /** As the source knows it at `nowNs`, from word that took `delayNs`. */
  state(nowNs: number, delayNs: number): LogState {
    this.#source.advance(nowNs)
    return {
      pendingBytes: bytesOf(this.#source.loggedInputs),
      sentBytes: this.#sentBytes,
      lagNs: Math.max(0, this.#source.guestNs - this.#replayedNs(nowNs - delayNs)),
    }
  }

  /** Guest time that the destination has come to. */
  #replayedNs(nowNs: number): number {
    if (this.#speed === 0) return this.#position.guestNs
    const executedNs = Math.max(0, nowNs - this.#sinceNs) * this.#speed
    return Math.min(this.#position.guestNs, this.#fromNs + executedNs)
  }
}

function bytesOf(events: readonly InputEvent[]): number {
  return events.reduce((sum, { payload }) => sum + recordHeaderBytes + payload.length, 0)
}
