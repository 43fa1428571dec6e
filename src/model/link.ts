/**
 * The congested port in virtual time: what rate a traffic class gets beside the others, and how many bits of the
 * wire a message takes. Fluid: queues are not simulated packet by packet, so loss and jitter are not predicted.
 */

import { pcpServiceOrder } from '../marking/traffic-class.js'
import { assert, unreachable } from '../support/assert.js'

/** Traffic that competes with the migration for the port. */
export interface Competitor {
  readonly pcp: number
  /** Weight of its class with discipline `ets`; 1 when absent. */
  readonly weight?: number
  /** Bits of whole frames per second that it offers; absent: all it can get. */
  readonly offeredBps?: number
  /** Connections that yield to others of their class (TCP); 0: it does not yield (UDP). */
  readonly elasticFlows: number
  /** Flows that a queue with a place for each tells apart; `elasticFlows`, or 1, when absent. */
  readonly flows?: number
  readonly startNs: number
  readonly stopNs: number
}

export interface LinkSpec {
  /** Bits of whole frames per second. */
  readonly rateBps: number
  readonly discipline: 'strict' | 'ets' | 'fifo'
  /** TCP payload of a full frame, and the whole frame. */
  readonly framePayloadBytes: number
  readonly frameBytes: number
  /** In front of each page and each piece of device state. */
  readonly messageHeaderBytes: number
  /** One way, without queueing. */
  readonly delayNs: number
  /** Bytes of a stream that wait in the sender's kernel: pages are read so long before they leave. 0 when absent. */
  readonly unsentBytes?: number
  readonly competitors: readonly Competitor[]
  /** Parallel paths of this rate each, 1 when absent; the competitors are on the first. */
  readonly paths?: number
  /** Within a class each flow has a turn of one MTU (deficit round robin), datagrams as well; in order of arrival when absent. */
  readonly perFlow?: true
  /** With discipline `strict`: bits per second that the port keeps for a class, whatever the order. */
  readonly guarantees?: Readonly<Record<number, number>>
  /** Packets that each queue of the port holds; 0 when absent. */
  readonly queuePackets?: number
}

/** Share of a queue that a TCP connection which fills it keeps occupied on average (cubic saws between 70 and 100 %). */
const standingShare = 0.85

/** How long a packet waits in a queue that a bulk connection of its own class keeps full. */
export function standingQueueNs(link: LinkSpec): number {
  return (standingShare * (link.queuePackets ?? 0) * link.frameBytes * 8e9) / link.rateBps
}

/** Ethernet 14, 802.1Q tag 4; IPv4 20, TCP 20, time stamps 12 inside the MTU. */
const outsideMtuBytes = 14 + 4
const insideMtuBytes = 20 + 20 + 12

/** What a TCP connection keeps of a port that datagrams flood: about 1 % with cubic, measured at 150 % offered load. */
const starvedShare = 0.01

/** A link that carries real frames of this MTU. */
export function framedLink(
  rateBps: number,
  mtuBytes: number,
  rest: Partial<Omit<LinkSpec, 'rateBps' | 'framePayloadBytes' | 'frameBytes'>> = {},
): LinkSpec {
  return {
    rateBps,
    discipline: 'strict',
    framePayloadBytes: mtuBytes - insideMtuBytes,
    frameBytes: mtuBytes + outsideMtuBytes,
    messageHeaderBytes: 16,
    delayNs: 50_000,
    competitors: [],
    ...rest,
  }
}

/**
 * The logical clock: time passes with page bytes handed to the wire and with nothing else, so that a guest that
 * writes R pages in the time of one page writes exactly R pages for each page sent.
 */
export function logicalLink(rateBps: number): LinkSpec {
  return {
    rateBps,
    discipline: 'strict',
    framePayloadBytes: 1,
    frameBytes: 1,
    messageHeaderBytes: 0,
    delayNs: 0,
    competitors: [],
  }
}

/** Bits of the wire for so many bytes of a byte stream. */
export function wireBits(link: LinkSpec, streamBytes: number): number {
  return (streamBytes * link.frameBytes * 8) / link.framePayloadBytes
}

/** Pages per second that the idle link carries, each with its header. */
export function idlePageRate(link: LinkSpec, pageBytes: number): number {
  return link.rateBps / wireBits(link, pageBytes + link.messageHeaderBytes)
}

/** The next moment after `nowNs` at which a competitor starts or stops; Infinity when none does. */
export function nextChangeNs(link: LinkSpec, nowNs: number): number {
  let next = Number.POSITIVE_INFINITY
  for (const { startNs, stopNs } of link.competitors) {
    if (startNs > nowNs) next = Math.min(next, startNs)
    if (stopNs > nowNs) next = Math.min(next, stopNs)
  }
  return next
}

