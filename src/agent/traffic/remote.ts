/** One host's side of the cross-traffic in a process of its own, as seen by the runner. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { failure, type PagewireError } from '../../support/errors.js'
import { goFirst } from '../precedence.js'
import type { OnFlowError } from './flow.js'
import type { Answer, Command, ErrorAnswer, StatsAnswer, TrafficConfig } from './protocol.js'
import type { TrafficSide } from './side.js'

const answerTimeoutMs = 20_000
const exitTimeoutMs = 3_000
const stderrKeptChars = 2_000

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: PagewireError) => void
}

/**
 * `command` (an argv that ends in `agent traffic`, with whatever enters the namespace in front), started at once.
 * `onError` hears what breaks, an early end included. `close` it, whatever happens.
 */
export class RemoteSide implements TrafficSide {
  ports: Readonly<Record<string, number>> = {}
  private readonly child: ChildProcess
  private readonly ended: Promise<unknown>
  private stderr = ''
  private waiting: Waiting | undefined
  private closing = false
  private lost: PagewireError | undefined

  constructor(
    private readonly command: readonly string[],
    private readonly onError: OnFlowError,
  ) {
    const [program = '', ...args] = command
    // A group of its own: an interrupt typed at the terminal is for the runner, which then stops this process.
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    goFirst(this.child.pid)
    this.ended = once(this.child, 'close').catch(() => {})
    this.child.once('error', (error) => this.broke(`cannot be started: ${error.message}`))
    this.child.once('close', (status, signal) =>
      this.broke(`ended early with ${signal ?? `status ${status}`}`),
    )
    // The process may be gone while a line is on its way; `close` says so.
    this.child.stdin?.on('error', () => {})
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-stderrKeptChars)
    })
    if (this.child.stdout) createInterface({ input: this.child.stdout }).on('line', (line) => this.hear(line))
  }

  /** Resolves when its receivers listen, or its senders are connected. */
  async configure(config: TrafficConfig): Promise<void> {
    const answer = await this.ask(config)
    if (!('ready' in answer)) throw this.unexpected(answer)
    this.ports = answer.ready.ports
  }

  async start(): Promise<void> {
    const answer = await this.ask({ do: 'start' })
    if (!('started' in answer)) throw this.unexpected(answer)
  }

  silence(): void {
    this.child.kill('SIGINT')
  }

  async stop(): Promise<StatsAnswer> {
    const answer = await this.ask({ do: 'stop' })
    if (!('stats' in answer)) throw this.unexpected(answer)
    return answer
  }

  async close(): Promise<void> {
    this.closing = true
    this.child.stdin?.end()
    const timer = setTimeout(() => this.child.kill('SIGKILL'), exitTimeoutMs)
    await this.ended
    clearTimeout(timer)
  }

  /** Sends one line and waits for the next answer; there is one question at a time. */
  private async ask(line: TrafficConfig | Command): Promise<Answer> {
    if (this.closing) {
      throw this.lost ?? failure('the cross-traffic process has ended', { code: 'traffic-process' })
    }
    const answered = new Promise<Answer>((resolve, reject) => {
      this.waiting = { resolve, reject }
    })
    const timer = setTimeout(() => this.broke('does not answer'), answerTimeoutMs)
    this.child.stdin?.write(`${JSON.stringify(line)}\n`)
    try {
      return await answered
    } finally {
      clearTimeout(timer)
      this.waiting = undefined
    }
  }

  private hear(line: string): void {
    let answer: Answer
    try {
      // The same program wrote it, from the same types.
      answer = JSON.parse(line) as Answer
    } catch {
      this.broke(`said: ${line.slice(0, 80)}`)
      return
    }
    if ('error' in answer) this.report(errorOf(answer))
    else this.waiting?.resolve(answer)
  }

  private broke(how: string): void {
    if (this.closing) return
    this.closing = true
    this.lost = failure(`the cross-traffic process ${how}: ${this.command.join(' ')}`, {
      code: 'traffic-process',
      ...(this.stderr !== '' && { next: `It said: ${this.stderr.trim()}` }),
    })
    this.report(this.lost)
  }

  private report(error: PagewireError): void {
    if (this.waiting) this.waiting.reject(error)
    else this.onError(error)
  }

  private unexpected(answer: Answer): PagewireError {
    return failure(
      `unexpected answer of the cross-traffic process: ${JSON.stringify(answer).slice(0, 200)}`,
      {
        code: 'traffic-process',
      },
    )
  }
}

function errorOf({ error }: ErrorAnswer): PagewireError {
  return failure(error.message, {
    code: error.code,
    ...(error.next !== undefined && { next: error.next }),
  })
}
