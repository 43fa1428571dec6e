/**
 * Why a migration took as long as it did: its total time in parts that add up to it. What the pages would have taken
 * on the idle link is computed from their bytes; what a round took beyond that was spent waiting for the others.
 */

import type { MigrationResult } from '../experiment/result.js'

export interface TimePart {
  readonly name: string
  readonly ms: number
  readonly meaning: string
}

/**
 * `linkBps`: rate of the congested port in bits of whole frames; `resentFrames`: TCP segments of the lanes that were
 * sent again; `frameBytes`: of a full frame.
 */
export function timeSpent(
  migration: MigrationResult,
  link: { readonly linkBps: number; readonly resentFrames: number; readonly frameBytes: number },
): readonly TimePart[] {
  // After the handover of post-copy the guest runs too.
  const running = migration.rounds.filter(({ phase }) => phase !== 'suspended')
  const copied = sum(running.map(({ duration_ms }) => duration_ms))
  const runningBytes = sum(running.map(({ bytes_sent }) => bytes_sent))
  // Frames around the payload: 1448 bytes of it travel in a frame of 1518.
  const idealMs = ((runningBytes * 1518) / 1448 / link.linkBps) * 8000
  const sending = Math.min(idealMs, copied)
  const firstShare = Math.min(1, migration.pages_unique / Math.max(1, migration.pages_sent))
  const resent = Math.min(copied - sending, ((link.resentFrames * link.frameBytes * 8) / link.linkBps) * 1000)
  const down = migration.downtime_ms ?? 0
  const split = migration.downtime_split_ms
  const parts: readonly TimePart[] = [
    { name: 'set-up', ms: migration.setup_time_ms, meaning: 'connections opened and authenticated' },
    {
      name: 'sending pages once',
      ms: sending * firstShare,
      meaning: 'what different pages take at the full link rate',
    },
    {
      name: 'dirty growth',
      ms: sending * (1 - firstShare),
      meaning: 'the same for pages sent again because the guest wrote to them',
    },
    { name: 'retransmitting', ms: resent, meaning: 'segments sent again by TCP, at the full link rate' },
    {
      name: 'waiting for the link',
      ms: copied - sending - resent,
      meaning: 'rounds beyond that: queueing, the share that others took, TCP finding its rate',
    },
    { name: 'final copy', ms: split?.final_copy ?? 0, meaning: 'pages sent while the guest was suspended' },
    { name: 'device and handover', ms: down - (split?.final_copy ?? 0), meaning: 'the rest of the downtime' },
  ]
  const rest = migration.total_time_ms - sum(parts.map(({ ms }) => ms))
  return [
    ...parts.map((part) => ({ ...part, ms: Math.max(0, part.ms) })),
    {
      name: 'between rounds',
      ms: Math.max(0, rest),
      meaning: 'deciding, reading the dirty log, releasing the source',
    },
  ]
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0)
}
