/**
 * The process that replayer.ts starts. Its argument is the settings as JSON. It waits for a line on stdin, sends, tells
 * its counts each time before it lets the event loop run (where cap may abort it), and ends when done or when stdin does.
 */

import { Histogram } from '../analysis/histogram.js'
import { linkEthernet } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import { type Injector, openInjector } from '../capture/live.js'
import { sayFailure, sayLine } from '../capture/live-process.js'
import { Pacing } from './pacing.js'
import { fitsMtu } from './preflight.js'
import type { ReplayCounts, ReplaySettings } from './replayer.js'
import { eachFrame } from './source.js'

/** The event loop runs at least this often: it hears the stop, and whether the interface is still there. */
const longestTurnMs = 10
/** A timer may come this much late; the rest of a wait is slept without it. */
const timerSlackMs = 1.5
/** A thread that sleeps is woken up about this late (the kernel's timer slack); the rest is waited for awake. */
const wakeSlackMs = 0.08
/** Without `exact`, frames due this soon leave together with the one at hand. */
const togetherMs = 0.5
/** How long a frame is tried again while the queues are full. */
const fullPatienceMs = 1000

class Sender {
  private sent = 0
  private bytes = 0
  private failed = 0
  private full = 0
  private failure: string | null = null
  private readonly late = new Histogram()
  private lateMaxNs = 0
  /** When frame times count from: the moment of the first frame. */
  private startMs: number | undefined
  private firstMs = 0
  private lastMs = 0
  private turnMs = 0
  private stopped = false
  private readonly pacing: Pacing
  private readonly sleepCell = new Int32Array(new SharedArrayBuffer(4))

  constructor(
    private readonly settings: ReplaySettings,
    private readonly injector: Injector,
  ) {
    this.pacing = new Pacing(settings.pace)
  }

  stop(): void {
    this.stopped = true
  }

  async run(): Promise<void> {
    const { passes } = this.settings
    this.turnMs = performance.now()
    for (let pass = 0; (passes === 0 || pass < passes) && !this.stopped; pass++) {
      if (pass > 0) this.pacing.nextPass()
      const before = this.sent + this.failed
      await eachFrame(this.settings, (frame, bytes, length) => this.take(frame, bytes, length))
      // A file without a frame would be gone through for ever.
      if (this.sent + this.failed === before) break
    }
    this.tell()
  }

  /** Synchronous as long as nothing has to be waited for. False when it is over. */
  private take(frame: Frame, bytes: Buffer, length: number): boolean | Promise<boolean> {
    if (this.stopped) return false
    if (frame.linkType !== linkEthernet || length === 0 || !fitsMtu(bytes, length, this.settings.mtuBytes)) {
      this.failed++
      return true
    }
    this.startMs ??= performance.now()
    const dueMs = this.startMs + this.pacing.due(frame.timeNs, length) / 1e6
    const now = performance.now()
    if (now < dueMs - timerSlackMs || now - this.turnMs > longestTurnMs) {
      return this.later(dueMs, bytes, length)
    }
    this.sleepUntil(dueMs)
    return this.send(dueMs, bytes, length) || this.again(dueMs, bytes, length)
  }

  private async later(dueMs: number, bytes: Buffer, length: number): Promise<boolean> {
    await this.turn(dueMs)
    if (this.stopped) return false
    this.sleepUntil(dueMs)
    return this.send(dueMs, bytes, length) || this.again(dueMs, bytes, length)
  }

  /** Lets the event loop run, until shortly before `dueMs`. */
  private async turn(dueMs: number): Promise<void> {
    this.tell()
    do {
      const left = dueMs - timerSlackMs - performance.now()
      // In pieces, so that a stop is heard.
      if (left >= 1) await new Promise((resolve) => setTimeout(resolve, Math.min(left, 100)))
      else await new Promise((resolve) => setImmediate(resolve))
    } while (!this.stopped && performance.now() < dueMs - timerSlackMs - 1)
    this.turnMs = performance.now()
  }

  private sleepUntil(dueMs: number): void {
    const left = dueMs - performance.now()
    if (!this.settings.exact) {
      if (left > togetherMs) Atomics.wait(this.sleepCell, 0, 0, left)
      return
    }
    if (left > wakeSlackMs) Atomics.wait(this.sleepCell, 0, 0, left - wakeSlackMs)
    while (performance.now() < dueMs);
  }

  /** False when the queues are full. */
  private send(dueMs: number, bytes: Buffer, length: number): boolean {
    const outcome = this.injector.send(bytes, length)
    if (outcome === 'full') return false
    if (outcome === 'refused') {
      this.failed++
      this.failure ??= this.injector.reason
      return true
    }
    const now = performance.now()
    if (this.sent === 0) this.firstMs = now
    this.lastMs = now
    this.sent++
    this.bytes += length
    const lateNs = (now - dueMs) * 1e6
    this.late.add(lateNs)
    if (lateNs > this.lateMaxNs) this.lateMaxNs = lateNs
    return true
  }

  /** Tries a frame again that found the queues full. */
  private async again(dueMs: number, bytes: Buffer, length: number): Promise<boolean> {
    const until = performance.now() + fullPatienceMs
    while (performance.now() < until && !this.stopped) {
      await this.turn(performance.now() + timerSlackMs + 1)
      if (this.send(dueMs, bytes, length)) return true
    }
    // A frame that was interrupted by the stop did not fail; it was not reached.
    if (this.stopped) return false
    this.failed++
    this.full++
    this.failure ??= this.injector.reason
    return true
  }

  private tell(): void {
    const milliseconds = (ns: number | undefined): number | null => (ns === undefined ? null : ns / 1e6)
    const counts: ReplayCounts = {
      frames_sent: this.sent,
      bytes_sent: this.bytes,
      frames_failed: this.failed,
      frames_given_up: this.full,
      failure: this.failure,
      duration_ms: this.lastMs - this.firstMs,
      late_ms_p50: milliseconds(this.late.percentileNs(0.5)),
      late_ms_p99: milliseconds(this.late.percentileNs(0.99)),
      late_ms_max: this.late.count === 0 ? null : this.lateMaxNs / 1e6,
    }
    sayLine({ counts })
  }
}

await sayFailure(async () => {
  // Our own parent wrote it.
  const settings = JSON.parse(process.argv[2] ?? '') as ReplaySettings
  const injector = openInjector(settings.device)
  const sender = new Sender(settings, injector)
  const started = new Promise<void>((resolve) => {
    process.stdin.once('data', () => resolve())
    process.stdin.once('end', () => {
      sender.stop()
      resolve()
    })
  })
  sayLine({ ready: true })
  await started
  try {
    await sender.run()
  } finally {
    injector.close()
    process.stdin.destroy()
  }
})
