/** What a guest's client saw: which questions were answered, when, from where, and the longest time without an answer. */

import { type Gap, longestGap } from '../../support/gap.js'

/** Every question that was asked, by its number. */
export interface Answers {
  /** When each was sent, in ns since 1970, rising. */
  readonly sentNs: readonly number[]
  /** When its answer arrived; 0: never. */
  readonly answeredNs: readonly number[]
}

/** A question near the gap. */
export interface NearProbe {
  readonly sentNs: number
  /** Null: never answered. */
  readonly roundTripNs: number | null
}

export interface ClientReport {
  readonly asked: number
  readonly unanswered: number
  readonly gap: Gap
  readonly near: readonly NearProbe[]
}

/** How much before and after the gap is told question by question. */
const nearNs = 50e6
/** A gap may hold many unanswered questions; more than these are not listed. */
const nearMost = 400

/**
 * The longest gap between two answers of which the later came after `fromNs`, and the questions sent from then on. A
 * client that asks 1000 times a second sees gaps of a millisecond while nothing happens.
 */
export function clientReport({ sentNs, answeredNs }: Answers, fromNs: number): ClientReport {
  const first = sentNs.findIndex((ns) => ns >= fromNs)
  const asked = first === -1 ? 0 : sentNs.length - first
  const arrivals = answeredNs.filter((ns) => ns > 0).toSorted((a, b) => a - b)
  const gap = longestGap(arrivals, fromNs, sentNs.at(-1) ?? fromNs)
  const near = sentNs.flatMap((ns, i): NearProbe[] => {
    const answered = answeredNs[i] ?? 0
    const isNear = ns >= gap.fromNs - nearNs && ns <= gap.toNs + nearNs
    return isNear ? [{ sentNs: ns, roundTripNs: answered > 0 ? answered - ns : null }] : []
  })
  return {
    asked,
    unanswered: answeredNs.slice(sentNs.length - asked).filter((ns) => ns === 0).length,
    gap,
    near: thinned(near),
  }
}

/** Keeps both ends, where answers are. */
function thinned(near: readonly NearProbe[]): readonly NearProbe[] {
  return near.length <= nearMost ? near : [...near.slice(0, nearMost / 2), ...near.slice(-nearMost / 2)]
}
