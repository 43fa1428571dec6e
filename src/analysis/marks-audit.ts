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
  readonly examples: readonly WrongMark[]
}

const maxExamples = 10

export class MarksAudit {
  private checked = 0
  private wrong = 0
  private readonly wrongByFlow = new Map<number, number>()
  private readonly examples: WrongMark[] = []

  constructor(
    private readonly flows: readonly ExpectedFlow[],
    private readonly pcpOfDscp: Uint8Array,
    private readonly pointNames: readonly string[],
  ) {}

  /**
   * Checks one IPv4 frame. A frame of a known flow must carry the flow's VLAN, PCP and DSCP. Of any other frame the
   * PCP must be the table's for its DSCP; without a tag it has the priority of best effort (802.1Q section 6.9).
   */
  check(frame: Frame, match: FlowMatch, point: number, number: number): void {
    this.checked++
    const flow = match.flow === absent ? undefined : this.flows[match.flow]
    const right = flow
      ? frame.pcp === flow.pcp && frame.dscp === flow.dscp && frame.vlan === flow.vlan
      : Math.max(frame.pcp, 0) === this.pcpOfDscp[frame.dscp]
    if (!right) this.note(frame, match, point, number)
  }

  result(): MarksResult {
    const byRole = [...this.wrongByFlow].map(([flow, count]) => [this.roleOf(flow), count] as const)
    return {
      frames_checked: this.checked,
      frames_wrong: this.wrong,
      wrong_by_role: Object.fromEntries(byRole),
      examples: this.examples,
    }
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
        ? { vlan: flow.vlan, pcp: flow.pcp, dscp: flow.dscp }
        : { vlan: null, pcp: this.pcpOfDscp[frame.dscp] ?? 0, dscp: frame.dscp },
      seen: { vlan: known(frame.vlan), pcp: known(frame.pcp), dscp: frame.dscp },
    })
  }

  private roleOf(flow: number): string {
    return this.flows[flow]?.role ?? 'other'
  }
}

function endpoint(address: number, port: number): string {
  return port === absent ? formatIpv4(address) : `${formatIpv4(address)}:${port}`
}

function known(value: number): number | null {
  return value === absent ? null : value
}
