/**
 * Throughput per class on a live interface, second by second. The capture itself runs in a child process, because the
 * library aborts its process when the interface goes away; here that becomes a sentence.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { failure, messageOf, PagewireError } from '../support/errors.js'
import type { ClassCount } from './class-counter.js'

/** What was seen in one interval. */
export interface MeterInterval {
  readonly duration_ms: number
  /** Frames that the capture saw, and frames that the interface itself counted in the same time. */
  readonly frames: number
  readonly frames_on_interface: number
  readonly classes: readonly ClassCount[]
}

/** The lines of the child. */
export type MeterMessage =
  | { readonly ready: true }
  | { readonly interval: MeterInterval }
  | {
      readonly error: {
        readonly code: string
        readonly exit: number
        readonly message: string
        readonly next?: string
      }
    }

export interface MeterOptions {
  /** What to put before an argv to run it in the interface's namespace; empty for this one. */
  readonly inside: readonly string[]
  readonly device: string
  readonly intervalMs: number
  readonly onInterval: (interval: MeterInterval) => void
}

export interface Meter {
  /** Resolves after `stop`; fails when the interface went away or the capture broke. */
  readonly ended: Promise<void>
  /** Ends the capture; a last, shorter interval may still come before `ended` resolves. */
  stop(): void
}

const startTimeoutMs = 15_000
const stopTimeoutMs = 3_000
const stderrKeptChars = 4_000

/** Resolves when frames are being counted. Fails as `openLive` does. */
export async function startMeter(options: MeterOptions): Promise<Meter> {
  const child = new MeterChild(options)
  await child.ready
  return child
}

class MeterChild implements Meter {
  readonly ready: Promise<void>
  readonly ended: Promise<void>
  private readonly process: ChildProcess
  private stderr = ''
  private stopping = false
  private error: PagewireError | undefined

  constructor(private readonly options: MeterOptions) {
    const { inside, device, intervalMs } = options
    const script = fileURLToPath(new URL('./meter-child.js', import.meta.url))
    // The abort of the child is expected and must not leave a core file.
    const contained = ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh']
    const argv = [...inside, ...contained, process.execPath, script, device, String(intervalMs)]
    // A group of its own: an interrupt typed at the terminal is for the caller, which then calls `stop`.
    this.process = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    this.process.stdin?.on('error', () => {}) // It may end before it is told to; `close` says how.
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-stderrKeptChars)
    })
    let becameReady = (): void => {}
    const ready = new Promise<void>((resolve) => {
      becameReady = resolve
    })
    if (this.process.stdout) {
      createInterface({ input: this.process.stdout }).on('line', (line) => this.hear(line, becameReady))
    }
    this.ended = this.end()
    this.ready = this.within(ready)
    // Whoever waits for `ready` only must not be hit by the same failure a second time.
    this.ended.catch(() => {})
  }

  stop(): void {
    this.stopping = true
    this.process.stdin?.end()
    const timer = setTimeout(() => this.process.kill('SIGKILL'), stopTimeoutMs)
    this.process.once('close', () => clearTimeout(timer))
  }

  private hear(line: string, becameReady: () => void): void {
    // Our own child wrote it.
    const message = JSON.parse(line) as MeterMessage
    if ('interval' in message) this.options.onInterval(message.interval)
    else if ('ready' in message) becameReady()
    else {
      const { exit, code, next } = message.error
      this.error = new PagewireError(exit, message.error.message, {
        code,
        ...(next !== undefined && { next }),
      })
    }
  }

  private async within(ready: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.stop()
        reject(failure(`no answer from the capture of ${this.options.device}`, { code: 'cannot-capture' }))
      }, startTimeoutMs)
    })
    const endedFirst = this.ended.then(() => {
      throw failure(`the capture of ${this.options.device} ended at once`, { code: 'cannot-capture' })
    })
    try {
      await Promise.race([ready, endedFirst, tooLate])
    } finally {
      clearTimeout(timer)
      endedFirst.catch(() => {})
    }
  }

  private end(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.process.once('error', (error) => {
        reject(failure(`cannot start the capture: ${messageOf(error)}`, { code: 'cannot-capture' }))
      })
      this.process.once('close', (status, signal) => {
        if (this.error) reject(this.error)
        else if (this.stopping) resolve()
        else reject(this.lost(status, signal))
      })
    })
  }

  private lost(status: number | null, signal: NodeJS.Signals | null): PagewireError {
    const { device } = this.options
    // The assertion with which the library ends its process.
    if (/cb_packets.*status == 0/.test(this.stderr)) {
      return failure(`interface ${device} went down or disappeared`, { code: 'interface-gone' })
    }
    return failure(`the capture of ${device} ended with ${signal ?? `status ${status}`}`, {
      code: 'capture-failed',
      ...(this.stderr !== '' && { next: `It said: ${this.stderr.trim()}` }),
    })
  }
}
