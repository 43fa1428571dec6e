/** From the answers of one class to round-trip times, jitter and losses. Pure. */

import type { TrafficClass } from '../../marking/traffic-class.js'
import type { ProbeReply } from './packet.js'

export interface Percentiles {
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** Result of one class; the names are those of `probe --json`. */
export interface ClassProbe {
  readonly class: string
  readonly dscp: number
  readonly pcp: number
  readonly sent: number
  readonly received: number
  readonly duplicates: number
  readonly loss_ratio: number
  /** On the way there and on the way back; null when no answer came that could tell. */
  readonly lost_there: number | null
  readonly lost_back: number | null
  /** Without the time that the reflector held the probe; null without answers. */
  readonly rtt_ms: Percentiles | null
  /** Differences between the round-trip times of consecutive probes, without sign. */
  readonly jitter_ms: Percentiles | null
  /** Delays of each way; null unless both ends are on one clock. */
  readonly one_way_ms: { readonly there: Percentiles; readonly back: Percentiles } | null
  /** Probes that arrived with another DSCP than they were sent with, at the far end and back here. */
  readonly remarked_there: number
  readonly remarked_back: number
}

/** Collects the answers of one class. */
export class ClassSamples {
  sent = 0
  private readonly rttNs: number[] = []
  private readonly jitterNs: number[] = []
  private readonly thereNs: number[] = []
  private readonly backNs: number[] = []
  private readonly seen = new Set<number>()
  private duplicates = 0
  private receivedThere = 0
  private remarkedThere = 0
  private remarkedBack = 0
  private last: { readonly sequence: number; readonly rttNs: number } | undefined

  /** `clock` is the prober's own. */
  constructor(
    private readonly trafficClass: TrafficClass,
    private readonly clock: number,
  ) {}

  add(reply: ProbeReply, nowNs: number, dscpBack: number): void {
    this.receivedThere = Math.max(this.receivedThere, reply.receivedCount)
    if (this.seen.has(reply.sequence)) {
      this.duplicates++
      return
    }
    this.seen.add(reply.sequence)
    const rttNs = Math.max(0, nowNs - reply.sentNs - (reply.repliedNs - reply.receivedNs))
    this.rttNs.push(rttNs)
    if (this.last?.sequence === reply.sequence - 1) this.jitterNs.push(Math.abs(rttNs - this.last.rttNs))
    this.last = { sequence: reply.sequence, rttNs }
    if (reply.dscpSeen !== this.trafficClass.dscp) this.remarkedThere++
    if (dscpBack !== this.trafficClass.dscp) this.remarkedBack++
    if (reply.clock !== this.clock) return
    this.thereNs.push(Math.max(0, reply.receivedNs - reply.sentNs))
    this.backNs.push(Math.max(0, nowNs - reply.repliedNs))
  }

  get received(): number {
    return this.seen.size
  }

  result(): ClassProbe {
    const { name, dscp, pcp } = this.trafficClass
    const received = this.seen.size
    const there = percentilesMs(this.thereNs)
    const back = percentilesMs(this.backNs)
    return {
      class: name,
      dscp,
      pcp,
      sent: this.sent,
      received,
      duplicates: this.duplicates,
      loss_ratio: this.sent === 0 ? 0 : (this.sent - received) / this.sent,
      lost_there: received === 0 ? null : Math.max(0, this.sent - this.receivedThere),
      lost_back: received === 0 ? null : Math.max(0, this.receivedThere - received - this.duplicates),
      rtt_ms: percentilesMs(this.rttNs),
      jitter_ms: percentilesMs(this.jitterNs),
      one_way_ms: there && back ? { there, back } : null,
      remarked_there: this.remarkedThere,
      remarked_back: this.remarkedBack,
    }
  }
}

/** Nearest-rank percentiles; null without samples. */
export function percentilesMs(samplesNs: readonly number[]): Percentiles | null {
  if (samplesNs.length === 0) return null
  const sorted = Float64Array.from(samplesNs).sort()
  const at = (share: number): number => ms(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!)
  const sum = sorted.reduce((total, ns) => total + ns, 0)
  return {
    min: ms(sorted[0]!),
    mean: ms(sum / sorted.length),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: ms(sorted[sorted.length - 1]!),
  }
}

function ms(ns: number): number {
  return Math.round(ns / 1000) / 1000
}