/**
 * Bits per second that `flows` connections of a class get at this moment while they have data to send. Datagrams
 * take what they offer; connections of one class share the rest by flow.
 */
export function shareBps(link: LinkSpec, pcp: number, flows: number, nowNs: number, weight = 1): number {
  const active = link.competitors.filter(({ startNs, stopNs }) => startNs <= nowNs && nowNs < stopNs)
  if (active.length === 0) return link.rateBps
  switch (link.discipline) {
    case 'fifo':
      return shareWithin(link, link.rateBps, active, flows)
    case 'strict': {
      const higher = active.filter((other) => rank(other.pcp) < rank(pcp))
      const kept = keptBelow(link, pcp, active)
      const leftBps = Math.max(guaranteedBps(link, pcp), link.rateBps - total(higher.map(demandBps)) - kept)
      return shareWithin(
        link,
        leftBps,
        active.filter((other) => other.pcp === pcp),
        flows,
      )
    }
    case 'ets': {
      const classBps = weightedShare(link.rateBps, active, pcp, weight)
      return shareWithin(
        link,
        classBps,
        active.filter((other) => other.pcp === pcp),
        flows,
      )
    }
    default:
      return unreachable(link.discipline)
  }
}

function guaranteedBps(link: LinkSpec, pcp: number): number {
  return link.guarantees?.[pcp] ?? 0
}

/** What the port keeps from a class for those that it serves after it: no more than they use. */
function keptBelow(link: LinkSpec, pcp: number, active: readonly Competitor[]): number {
  if (link.guarantees === undefined) return 0
  const below = new Set(active.map((other) => other.pcp).filter((other) => rank(other) > rank(pcp)))
  const kept = [...below].map((lower) =>
    Math.min(guaranteedBps(link, lower), total(active.filter((one) => one.pcp === lower).map(demandBps))),
  )
  return total(kept)
}

/** Place of a PCP in the order of service, 0 served first. */
export function rank(pcp: number): number {
  const place = pcpServiceOrder.indexOf(pcp)
  assert(place >= 0, 'a PCP is 0..7')
  return place
}

function demandBps(competitor: Competitor): number {
  return competitor.offeredBps ?? Number.POSITIVE_INFINITY
}

/**
 * What our flows get of a queue that others use as well: datagrams first, then an equal part for each flow. Deficit round
 * robin makes datagrams flows like any other: over the time of a few packets it is max-min fair.
 */
function shareWithin(link: LinkSpec, rateBps: number, others: readonly Competitor[], flows: number): number {
  if (link.perFlow) return fairShare(rateBps, others.map(asFlows), flows)
  const datagramsBps = total(others.filter((other) => other.elasticFlows === 0).map(demandBps))
  const left = Math.max(rateBps - datagramsBps, starvedShare * rateBps)
  return fairShare(left, others, flows)
}

function asFlows(competitor: Competitor): Competitor {
  return { ...competitor, elasticFlows: competitor.flows ?? Math.max(1, competitor.elasticFlows) }
}

/** Max-min fairness by flow: who wants less than an equal part leaves the rest to the others. */
function fairShare(rateBps: number, others: readonly Competitor[], flows: number): number {
  const rivals = others
    .filter((other) => other.elasticFlows > 0)
    .map((other) => ({ flows: other.elasticFlows, perFlowBps: demandBps(other) / other.elasticFlows }))
    .sort((a, b) => a.perFlowBps - b.perFlowBps)
  let left = rateBps
  let sharers = flows + total(rivals.map((rival) => rival.flows))
  for (const rival of rivals) {
    if (rival.perFlowBps >= left / sharers) break
    left -= rival.perFlowBps * rival.flows
    sharers -= rival.flows
  }
  return (left * flows) / sharers
}

/** Our class's part of a port that serves classes by weight: what a class does not use goes to the others. */
function weightedShare(rateBps: number, active: readonly Competitor[], pcp: number, weight: number): number {
  const classes = new Map<number, { weight: number; wantBps: number }>()
  for (const other of active) {
    if (other.pcp === pcp) continue
    const entry = classes.get(other.pcp) ?? { weight: other.weight ?? 1, wantBps: 0 }
    entry.wantBps += demandBps(other)
    classes.set(other.pcp, entry)
  }
  let left = rateBps
  let weights = weight + total([...classes.values()].map((entry) => entry.weight))
  const byNeed = [...classes.values()].sort((a, b) => a.wantBps / a.weight - b.wantBps / b.weight)
  for (const entry of byNeed) {
    if (entry.wantBps >= (left * entry.weight) / weights) break
    left -= entry.wantBps
    weights -= entry.weight
  }
  return (left * weight) / weights
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
