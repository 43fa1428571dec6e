/** How long this process was ready to run and had to wait for a processor: what other programs of the box cost it. */

import { readFileSync } from 'node:fs'
import { codeOf } from '../support/errors.js'

/**
 * Nanoseconds since the process began, of its main thread; undefined on a kernel that does not count them
 * (second field of /proc/PID/schedstat, Documentation/scheduler/sched-stats.rst).
 */
export function runQueueWaitNs(): number | undefined {
  try {
    const waited = Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1])
    return Number.isFinite(waited) ? waited : undefined
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
