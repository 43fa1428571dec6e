/** The processes of a run go before the other programs of the box: a sender that has to wait is a load that is missing. */

import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'

/** Above everything ordinary, below what the kernel itself needs. */
const niceness = -15

/**
 * Lets a child go first that leads a session of its own. Only root may; without it the child runs like any other, and
 * the gate says if that is not enough. A kernel with autogroups shares the processor among sessions before it looks at
 * niceness within one, so the session is told too.
 */
export function goFirst(pid: number | undefined): void {
  if (pid === undefined || process.geteuid?.() !== 0) return
  setPriority(pid, niceness)
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness))
  } catch (error) {
    // A kernel without autogroups has no such file; a child that is gone says so itself.
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ENOENT' && code !== 'ESRCH') throw error
  }
}
