/** What a receiver can tell from sequence numbers: how many arrived, twice, or after a later one. */

/** A packet that comes this many numbers late can no longer be told from one that came before. */
const memory = 65_536

export class Arrivals {
  /** Different packets that arrived. */
  unique = 0
  duplicates = 0
  /** Of the unique ones: arrived after a packet with a higher number. */
  reordered = 0
  /** Older than the memory reaches; counted neither as unique nor as a duplicate. */
  tooLate = 0
  private next = 0
  private readonly seen = new Uint8Array(memory)

  /** Takes a sequence number from 0. */
  observe(sequence: number): void {
    if (sequence >= this.next) {
      this.forget(this.next, sequence)
      this.next = sequence + 1
    } else if (sequence < this.next - memory) {
      this.tooLate++
      return
    } else if (this.seen[sequence % memory] === 1) {
      this.duplicates++
      return
    } else this.reordered++
    this.seen[sequence % memory] = 1
    this.unique++
  }

  /** Numbers below the highest that never arrived. What was lost after the last arrival only the sender knows. */
  get lost(): number {
    return Math.max(0, this.next - this.unique - this.tooLate)
  }

  private forget(from: number, to: number): void {
    if (to - from >= memory) this.seen.fill(0)
    else for (let i = from; i <= to; i++) this.seen[i % memory] = 0
  }
}
