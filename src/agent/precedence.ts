/** The processes of a run go before the other programs of the box: a sender that has to wait is a load that is missing. */

import { setPriority } from 'node:os'

/** Above everything ordinary, below what the kernel itself needs. */
const niceness = -15

/**
 * Lets a child go first. Only root may; without it the child runs like any other, and the gate says if that is not
 * enough. A kernel with autogroups shares the processor among sessions first, and this among a session's own.
 */
export function goFirst(pid: number | undefined): void {
  if (pid !== undefined && process.geteuid?.() === 0) setPriority(pid, niceness)
}
