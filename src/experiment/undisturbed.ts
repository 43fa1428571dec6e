/** Tells a run that other programs of the box disturbed from one that they did not, and repeats it. */

import type { SourceResult } from '../agent/source.js'

/**
 * A run is the box's and not the emulator's when its source waited longer for a processor, as a share of the total
 * time. Below it the kernel's buffers keep the link busy meanwhile.
 */
export const processorWaitMax = 0.1

/** Disturbed runs are replaced this often at most; of all, the least disturbed counts. */
const replacements = 3

/** Share of the total time, to a ten-thousandth. */
export function processorWait({ runQueueWaitNs = 0, record }: SourceResult): number {
  return Math.round((1e4 * runQueueWaitNs) / record.totalNs) / 1e4
}

/** `replaced` hears of each run that does not count, and how long it waited. */
export async function undisturbed(
  migrate: () => Promise<SourceResult>,
  replaced: (wait: number) => void,
): Promise<SourceResult> {
  let best = await migrate()
  for (let i = 0; i < replacements && processorWait(best) > processorWaitMax; i++) {
    replaced(processorWait(best))
    const other = await migrate()
    if (processorWait(other) < processorWait(best)) best = other
  }
  return best
}
