/**
 * The fidelity gate: what a box must have sustained for the numbers of a run to be worth printing. Each check has a
 * value, a limit and a way out; one broken limit makes the run invalid.
 */

import type { Fidelity, FidelityCheck } from './result.js'

/** What the checks look at. Ratios are 0..1 unless said otherwise. */
export interface FidelityInput {
  /** The box's flood test: 150 % offered, so a third is lost at the switch and nothing at the sender. */
  readonly flood: { readonly lossAtSwitch: number; readonly lostAtSender: number }
  readonly framesDroppedByCapture: number
  readonly framesWrong: number
  /** Sum of |difference| of the frame ledger at the congested port. */
  readonly frameLedgerDifference: number
  /** Sum of |difference| of application bytes and TCP payload; undefined when the migration was cut off. */
  readonly byteLedgerDifference: number | undefined
  /** What the congested port sent while it always had something to send, and what the scenario asks for. */
  readonly port: { readonly busyNs: number; readonly bps: number }
  readonly linkBps: number
  readonly sourceCpuShare: number
  readonly sourceEventLoopDelayMs: number
  /** Asked and achieved page writes per second of guest time. */
  readonly dirtyPagesPerSecond: { readonly asked: number; readonly achieved: number }
  /** The outage around a handover, as the client saw it and as answers left their hosts; absent without either. */
  readonly outage?: { readonly clientMs: number; readonly wireMs: number }
  readonly traffic: readonly {
    readonly name: string
    readonly askedMbps: number | null
    readonly offeredMbps: number
    readonly droppedAtSocket: number
  }[]
}

/** A third, of which the queue's own frames and the packets of the start are a part: 30 to 37 %. */
const floodErrorMax = 0.035
const cpuShareMax = 0.9
const eventLoopDelayMsMax = 50
const rateErrorMax = 0.01
/** A port that was never busy for long says nothing about its shaper. */
const busyNsMin = 200e6
const dirtyRateErrorMax = 0.02
/** A loaded box sends its bursts late, but the load that the migration meets is still the one asked for. */
const offeredErrorMax = 0.05

/**
 * Answers cross an idle path to their client, so that the two differ by microseconds, unless this box held frames up on
 * the way: a kernel whose only processor was busy with the handover did, for 192 ms.
 */
const outageErrorMsMax = 2
const outageErrorMax = 0.1

/** The checks whose values come out of the captures and the scenario alone. */
export const checksFromCaptures = [
  'marks_wrong',
  'frame_ledger_difference',
  'byte_ledger_difference',
  'link_rate_error',
] as const

export function fidelityOf(input: FidelityInput): Fidelity {
  const checks = [
    atMost(
      'flood_loss_error',
      Math.abs(input.flood.lossAtSwitch - 1 / 3),
      floodErrorMax,
      'ratio',
      'A flood of 150 % must lose a third at the switch: on this kernel queues hold their senders back; see doctor.',
    ),
    none(
      'flood_lost_at_sender',
      input.flood.lostAtSender,
      'frames',
      'A flood must not be lost at its sender: this box is too slow for it, or its sockets are held back.',
    ),
    none(
      'captures_dropped',
      input.framesDroppedByCapture,
      'frames',
      'Lower the link rate, or close other programs.',
    ),
    none(
      'marks_wrong',
      input.framesWrong,
      'frames',
      'See marks.examples: they name the flow and where it was seen.',
    ),
    none(
      'frame_ledger_difference',
      input.frameLedgerDifference,
      'frames',
      'Captures and queue counters disagree: look for other traffic in the lab, or for capture drops.',
    ),
    ...(input.byteLedgerDifference === undefined
      ? []
      : [
          none(
            'byte_ledger_difference',
            input.byteLedgerDifference,
            'bytes',
            'The captures do not hold all that the agents wrote: look for capture drops.',
          ),
        ]),
    ...(input.port.busyNs < busyNsMin
      ? []
      : [
          atMost(
            'link_rate_error',
            relativeError(input.linkBps, input.port.bps),
            rateErrorMax,
            'ratio',
            'The shaper does not keep the rate of the scenario on this box: lower link.rate, or see applied.classes.',
          ),
        ]),
    atMost(
      'source_cpu_share',
      input.sourceCpuShare,
      cpuShareMax,
      'cores',
      'Lower link.rate or the dirty rate, or use a faster machine.',
    ),
    atMost(
      'source_event_loop_delay_p99',
      input.sourceEventLoopDelayMs,
      eventLoopDelayMsMax,
      'ms',
      'The source agent was held up: close other programs or lower the rates.',
    ),
    atMost(
      'dirty_rate_error',
      relativeError(input.dirtyPagesPerSecond.asked, input.dirtyPagesPerSecond.achieved),
      dirtyRateErrorMax,
      'ratio',
      'The guest could not write as fast as the scenario asks: lower guest.workload.dirty_rate.',
    ),
    ...outageCheck(input.outage),
    ...input.traffic.flatMap(trafficChecks),
  ]
  return { valid: checks.every((check) => check.ok), checks }
}

function outageCheck(outage: FidelityInput['outage']): FidelityCheck[] {
  if (outage === undefined) return []
  return [
    atMost(
      'outage_difference',
      Math.abs(outage.clientMs - outage.wireMs),
      Math.max(outageErrorMsMax, outageErrorMax * outage.wireMs),
      'ms',
      'Answers were held up between the guest and its client on this box: close other programs or lower the rates.',
    ),
  ]
}

function trafficChecks(stream: FidelityInput['traffic'][number]): FidelityCheck[] {
  return [
    ...(stream.askedMbps === null
      ? []
      : [
          atMost(
            `offered_load_error ${stream.name}`,
            relativeError(stream.askedMbps, stream.offeredMbps),
            offeredErrorMax,
            'ratio',
            'The generator could not keep its rate: lower cross_traffic.rate or close other programs.',
          ),
        ]),
    none(
      `dropped_at_socket ${stream.name}`,
      stream.droppedAtSocket,
      'packets',
      'The receiver was too slow, and its loss is not the network’s: lower the rate.',
    ),
  ]
}

function relativeError(asked: number, achieved: number): number {
  return asked === 0 ? Math.abs(achieved) : Math.abs(achieved - asked) / asked
}

function none(name: string, value: number, unit: string, advice: string): FidelityCheck {
  return atMost(name, value, 0, unit, advice)
}

function atMost(name: string, value: number, limit: number, unit: string, advice: string): FidelityCheck {
  const shown = Math.round(value * 1e6) / 1e6
  return { name, value: shown, limit, unit, ok: value <= limit, advice }
}
