/**
 * The pre-copy loop of QEMU (migration/migration.c, ram.c; 8.x): no rounds but a cyclic sweep over what is dirty. The
 * dirty log is read only when what is left would fit the downtime limit; the guest is suspended when it still does.
 * Convergence is helped by throttling the guest (auto-converge) or its writers (dirty limit).
 */

import type { EncodingSpec } from '../memory/encoding.js'
import type {
  Intent,
  Lane,
  LaneName,
  SchemeInfo,
  Strategy,
  StrategyFactory,
  View,
} from '../migration/strategy.js'
import { duration, flag, integer, lane, type OptionValues, optionHelp, rate, readOptions } from './options.js'
import { type Brake, brakeOptions, noBrake, qemuBrake } from './qemu-brakes.js'

/** Options of the loop, which other schemes that build on QEMU have as well. */
export const loopOptions = {
  downtime_limit: duration('300ms', 'estimated time of the last copy at which the guest is suspended'),
  max_bandwidth: rate(
    '1073.741824mbit',
    'page payload rate while the guest runs (128 MiB/s); 0bit: no limit',
  ),
  switchover_bandwidth: rate(
    '0bit',
    'rate that the last copy is estimated with; 0bit: the rate of the last window',
  ),
  window: duration('100ms', 'time over which the rate is measured'),
  max_rounds: integer(100_000, 1, 1_000_000, 'reads of the dirty log at most, then the guest is suspended'),
  via: lane('bulk', 'lane of the sweeps'),
  final_via: lane('final', 'lane of the last copy and the device state'),
}

export type LoopOptions = OptionValues<typeof loopOptions>

const options = {
  ...loopOptions,
  zero_pages: flag(true, 'pages of zeros go as a flag'),
  channels: integer(1, 1, 16, 'connections that pages are spread over, in packets of 128 (multifd)'),
  ...brakeOptions,
}

const info: SchemeInfo = {
  name: 'qemu',
  number: 3,
  title: 'QEMU/KVM pre-copy',
  idea: 'Sweep over the dirty pages; look at the dirty log when the rest would fit the downtime limit; brake the guest if it never does.',
  source:
    'QEMU 8.x migration/migration.c, migration/ram.c, system/dirtylimit.c; multifd: migration/multifd.c',
  origin: 'published',
  ours: 'One virtual processor, so that the dirty limit slows its reads with its writes.',
  options: optionHelp(options),
}

export const qemu: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    const encoding: EncodingSpec | undefined = chosen.zero_pages ? { kind: 'zero' } : undefined
    const lanes = Array.from({ length: chosen.channels - 1 }, (_, i) => channel(i + 1))
    return {
      info,
      lanes,
      decide: (view) =>
        preCopy(chosen, view, {
          brake: chosen.brake === 'none' ? noBrake : qemuBrake(chosen),
          lanes: (pages, from) => spread(chosen.via, chosen.channels, pages, from),
          encoding: () => encoding,
        }),
    } satisfies Strategy
  },
}

/** What a scheme may do otherwise than plain QEMU. */
export interface Variation {
  readonly brake: Brake
  readonly lanes: (pages: View['unsent'], from: number) => readonly Lane[]
  /** Encoding of the next copy. */
  readonly encoding: (view: View) => EncodingSpec | undefined
}

/** The whole migration: sweeps, then the rest with the guest suspended. */
export function* preCopy(
  chosen: LoopOptions,
  first: View,
  variation: Variation,
): Generator<Intent, void, View> {
  yield* sweeps(chosen, first, variation)
  const view = yield { do: 'suspend' }
  if (view.unsent.count > 0) {
    yield {
      do: 'copy',
      lanes: encoded([{ pages: view.unsent, via: chosen.final_via }], variation.encoding(view)),
    }
  }
  yield { do: 'handover', via: chosen.final_via }
}

