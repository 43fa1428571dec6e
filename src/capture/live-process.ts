/**
 * A child process that has an interface open with cap. The library aborts its process when the interface goes away;
 * here that becomes a sentence. The child speaks JSON lines on stdout and ends when its stdin does.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { failure, messageOf, PagewireError } from '../support/errors.js'

/** Said by a child that could not begin, or that gave up. */
export interface LiveError {
  readonly error: {
    readonly code: string
    readonly exit: number
    readonly message: string
    readonly next?: string
  }
}

/** What every child can say; everything else is its own. */
type Said<M> = M | { readonly ready: true } | LiveError

export interface LiveProcessOptions<M> {
  /** What to put before an argv to run it in the interface's namespace; empty for this one. */
  readonly inside: readonly string[]
  readonly device: string
  /** The child's script. */
  readonly script: string
  readonly args: readonly string[]
  /** What the child does, as in "the capture of eth0 ended"; and the code of its errors. */
  readonly what: string
  readonly code: string
  readonly onMessage: (message: M) => void
}

const startTimeoutMs = 15_000
const stopTimeoutMs = 3_000
const stderrKeptChars = 4_000

export class LiveProcess<M extends object> {
  /** Resolves when the interface is open. */
  readonly ready: Promise<void>
  /** Resolves when the child has ended by itself or after `stop`; fails when the interface went away or it broke. */
  readonly ended: Promise<void>
  private readonly process: ChildProcess
  private stderr = ''
  private stopping = false
  private error: PagewireError | undefined

  constructor(private readonly options: LiveProcessOptions<M>) {
    const { inside, script, args } = options
    // The abort of the child is expected and must not leave a core file.
    const contained = ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh']
    const argv = [...inside, ...contained, process.execPath, script, ...args]
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
    // Whoever waits for one of them only must not be hit by the same failure a second time.
    this.ended.catch(() => {})
    this.ready.catch(() => {})
  }

  /** Writes a line to the child. */
  say(line: string): void {
    this.process.stdin?.write(`${line}\n`)
  }

  /** Ends the child in good order; a last message may still come before `ended` resolves. */
  stop(): void {
    this.stopping = true
    this.process.stdin?.end()
    const timer = setTimeout(() => this.process.kill('SIGKILL'), stopTimeoutMs)
    this.process.once('close', () => clearTimeout(timer))
  }

  private hear(line: string, becameReady: () => void): void {
    // Our own child wrote it.
    const message = JSON.parse(line) as Said<M>
    if ('ready' in message) becameReady()
    else if ('error' in message) {
      const { exit, code, next, message: text } = message.error
      this.error = new PagewireError(exit, text, { code, ...(next !== undefined && { next }) })
    } else this.options.onMessage(message)
  }

  private async within(ready: Promise<void>): Promise<void> {
    const { what, device, code } = this.options
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.stop()
        reject(failure(`no answer from the ${what} ${device}`, { code }))
      }, startTimeoutMs)
    })
    const endedFirst = this.ended.then(() => {
      throw failure(`the ${what} ${device} ended at once`, { code })
    })
    try {
      await Promise.race([ready, endedFirst, tooLate])
    } finally {
      clearTimeout(timer)
      endedFirst.catch(() => {})
    }
  }

  private end(): Promise<void> {
    const { what, code } = this.options
    return new Promise((resolve, reject) => {
      this.process.once('error', (error) => {
        reject(failure(`cannot start the ${what.replace(/ \w+$/, '')}: ${messageOf(error)}`, { code }))
      })
      this.process.once('close', (status, signal) => {
        if (this.error) reject(this.error)
        else if (this.stopping || status === 0) resolve()
        else reject(this.lost(status, signal))
      })
    })
  }

  private lost(status: number | null, signal: NodeJS.Signals | null): PagewireError {
    const { what, device } = this.options
    // The assertion with which the library ends its process.
    if (/cb_packets.*status == 0/.test(this.stderr)) {
      return failure(`interface ${device} went down or disappeared`, { code: 'interface-gone' })
    }
    return failure(`the ${what} ${device} ended with ${signal ?? `status ${status}`}`, {
      code: this.options.code,
      ...(this.stderr !== '' && { next: `It said: ${this.stderr.trim()}` }),
    })
  }
}

/** For the child: runs `begin`, and says what it threw. */
export async function sayFailure(begin: () => void | Promise<void>): Promise<void> {
  try {
    await begin()
  } catch (error) {
    const known = error instanceof PagewireError ? error : undefined
    const told: LiveError = {
      error: {
        code: known?.code ?? 'internal',
        exit: known?.exit ?? 1,
        message: messageOf(error),
        ...(known?.next !== undefined && { next: known.next }),
      },
    }
    sayLine(told)
  }
}

/** For the child: one message. Pipes are written at once, so nothing is lost if the library aborts next. */
export function sayLine(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
