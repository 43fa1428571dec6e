/** The outage of a run: the client's own report, the agents' clocks and the captures, put on one time line. */

import type { NewcomerReport } from '../agent/client/newcomer.js'
import type { ClientReport } from '../agent/client/outage.js'
import type { WireOutage } from '../analysis/client-watch.js'
import { moments, ms, type OutageResult } from './result.js'
import type { Client } from './scenario.js'

export interface OutageInput {
  readonly client: Client
  readonly report: ClientReport
  readonly wire: WireOutage | null
  /** Start of the migration, in ns since 1970. */
  readonly beganUnixNs: number
  /** When the guest was suspended and when it ran at the destination; absent without a handover. */
  readonly handoverUnixNs?: readonly [suspended: number, resumed: number]
  /** The guest went to another network; absent when it did not. */
  readonly moved?: {
    readonly tunnel: string
    readonly switchedUnixNs: number
    readonly newcomer: NewcomerReport
  }
}

export function outageResult(input: OutageInput): OutageResult {
  const { client, report, wire, beganUnixNs } = input
  const { gap } = report
  const at = (unixNs: number): number => ms(unixNs - beganUnixNs)
  return {
    client_ms: ms(gap.toNs - gap.fromNs),
    probes_sent: report.asked,
    probes_lost: report.unanswered,
    from_ms: at(gap.fromNs),
    to_ms: at(gap.toNs),
    open: gap.open,
    rate_per_s: client.rate,
    class: client.trafficClass.name,
    timeline: timeline(input, at),
    latency: report.near.map(({ sentNs, roundTripNs }) => ({
      at_ms: at(sentNs),
      rtt_ms: roundTripNs === null ? null : ms(roundTripNs),
    })),
    wire,
    ...(input.moved === undefined ? {} : { moved: movedResult(input.moved, at) }),
  }
}

function movedResult(
  { tunnel, switchedUnixNs, newcomer }: NonNullable<OutageInput['moved']>,
  at: (unixNs: number) => number,
): NonNullable<OutageResult['moved']> {
  const { address, asked, unanswered, firstAskedUnixNs, firstAnsweredUnixNs } = newcomer
  const orNull = (unixNs: number | undefined): number | null => (unixNs === undefined ? null : at(unixNs))
  return {
    tunnel,
    tunnel_ms: at(switchedUnixNs),
    new_address: address,
    first_connected_ms: orNull(firstAskedUnixNs),
    first_answer_ms: orNull(firstAnsweredUnixNs),
    probes_sent: asked,
    probes_lost: unanswered,
  }
}

function timeline(
  { report: { gap }, wire, handoverUnixNs, moved }: OutageInput,
  at: (unixNs: number) => number,
): OutageResult['timeline'] {
  const firstAsked = moved?.newcomer.firstAskedUnixNs
  const rows: [at_ms: number | null | undefined, what: string][] = [
    [at(gap.fromNs), 'last answer before the gap at the client'],
    [handoverUnixNs && at(handoverUnixNs[0]), moments.suspended],
    [handoverUnixNs && at(handoverUnixNs[1]), moments.running],
    [moved && at(moved.switchedUnixNs), 'old host sends on through the tunnel'],
    [firstAsked === undefined ? null : at(firstAsked), 'first new connection to the new address'],
    [rounded(wire?.announced_ms), 'gratuitous ARP from the destination'],
    [rounded(wire?.first_question_ms), moments.firstQuestion],
    [rounded(wire?.first_answer_ms), 'first answer from the destination'],
    [gap.open ? null : at(gap.toNs), 'first answer after the gap at the client'],
  ]
  return rows
    .flatMap(([at_ms, what]) => (typeof at_ms === 'number' ? [{ at_ms, what }] : []))
    .toSorted((a, b) => a.at_ms - b.at_ms)
}

function rounded(milliseconds: number | null | undefined): number | null {
  return typeof milliseconds === 'number' ? ms(milliseconds * 1e6) : null
}
