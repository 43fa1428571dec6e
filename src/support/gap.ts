/** The longest time in which something that should happen all the time did not. */

export interface Gap {
  /** The last time before it; the beginning of the watch when there was none. */
  readonly fromNs: number
  /** The first time after it, or the end of the watch. */
  readonly toNs: number
  /** Nothing ended it. */
  readonly open: boolean
}

/** Of `times`, in ascending order: the longest gap of those that end after `fromNs`. Nobody looked after `lastNs`. */
export function longestGap(times: readonly number[], fromNs: number, lastNs: number): Gap {
  let before = fromNs
  let longest: Gap = { fromNs, toNs: fromNs, open: false }
  for (const ns of times) {
    if (ns >= fromNs && ns - before > longest.toNs - longest.fromNs) {
      longest = { fromNs: before, toNs: ns, open: false }
    }
    before = ns
  }
  return lastNs - before > longest.toNs - longest.fromNs
    ? { fromNs: before, toNs: lastNs, open: true }
    : longest
}
