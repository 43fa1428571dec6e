/** The time as it stands in the names of result directories: sorts by age. */

/** `20260131-235959`, in UTC. */
export function timeStamp(now: Date): string {
  return now.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
}