/** Sweeps until the rest fits the downtime limit. */
export function* sweeps(
  chosen: LoopOptions,
  first: View,
  variation: Variation,
): Generator<Intent, View, View> {
  const { brake } = variation
  let view = first
  let cursor = 0
  let bandwidthBps = 0
  let syncedNs = view.nowNs
  for (;;) {
    const overdue = brake.wantsSync(view.nowNs - syncedNs)
    if (fits(chosen, view, bandwidthBps) || overdue) {
      const before = view.unsent.count
      view = yield { do: 'syncDirty' }
      syncedNs = view.nowNs
      if (fits(chosen, view, bandwidthBps) || view.round >= chosen.max_rounds) return view
      const withhold = brake.synced(view, view.unsent.count - before)
      if (withhold !== undefined) view = yield { do: 'throttle', withhold }
    }
    cursor = nextUnsent(view, cursor)
    view = yield {
      do: 'copy',
      lanes: limited(chosen, encoded(variation.lanes(view.unsent, cursor), variation.encoding(view))),
      atMostNs: chosen.window,
    }
    if (view.lastCopy.goodputBps > 0) bandwidthBps = view.lastCopy.goodputBps
    const withhold = brake.ticked(view)
    if (withhold !== undefined) view = yield { do: 'throttle', withhold }
  }
}

/** Nothing is left, or it would go in the downtime limit at the measured rate. */
function fits(chosen: LoopOptions, view: View, bandwidthBps: number): boolean {
  if (view.unsent.count === 0) return true
  const bps = chosen.switchover_bandwidth > 0 && bandwidthBps > 0 ? chosen.switchover_bandwidth : bandwidthBps
  const threshold = (bps * chosen.downtime_limit) / 8e9
  return view.unsent.count * view.pageBytes < threshold
}

/** Where the sweep goes on: what lay before the cursor was sent, or became dirty again and waits for the next sweep. */
function nextUnsent(view: View, cursor: number): number {
  const next = view.unsent.next(cursor)
  return next === -1 ? Math.max(0, view.unsent.next(0)) : next
}

function encoded(lanes: readonly Lane[], encoding: EncodingSpec | undefined): readonly Lane[] {
  return encoding === undefined ? lanes : lanes.map((one) => ({ ...one, encoding }))
}

function limited(chosen: LoopOptions, lanes: readonly Lane[]): readonly Lane[] {
  if (chosen.max_bandwidth === 0) return lanes
  const rateLimitBps = chosen.max_bandwidth / lanes.length
  return lanes.map((one) => ({ ...one, rateLimitBps }))
}

/** One lane that sweeps from the cursor. */
export function oneLane(via: LaneName, pages: View['unsent'], from: number): readonly Lane[] {
  return [{ pages, via, from }]
}

/** The nth of several connections; the first is the lane of the sweeps itself. */
function channel(index: number): LaneName {
  return `channel-${index + 1}`
}

/** Pages of a multifd packet (512 KiB). */
const packetPages = 128
/** Packets that are dealt out for one window; what they do not use waits for the next. */
const packetsAhead = 64

/** Packets dealt out over the channels in turn. The end of the copy is the barrier: no older copy can overtake. */
function spread(via: LaneName, channels: number, pages: View['unsent'], from: number): readonly Lane[] {
  if (channels === 1) return oneLane(via, pages, from)
  const list = sweepFrom(pages, from, channels * packetPages * packetsAhead)
  return Array.from({ length: channels }, (_, index) => ({
    pages: everyPacket(list, index, channels),
    via: index === 0 ? via : channel(index),
  }))
}

/** The next `most` pages of the sweep. */
function sweepFrom(pages: View['unsent'], from: number, most: number): Uint32Array {
  const list = new Uint32Array(Math.min(most, pages.count))
  const upper = pages.fill(from, list)
  if (upper < list.length) pages.fill(0, list.subarray(upper))
  return list
}

function everyPacket(list: Uint32Array, index: number, channels: number): Uint32Array {
  const chosen: number[] = []
  for (let packet = index; packet * packetPages < list.length; packet += channels) {
    for (const page of list.subarray(packet * packetPages, (packet + 1) * packetPages)) chosen.push(page)
  }
  return Uint32Array.from(chosen)
}
