/** Which part of one direction's TCP sequence space was seen: tells new payload from payload sent again. */

/** Holes kept apart; beyond this the oldest hole counts as seen. A capture that lost more is no ground for a verdict. */
const maxRanges = 4096

export class SequenceSet {
  /** Disjoint ranges in rising order; sequence numbers are unwrapped, so streams beyond 4 GiB stay in order. */
  private readonly starts: number[] = []
  private readonly ends: number[] = []
  /** Unwrapped and raw number of one and the same byte, near the newest. */
  private anchor = 2 ** 32
  private anchorRaw = 0

  /** The raw sequence number (signed 32 bits) as an unwrapped one: the one that lies nearest to the newest byte. */
  unwrap(raw: number): number {
    if (this.ends.length === 0) this.anchorRaw = raw
    return this.anchor + ((raw - this.anchorRaw) | 0)
  }

  /** True if what was seen has no holes. */
  get isWhole(): boolean {
    return this.starts.length === 1
  }

  /** Raw number of the first byte seen. */
  get firstRaw(): number {
    return (this.anchorRaw + ((this.starts[0] ?? this.anchor) - this.anchor)) | 0
  }

  /** Adds `length` bytes from raw number `raw`; returns how many of them were seen before. */
  add(raw: number, length: number): number {
    const start = this.unwrap(raw)
    const end = start + length
    const last = this.ends.length - 1
    if (end > this.anchor) {
      this.anchor = end
      this.anchorRaw = (raw + length) | 0
    }
    if (last >= 0 && start === this.ends[last]) {
      this.ends[last] = end
      return 0
    }
    return last < 0 || start > this.ends[last]! ? this.append(start, end) : this.insert(start, end)
  }

  private append(start: number, end: number): number {
    this.starts.push(start)
    this.ends.push(end)
    if (this.starts.length > maxRanges) {
      this.starts.splice(1, 1)
      this.ends.splice(0, 1)
    }
    return 0
  }

  private insert(start: number, end: number): number {
    let first = this.ends.length
    while (first > 0 && this.ends[first - 1]! >= start) first--
    let overlap = 0
    let low = start
    let high = end
    let after = first
    for (; after < this.starts.length && this.starts[after]! <= end; after++) {
      overlap += Math.max(0, Math.min(end, this.ends[after]!) - Math.max(start, this.starts[after]!))
      low = Math.min(low, this.starts[after]!)
      high = Math.max(high, this.ends[after]!)
    }
    this.starts.splice(first, after - first, low)
    this.ends.splice(first, after - first, high)
    return overlap
  }
}
