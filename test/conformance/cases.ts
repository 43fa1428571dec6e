/** Every scheme with every set of options that changes its rules. A new scheme is in the suite by its place in the list. */

import { strategies } from '../../src/strategies/index.js'

export interface Case {
  readonly scheme: string
  readonly options: Readonly<Record<string, unknown>>
}

/** QEMU's times scaled to a guest that is sent in half a millisecond. */
const fastQemu = {
  downtime_limit: '20us',
  window: '50us',
  period: '200us',
  max_bandwidth: '0bit',
  max_rounds: 60,
} as const

/** Besides the defaults. */
const variants: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  'pre-copy': [
    { profile: 'xen42', skip: 'off' },
    { profile: 'xen-new' },
    { profile: 'clark05', min_rate: '3gbit', max_rate: '30gbit', rate_step: '1gbit' },
    { profile: 'clark05', rate_rule: 'code', min_rate: '3gbit', max_rate: '30gbit', rate_step: '1gbit' },
    { profile: 'threshold-only', max_rounds: 40 },
    { profile: 'threshold-only', skip: 'on', max_rounds: 40 },
  ],
  'async-cache': [
    { prm_a: 0, prm_b: 1 },
    { prm_b: 0.2, chunk_pages: 16 },
    { prm_b: 0.2, chunk_pages: 16, sync_mode: 'pause-all' },
    { prm_b: 0.15, chunk_pages: 16, latch: true, redirtied: 'to-end' },
    { count_stream: true, after_stream: 'stop-at-a', expire: '100us', step_pages: 5 },
  ],
  ma: [{ hits: 0 }, { hits: 3, max_held: 1 }],
  hu: [{ score: 'smoothed' }, { history: 1, hold_from: 1, max_held: 1 }],
  safari: [{ max_held: 1 }],
  zaw: [{ list: 0.5, observe_for: '1ms' }, { list: 0 }],
  'farzin-alamdari': [{ distance: 'exact' }, { horizon: 10, patience: 1 }],
  ibrahim: [{ floor: '20us' }, { rules: 'floor-only', floor: '100us', max_rounds: 60 }],
  'priority-manager': [
    { interval: '50us', hysteresis: '100us', deadline: '1ms', link_rate: '40gbit' },
    {
      interval: '30us',
      deadline: '600us',
      guaranteed: '10gbit',
      link_rate: '40gbit',
      bulk_level: 2,
      skip: false,
    },
  ],
  multipath: [{ channels: 1 }, { channels: 3, max_rounds: 4 }],
  'cr-tr': [
    { log_threshold: '1KiB', lag_threshold: '20ms', replay_speed: 2 },
    { lag_threshold: '30ms', replay_speed: 0 },
  ],
  amani: [
    { sender_rate: '80gbit', neighbours: 3 },
    { lever_guest: false, lever_sender: false },
    { trigger: 0.01, cap_min: 1, processors: 2 },
  ],
  qemu: [
    { ...fastQemu },
    { ...fastQemu, brake: 'auto-converge', max_rounds: 400 },
    { ...fastQemu, brake: 'auto-converge', tail_slow: true },
    { ...fastQemu, brake: 'dirty-limit', dirty_quota: '2gbit', tolerance: '100mbit' },
    { ...fastQemu, channels: 4, zero_pages: false },
  ],
  'post-copy': [
    { variant: 'push', rounds: 1, self_balloon: true },
    { variant: 'bubble-m', rounds: 2 },
    { variant: 'bubble-m', forward: true, pivots: 2, nonpageable: 0.05 },
    { variant: 'demand', demand_for: '100us', faults_via: 'bulk' },
  ],
  xbzrle: [{ ...fastQemu }, { ...fastQemu, format: 'xbrle', cache: '256KiB' }, { ...fastQemu, cache: '0B' }],
  mecom: [{ compress: false }, { threads: 2, thread_rate: '100gbit' }],
  cloudspider: [{ threshold_blocks: 0, max_passes: 3, profile: 'xen-new' }],
  bradford: [
    { throttle_writes: 20, first_delay: '500ns' },
    { throttle_writes: 0, profile: 'xen-new' },
  ],
  'shared-storage': [
    { share: 0 },
    { share: 1, profile: 'threshold-only' },
    { share: 0.3, profile: 'xen-new' },
  ],
  stord: [{ split: 1 }, { split: 7 }, { split: 3, skip: true }, { threshold_pages: 0, max_volume: 4 }],
}

export const cases: readonly Case[] = strategies.flatMap(({ info }) => [
  { scheme: info.name, options: {} },
  ...(variants[info.name] ?? []).map((options) => ({ scheme: info.name, options })),
])

export function nameOf({ scheme, options }: Case): string {
  const given = Object.entries(options).map(([name, value]) => `${name}=${String(value)}`)
  return given.length === 0 ? scheme : `${scheme} (${given.join(', ')})`
}
