/** The one clock of the agents: CLOCK_MONOTONIC, which all processes of one kernel share. */

/** Nanoseconds since an arbitrary point, the same for all processes of this machine. */
export function monotonicNs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e9 + nanoseconds
}
