/** When each frame of a replay is due: at the capture's own times, or at a rate. */

/** How fast. `speed` 2 is twice as fast as captured; `bps` counts bits of whole frames as they are sent. */
export type Pace =
  | { readonly kind: 'speed'; readonly speed: number }
  | { readonly kind: 'bps'; readonly bps: number }
  | { readonly kind: 'pps'; readonly pps: number }

/** Call `due` once for each frame in order, and `nextPass` before the capture is gone through once more. */
export class Pacing {
  private frames = 0
  private bytes = 0
  /** Of the pass at hand: due time of its beginning, time stamp of its first frame, due time of its last one. */
  private passNs = 0
  private firstNs = Number.NaN
  private lastNs = 0
  private passFrames = 0

  constructor(private readonly pace: Pace) {}

  /** Nanoseconds after the start at which this frame should leave; never falls. */
  due(timeNs: number, bytes: number): number {
    const due = this.dueNs(timeNs)
    this.frames++
    this.passFrames++
    this.bytes += bytes
    // Time stamps may run backwards in a file; frames do not.
    this.lastNs = Math.max(this.lastNs, due)
    return this.lastNs
  }

  /** Between two passes is the mean distance of the frames, as if the capture went on. */
  nextPass(): void {
    const gaps = this.passFrames - 1
    this.passNs = this.lastNs + (gaps > 0 ? (this.lastNs - this.passNs) / gaps : 0)
    this.firstNs = Number.NaN
    this.passFrames = 0
  }

  private dueNs(timeNs: number): number {
    const { pace } = this
    switch (pace.kind) {
      case 'speed':
        if (this.passFrames === 0) this.firstNs = timeNs
        return this.passNs + (timeNs - this.firstNs) / pace.speed
      case 'bps':
        return (this.bytes * 8e9) / pace.bps
      case 'pps':
        return (this.frames * 1e9) / pace.pps
    }
  }
}
