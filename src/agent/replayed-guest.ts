/**
 * The destination's side of a guest that is executed again: a guest of the same seed that starts at the checkpoint and
 * gets the logged inputs, so many times as fast as the first one ran.
 */

import type { PageVersions } from '../memory/page-versions.js'
import {
  decodePosition,
  decodeRecords,
  encodePosition,
  type LogRecord,
  positionBytes,
} from '../wire/event-log.js'
import { protocolError } from '../wire/frame-reader.js'
import type { Guest, GuestPosition } from '../workload/guest.js'
import { monotonicNs } from './clock.js'

/** Between two steps of execution, each of which the source hears of. */
const stepMs = 5

export class ReplayedGuest {
  readonly #guest: Guest
  readonly #speed: number
  /** Says how far it has come; `done`: all that a suspended guest did. */
  readonly #say: (done: boolean, position: Buffer) => void
  #records: LogRecord[] = []
  #received = 0
  #until: GuestPosition
  #last = false
  #steppedNs = 0
  #timer: NodeJS.Timeout | undefined

  /** `fresh` has done nothing yet; `payload` and `versions` are the checkpoint. */
  constructor(
    fresh: Guest,
    payload: Buffer,
    versions: Uint32Array,
    say: (done: boolean, position: Buffer) => void,
  ) {
    if (payload.length !== positionBytes + 8) throw protocolError('a malformed checkpoint')
    this.#guest = fresh
    this.#speed = payload.readDoubleBE(positionBytes)
    if (!(this.#speed >= 0)) throw protocolError('a guest cannot be executed so fast')
    this.#until = decodePosition(payload.subarray(0, positionBytes))
    this.#say = say
    fresh.restore(this.#until, versions)
  }

  /** More of the log. */
  log(first: number, payload: Buffer): void {
    this.#expect(first)
    const records = decodeRecords(payload)
    this.#received += records.length
    for (const record of records) {
      if (record.accesses < this.#until.accesses) throw protocolError('a log goes back before its last mark')
      this.#records.push(record)
    }
  }

  /** The log is complete up to here; `last`: the guest is suspended there. */
  mark(records: number, last: boolean, payload: Buffer): void {
    this.#expect(records)
    const until = decodePosition(payload)
    if (this.#last || until.guestNs < this.#until.guestNs || until.accesses < this.#until.accesses) {
      throw protocolError('a log ends once, and does not go back')
    }
    const latest = this.#records.at(-1)
    if (latest !== undefined && latest.accesses > until.accesses)
      throw protocolError('a record lies behind its mark')
    if (this.#timer === undefined) this.#steppedNs = monotonicNs()
    this.#until = until
    this.#last = last
    this.#step()
  }

  get versions(): PageVersions {
    return this.#guest.memory.versions
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #expect(records: number): void {
    if (records !== this.#received >>> 0) {
      throw protocolError(`log record ${records} came after ${this.#received}`)
    }
  }

  /** Executes what is due by now, and comes back while there is more. */
  #step(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const nowNs = monotonicNs()
    const { guestNs, accesses } = this.#guest.position
    const leftNs = this.#until.guestNs - guestNs
    const dueNs = this.#speed === 0 ? leftNs : Math.min(leftNs, (nowNs - this.#steppedNs) * this.#speed)
    this.#steppedNs = nowNs
    const share = leftNs > 0 ? dueNs / leftNs : 1
    const to =
      share === 1
        ? this.#until
        : {
            guestNs: guestNs + dueNs,
            accesses: accesses + Math.floor(share * (this.#until.accesses - accesses)),
          }
    this.#execute(to)
    const done = this.#last && share === 1
    this.#say(done, encodePosition(this.#guest.position))
    if (share === 1) return
    // The last step comes when the rest is due, not when it would be the turn of another.
    const restMs = (leftNs - dueNs) / this.#speed / 1e6
    this.#timer = setTimeout(() => this.#step(), Math.min(stepMs, Math.ceil(restMs)))
  }

  /** An input at the very point where a step ends may be followed by more at the same point: it waits for the mark. */
  #execute(to: GuestPosition): void {
    const complete = to === this.#until
    const later = this.#records.findIndex(({ accesses }) =>
      complete ? accesses > to.accesses : accesses >= to.accesses,
    )
    const count = later === -1 ? this.#records.length : later
    this.#guest.replay(this.#records.splice(0, count), to)
  }
}
