/** Bytes and packets per interval of time. All series of one analysis share an interval, which grows when time does. */

/** Bins that all series together may hold: 64 MiB. Beyond, the interval doubles and neighbours are added up. */
const maxBins = 4 * 1024 * 1024
const firstBins = 16

/** The interval that all series of one analysis have in common. */
export class SeriesClock {
  readonly series: Series[] = []
  bins = 0
  /** Where the first interval begins: at the capture's first frame, counted or not. */
  originNs = Number.NaN

  constructor(public intervalNs: number) {}

  /** Doubles the interval until `bins` more fit. */
  makeRoom(bins: number): void {
    if (this.bins + bins <= maxBins) return
    this.intervalNs *= 2
    for (const series of this.series) series.halve()
  }
}

export class Series {
  /** Bytes and packets of bin i at 2 i and 2 i + 1. */
  private values = new Float64Array(0)
  /** Interval number of the first bin. */
  private first = 0
  /** The bin of the newest frame, as times, so that most frames need two comparisons. */
  binFromNs = Number.POSITIVE_INFINITY
  binToNs = Number.NEGATIVE_INFINITY
  private at = 0

  constructor(private readonly clock: SeriesClock) {
    clock.series.push(this)
  }

  add(timeNs: number, bytes: number): void {
    this.turnTo(timeNs)
    this.addToBin(bytes, 1)
  }

  /** Makes the bin of a time the one at hand. */
  turnTo(timeNs: number): void {
    if (timeNs < this.binFromNs || timeNs >= this.binToNs) this.leaveBin(timeNs)
  }

  /** Adds frames to the bin at hand. */
  addToBin(bytes: number, packets: number): void {
    const at = this.at
    this.values[at] = this.values[at]! + bytes
    this.values[at + 1] = this.values[at + 1]! + packets
  }

  /** Calls `use` for every interval that has frames, in order of time; `fromNs` counts from the clock's origin. */
  each(use: (fromNs: number, bytes: number, packets: number) => void): void {
    for (let i = 0; i < this.values.length; i += 2) {
      const packets = this.values[i + 1]!
      if (packets > 0) use((this.first + i / 2) * this.clock.intervalNs, this.values[i]!, packets)
    }
  }

  /** The clock's interval has doubled: adds up pairs of bins. */
  halve(): void {
    const old = this.values
    const oldFirst = this.first
    this.first = Math.floor(oldFirst / 2)
    this.clock.bins -= old.length / 2
    this.values = new Float64Array(2 * Math.ceil((oldFirst - 2 * this.first + old.length / 2) / 2))
    this.clock.bins += this.values.length / 2
    for (let i = 0; i < old.length / 2; i++) {
      const to = 2 * (Math.floor((oldFirst + i) / 2) - this.first)
      this.values[to] = this.values[to]! + old[2 * i]!
      this.values[to + 1] = this.values[to + 1]! + old[2 * i + 1]!
    }
    this.binToNs = Number.NEGATIVE_INFINITY
  }

  private leaveBin(timeNs: number): void {
    const sinceNs = timeNs - this.clock.originNs
    let number = Math.floor(sinceNs / this.clock.intervalNs)
    while (!this.covers(number)) {
      this.grow(number)
      number = Math.floor(sinceNs / this.clock.intervalNs)
    }
    this.binFromNs = this.clock.originNs + number * this.clock.intervalNs
    this.binToNs = this.binFromNs + this.clock.intervalNs
    this.at = 2 * (number - this.first)
  }

  private covers(number: number): boolean {
    return number >= this.first && number < this.first + this.values.length / 2
  }

  /** Extends the bins towards `number`, to twice their count at least; may find the interval doubled instead. */
  private grow(number: number): void {
    const have = this.values.length / 2
    const from = have === 0 ? number : Math.min(number, this.first)
    const to = have === 0 ? number + firstBins : Math.max(number + 1, this.first + have)
    const size = Math.max(to - from, 2 * have)
    const interval = this.clock.intervalNs
    this.clock.makeRoom(size - have)
    if (this.clock.intervalNs !== interval) return
    const first = number < this.first && have > 0 ? to - size : from
    const values = new Float64Array(2 * size)
    values.set(this.values, 2 * (this.first - first) * (have > 0 ? 1 : 0))
    this.clock.bins += size - have
    this.values = values
    this.first = first
  }
}
