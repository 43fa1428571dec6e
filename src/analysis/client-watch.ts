/**
 * The outage as the wire shows it: answers of the guest as they leave whichever host runs it, the announcement with
 * which it comes to the destination, and the longest time without an answer.
 */

import type { Frame } from '../capture/frame.js'
import { longestGap } from '../support/gap.js'
import type { FlowMatch } from './run-flows.js'

/** Times are milliseconds since the start of the window, which is that of the migration. */
export interface WireOutage {
  /** Longest time between two answers that left their hosts, of which the later left within the window or after it. */
  readonly gap_ms: number
  readonly from_ms: number
  readonly to_ms: number
  /** No answer ended it; it lasts to the last question. */
  readonly open: boolean
  /** Questions that reached a host, and answers that left one, in the whole capture. */
  readonly questions: number
  readonly answers: number
  /** The guest's announcement (gratuitous ARP) at the destination, and what came next there; null: it never did. */
  readonly announced_ms: number | null
  readonly first_question_ms: number | null
  readonly first_answer_ms: number | null
}

const etherTypeArp = 0x0806
const source = 0
const destination = 3

export class ClientWatch {
  private readonly answers: number[] = []
  private questions = 0
  private lastQuestionNs = Number.NEGATIVE_INFINITY
  private announcedNs: number | undefined
  private firstQuestionNs: number | undefined
  private firstAnswerNs: number | undefined
  /** Announcements of the source that the destination has not heard yet. */
  private fromSource = 0

  /** `mac` is the guest's. */
  constructor(
    private readonly mac: number,
    private readonly fromNs: number,
  ) {}

  /** Any frame; `isClient` says that it belongs to the guest's client. Frames come in order of time. */
  take(point: number, frame: Frame, isClient: boolean, { toServer }: FlowMatch): void {
    if (point !== source && point !== destination) return
    const isHere = point === destination
    if (isClient && toServer) {
      this.questions++
      this.lastQuestionNs = frame.timeNs
      if (isHere) this.firstQuestionNs ??= frame.timeNs
    } else if (isClient) {
      this.answers.push(frame.timeNs)
      if (isHere) this.firstAnswerNs ??= frame.timeNs
    } else if (isAnnouncement(frame, this.mac)) {
      // The source's own announcements are heard at the destination too, just after.
      if (!isHere) this.fromSource++
      else if (this.fromSource > 0) this.fromSource--
      else this.announcedNs ??= frame.timeNs
    }
  }

  result(): WireOutage {
    const ms = (ns: number): number => (ns - this.fromNs) / 1e6
    const orNull = (ns: number | undefined): number | null => (ns === undefined ? null : ms(ns))
    const gap = longestGap(this.answers, this.fromNs, Math.max(this.lastQuestionNs, this.fromNs))
    return {
      gap_ms: (gap.toNs - gap.fromNs) / 1e6,
      from_ms: ms(gap.fromNs),
      to_ms: ms(gap.toNs),
      open: gap.open,
      questions: this.questions,
      answers: this.answers.length,
      announced_ms: orNull(this.announcedNs),
      first_question_ms: orNull(this.firstQuestionNs),
      first_answer_ms: orNull(this.firstAnswerNs),
    }
  }
}

/** ARP from the guest to everybody. */
function isAnnouncement({ view, start, etherType, capLength }: Frame, guest: number): boolean {
  if (etherType !== etherTypeArp || capLength < 12 || (view.getUint8(start) & 1) === 0) return false
  return view.getUint16(start + 6) * 2 ** 32 + view.getUint32(start + 8) === guest
}
