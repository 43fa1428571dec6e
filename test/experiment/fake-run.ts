/** Results of runs that never ran, for tests of what is concluded from results. */

import type { ClassResult } from '../../src/analysis/run-classes.js'
import { type RunResult, runSchema } from '../../src/experiment/result.js'
import type { RunRequest } from '../../src/experiment/validate.js'

export interface FakeFigures {
  readonly goodputMbps: number
  /** Cut off at the request's limit. */
  readonly totalMs: number
  readonly downtimeMs: number
  /** Throughput of the cross-traffic. */
  readonly otherMbps: number
  readonly invalid?: boolean
  readonly cancelled?: boolean
}

export type FakeRun = (request: Pick<RunRequest, 'arm' | 'seed' | 'label'>) => FakeFigures

export function fakeRun(figures: FakeFigures, { limitNs }: Pick<RunRequest, 'limitNs'>): RunResult {
  const { totalMs, downtimeMs, goodputMbps, invalid, cancelled } = figures
  const limitMs = limitNs / 1e6
  const done = totalMs <= limitMs
  const spent = Math.min(totalMs, limitMs)
  return {
    schema: runSchema,
    origin: 'measured',
    outcome: cancelled ? 'cancelled' : done ? 'completed' : 'aborted',
    run_dir: null,
    scenario: {},
    applied: null,
    migration: {
      strategy: 'pre-copy',
      total_time_ms: spent,
      setup_time_ms: 50,
      downtime_ms: done ? downtimeMs : null,
      downtime_split_ms: done ? { final_copy: downtimeMs, device: 0, handover: 0 } : null,
      rounds: [],
      pages_total: 1000,
      pages_sent: Math.round((goodputMbps * spent) / 33),
      pages_zero: 0,
      storage: null,
      disk: null,
      pages_unique: 1000,
      pages_postcopy_requests: 0,
      payload_bytes: goodputMbps * spent * 125,
      wire_bytes: null,
      goodput_mbps: goodputMbps,
      guest_stall_ms: 0,
      guest_throttle_max: 0,
      verified: done,
    },
    classes: [
      {
        role: 'cross-traffic 0 udp-cbr',
        direction: 'client-to-server',
        vlan: 200,
        pcp: 0,
        dscp: 0,
        entry: 'switch-in',
        exit: 'switch-out',
        packets: 1000,
        bytes: 1_500_000,
        packets_delivered: 990,
        bytes_delivered: 1_485_000,
        throughput_mbps: figures.otherMbps,
        packets_lost: 10,
        loss_ratio: 0.01,
        retransmits: 0,
        rtt_ms_p50: null,
        rtt_ms_p99: null,
        queue_delay_ms_p50: 10,
        queue_delay_ms_p99: 20,
      } satisfies ClassResult,
    ],
    marks: null,
    cross_traffic: [],
    outage: null,
    captures: [],
    ledger: null,
    fidelity: {
      valid: !invalid,
      checks: [
        {
          name: 'source_cpu_share',
          value: invalid ? 2 : 0.5,
          limit: 0.9,
          unit: 'cores',
          ok: !invalid,
          advice: '',
        },
      ],
    },
  }
}
