/** Compares the marks of every IPv4 frame with what its flow, or at least its own DSCP, asks for. */

import { absent, type Frame } from '../capture/frame.js'
import { formatIpv4 } from './addresses.js'
import type { ExpectedFlow, FlowMatch } from './run-flows.js'

export interface Mark {
  /** Null: no tag, or nothing is expected. */
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number
}

export interface WrongMark {
  readonly point: string
  /** Number of the frame in the capture of its point, from 1. */
  readonly frame: number
  /** Seconds since 1970 are the capture's; these nanoseconds count from the first second of the run's captures. */
  readonly time_ns: number
  readonly flow: string
  readonly expected: Mark
  readonly seen: Mark
}

export interface MarksResult {
  readonly frames_checked: number
  readonly frames_wrong: number
  /** Wrong frames by role, for roles that have any. */
  readonly wrong_by_role: Readonly<Record<string, number>>
  /** Where on its way a flow's mark stopped being right: one entry per role and direction with wrong frames. */
  readonly changes: readonly MarkChange[]
  readonly examples: readonly WrongMark[]
}

export interface MarkChange {
  readonly role: string
  readonly direction: 'client-to-server' | 'server-to-client'
  /** `sender`: wrong from the first capture point on. Else the two points between which it was changed. */
  readonly hop: string
  /** Wrong frames at the first point that saw any. */
  readonly frames_wrong: number
  readonly expected: Mark
  /** The first wrong mark there. */
  readonly seen: Mark
}

/** Frames of one flow in one direction at one capture point. */
interface PointTally {
  checked: number
  wrong: number
  seen: Mark | undefined
}

const maxExamples = 10

export class MarksAudit {
  private checked = 0
  private wrong = 0
  private readonly wrongByFlow = new Map<number, number>()
  private readonly examples: WrongMark[] = []
  /** By flow, direction and point; the frames of no known flow are not followed. */
  private readonly tallies: readonly PointTally[]

  constructor(
    private readonly flows: readonly ExpectedFlow[],
    private readonly pcpOfDscp: Uint8Array,
    private readonly pointNames: readonly string[],
  ) {
    const tally = (): PointTally => ({ checked: 0, wrong: 0, seen: undefined })
    this.tallies = Array.from({ length: 2 * flows.length * pointNames.length }, tally)
  }

  /**
   * Checks one IPv4 frame. A frame of a known flow must carry the flow's VLAN, PCP and DSCP. Of any other frame the
   * PCP must be the table's for its DSCP; without a tag it has the priority of best effort (802.1Q section 6.9).
   */
  check(frame: Frame, match: FlowMatch, point: number, number: number): void {
    this.checked++
    const flow = match.flow === absent ? undefined : this.flows[match.flow]
    const right = flow
      ? frame.pcp === (flow.pcp ?? this.pcpOfDscp[frame.dscp]) &&
        frame.dscp === (flow.dscp ?? frame.dscp) &&
        frame.vlan === flow.vlan
      : Math.max(frame.pcp, 0) === this.pcpOfDscp[frame.dscp]
    if (flow) this.follow(frame, match, point, right)
    if (!right) this.note(frame, match, point, number)
  }

  result(): MarksResult {
    const byRole = [...this.wrongByFlow].map(([flow, count]) => [this.roleOf(flow), count] as const)
    return {
      frames_checked: this.checked,
      frames_wrong: this.wrong,
      wrong_by_role: Object.fromEntries(byRole),
      changes: this.changes(),
      examples: this.examples,
    }
  }

  private follow(frame: Frame, match: FlowMatch, point: number, right: boolean): void {
    const tally = this.tallyOf(match.flow, match.toServer, point)
    tally.checked++
    if (right) return
    tally.wrong++
    tally.seen ??= markOf(frame)
  }

  private changes(): MarkChange[] {
    return this.flows.flatMap((flow, i) =>
      [true, false].flatMap((toServer): MarkChange[] => {
        // A server sits behind the congested port, so what it sends passes the points the other way round.
        const forward = this.pointNames.map((name, point) => ({ name, ...this.tallyOf(i, toServer, point) }))
        const way = (toServer ? forward : forward.reverse()).filter((point) => point.checked > 0)
        const at = way.findIndex((point) => point.wrong > 0)
        const first = way[at]
        if (first?.seen === undefined) return []
        const before = way[at - 1]
        return [
          {
            role: flow.role,
            direction: toServer ? 'client-to-server' : 'server-to-client',
            hop: before === undefined ? 'sender' : `${before.name} -> ${first.name}`,
            frames_wrong: first.wrong,
            expected: this.expected(flow, first.seen.dscp),
            seen: first.seen,
          },
        ]
      }),
    )
  }

  private tallyOf(flow: number, toServer: boolean, point: number): PointTally {
    return this.tallies[(2 * flow + (toServer ? 0 : 1)) * this.pointNames.length + point]!
  }

  private note(frame: Frame, match: FlowMatch, point: number, number: number): void {
    this.wrong++
    this.wrongByFlow.set(match.flow, (this.wrongByFlow.get(match.flow) ?? 0) + 1)
    if (this.examples.length >= maxExamples) return
    const flow = this.flows[match.flow]
    this.examples.push({
      point: this.pointNames[point] ?? '',
      frame: number,
      time_ns: frame.timeNs,
      flow: `${this.roleOf(match.flow)}: ${endpoint(frame.sourceAddress, frame.sourcePort)} > ${endpoint(frame.destinationAddress, frame.destinationPort)}`,
      expected: flow
        ? this.expected(flow, frame.dscp)
        : { vlan: null, pcp: this.pcpOfDscp[frame.dscp] ?? 0, dscp: frame.dscp },
      seen: markOf(frame),
    })
  }

  private expected(flow: ExpectedFlow, seenDscp: number): Mark {
    const dscp = flow.dscp ?? seenDscp
    return { vlan: flow.vlan, pcp: flow.pcp ?? this.pcpOfDscp[dscp] ?? 0, dscp }
  }

  private roleOf(flow: number): string {
    return this.flows[flow]?.role ?? 'other'
  }
}

function markOf(frame: Frame): Mark {
  return { vlan: known(frame.vlan), pcp: known(frame.pcp), dscp: frame.dscp }
}

function endpoint(address: number, port: number): string {
  return port === absent ? formatIpv4(address) : `${formatIpv4(address)}:${port}`
}

function known(value: number): number | null {
  return value === absent ? null : value
}
