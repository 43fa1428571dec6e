/**
 * CR/TR-Motion (Liu et al., HPDC 2009): a checkpoint is sent while the guest runs on, and what reached the guest from
 * outside meanwhile is logged and sent after it; the destination executes the guest again from the checkpoint, chases
 * it, and takes over when it has caught up. However much memory the guest writes, only its inputs are sent.
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { assert } from '../support/assert.js'
import {
  choice,
  decimal,
  duration,
  integer,
  lane,
  memorySize,
  type OptionValues,
  optionHelp,
  readOptions,
} from './options.js'
import { copy } from './phrases.js'

const options = {
  log_threshold: memorySize('1MiB', 'log that is left from which the destination chases the guest'),
  lag_threshold: duration(
    '50ms',
    'guest time that the destination may be behind when the guest is suspended',
  ),
  replay_speed: decimal(
    4,
    0,
    10_000,
    'guest time that the destination executes per time; 0: as fast as it can',
  ),
  patience: integer(2, 1, 1000, 'logs in a row that do not shrink, after which the migration is given up'),
  chase_patience: duration('500ms', 'time without catching up after which the migration is given up'),
  max_logs: integer(10_000, 1, 1_000_000, 'logs at most'),
  via: lane('bulk', 'lane of the checkpoint'),
  log_via: choice(['log', 'bulk', 'final'], 'log', 'lane of the logs'),
  final_via: lane('final', 'lane of the device state'),
}

type Options = OptionValues<typeof options>

/** Time between two logs of the chase, of the lag that is allowed: the destination is at least so far behind. */
const waitShare = 0.25

const info: SchemeInfo = {
  name: 'cr-tr',
  number: 15,
  title: 'CR/TR-Motion (Liu et al. 2009)',
  idea: 'Send a checkpoint and then logs of the guest’s inputs; the destination executes the guest again and catches up.',
  source: 'Liu, Jin, Liao, Hu & Yu, HPDC 2009 (abstract; body from memory)',
  origin: 'published',
  ours: 'Thresholds, the speed of replay, and when a log or a chase that makes no progress is given up.',
  options: optionHelp(options),
}

export const crTr: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return { info, lanes: ['log'], decide: () => decide(chosen) }
  },
}

function* decide(chosen: Options): Generator<Intent, void, View> {
  let view = yield { do: 'checkpoint', replaySpeed: chosen.replay_speed }
  view = yield copy(view.unsent, chosen.via)
  let logs = 0
  let stuck = 0
  while (logOf(view).pendingBytes > chosen.log_threshold) {
    const before = view
    view = yield { do: 'shipLog', via: chosen.log_via }
    stuck = logOf(view).pendingBytes < logOf(before).pendingBytes ? 0 : stuck + 1
    if (stuck >= chosen.patience || ++logs >= chosen.max_logs)
      yield { do: 'abort', reason: diverging(before, view) }
  }
  view = yield { do: 'shipLog', via: chosen.log_via }
  let since = view
  while (logOf(view).lagNs > chosen.lag_threshold) {
    yield { do: 'wait', forNs: Math.ceil(chosen.lag_threshold * waitShare) }
    view = yield { do: 'shipLog', via: chosen.log_via }
    if (view.nowNs - since.nowNs < chosen.chase_patience) continue
    if (!catchesUp(since, view)) yield { do: 'abort', reason: fallenBehind(view) }
    since = view
  }
  yield { do: 'suspend' }
  yield { do: 'shipLog', via: chosen.log_via }
  yield { do: 'handover', via: chosen.final_via }
}

function logOf(view: View): NonNullable<View['log']> {
  assert(view.log !== undefined, 'there is a log after a checkpoint')
  return view.log
}

/** Executes a hundredth faster than the guest runs, or more. */
const leastGain = 0.01

function catchesUp(since: View, view: View): boolean {
  return logOf(since).lagNs - logOf(view).lagNs >= leastGain * (view.nowNs - since.nowNs)
}

/** x = R_log / B: how much log a log leaves behind. */
function diverging(before: View, after: View): string {
  const grownBytes = logOf(after).pendingBytes
  const sentBytes = logOf(before).pendingBytes
  const seconds = (after.nowNs - before.nowNs) / 1e9
  const mbps = (bytes: number): string => ((bytes * 8) / seconds / 1e6).toFixed(1)
  const x = (grownBytes / sentBytes).toFixed(2)
  return `the log grows as fast as it is sent (x = ${x}: ${mbps(grownBytes)} of ${mbps(sentBytes)} Mbit/s)`
}

function fallenBehind(view: View): string {
  const ms = (logOf(view).lagNs / 1e6).toFixed(0)
  return `the destination does not catch up: it is ${ms} ms of guest time behind, and executes no faster than the guest`
}
