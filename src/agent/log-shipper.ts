/** The source's side of a guest that is executed again: its checkpoint, the log of its inputs, and what the destination says. */

import type { Versions } from '../memory/page-versions.js'
import type { LogState } from '../migration/strategy.js'
import type { ShipResult } from '../migration/testbed.js'
import {
  decodePosition,
  encodePosition,
  encodeRecords,
  type LogRecord,
  recordBytes,
} from '../wire/event-log.js'
import { FrameType, frame, deviceBytesPerFrame as longestPayload } from '../wire/frame.js'
import type { Guest, GuestPosition } from '../workload/guest.js'
import type { Link } from './link.js'
import type { SourceLane } from './source-lane.js'

export class LogShipper {
  /** Of each page when the checkpoint was taken: what copies send. */
  readonly checkpoint: Versions
  readonly #guest: Guest
  readonly #link: Link
  readonly #takenAt: GuestPosition
  readonly #replaySpeed: number
  readonly #dropRecord: number | undefined
  #announced = false
  #taken = 0
  #records = 0
  #sentBytes = 0
  /** Guest time that the destination has executed, as far as it has said. */
  #replayedNs: number

  constructor(guest: Guest, link: Link, replaySpeed: number, dropRecord: number | undefined, nowNs: number) {
    this.#guest = guest
    this.#link = link
    this.#replaySpeed = replaySpeed
    this.#dropRecord = dropRecord
    this.#takenAt = guest.logInputs(nowNs)
    this.#replayedNs = this.#takenAt.guestNs
    this.checkpoint = guest.memory.versions.clone()
    link.listenForReplay((position) => {
      this.#replayedNs = decodePosition(position).guestNs
    })
  }

  /** Sends what was logged. With the guest suspended it waits until the destination has executed everything. */
  async ship(lane: SourceLane, nowNs: number, giveUpAtNs: number): Promise<ShipResult | 'gave up'> {
    const suspended = !this.#guest.running
    const frames = this.#frames(this.#kept(this.#guest.takeInputLog(nowNs)), suspended)
    const ends = await Promise.all([
      lane.deliver(frames, giveUpAtNs),
      ...(suspended ? [this.#link.untilReplayed(giveUpAtNs)] : []),
    ])
    if (ends.includes('gave up')) return 'gave up'
    return { messageBytes: frames.reduce((sum, bytes) => sum + bytes.length, 0) }
  }

  state(nowNs: number): LogState {
    this.#guest.advance(nowNs)
    return {
      pendingBytes: this.#guest.loggedInputs.reduce((sum, event) => sum + recordBytes(event), 0),
      sentBytes: this.#sentBytes,
      lagNs: Math.max(0, this.#guest.guestNs - this.#replayedNs),
    }
  }

  /** All records, but the one that a test wants lost. */
  #kept(records: readonly LogRecord[]): readonly LogRecord[] {
    const first = this.#taken
    this.#taken += records.length
    return records.filter((_record, i) => first + i !== this.#dropRecord)
  }

  #frames(records: readonly LogRecord[], suspended: boolean): Buffer[] {
    const frames: Buffer[] = []
    if (!this.#announced) frames.push(this.#announcement())
    this.#announced = true
    for (const part of inFrames(records)) {
      const payload = encodeRecords(part)
      frames.push(frame(FrameType.log, this.#records >>> 0, 0, payload))
      this.#records += part.length
      this.#sentBytes += payload.length
    }
    const mark = encodePosition(this.#guest.position)
    frames.push(frame(FrameType.logMark, this.#records >>> 0, suspended ? 1 : 0, mark))
    return frames
  }

  #announcement(): Buffer {
    const speed = Buffer.alloc(8)
    speed.writeDoubleBE(this.#replaySpeed)
    return frame(FrameType.checkpoint, 0, 0, Buffer.concat([encodePosition(this.#takenAt), speed]))
  }
}

/** Records in lots that fit a frame. */
function* inFrames(records: readonly LogRecord[]): Iterable<readonly LogRecord[]> {
  let from = 0
  let bytes = 0
  for (const [i, record] of records.entries()) {
    const more = recordBytes(record)
    if (bytes + more > longestPayload && i > from) {
      yield records.slice(from, i)
      from = i
      bytes = 0
    }
    bytes += more
  }
  if (from < records.length) yield records.slice(from)
}
