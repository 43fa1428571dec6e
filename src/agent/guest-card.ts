/**
 * An agent's hand on the guest's network card, which is a process of its own: tells it when the guest runs here, and
 * when it does not. What the card does with frames is no business of an agent.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { failure, type PagewireError } from '../support/errors.js'
import { goFirst } from './precedence.js'

/** Starting a process on a busy machine. */
const readyTimeoutMs = 15_000
/** A card that does not say within this time that it has fallen silent is not waited for. */
const silentTimeoutMs = 100
const endTimeoutMs = 2000

export class GuestCardProcess {
  readonly #child: ChildProcess
  readonly #heard = new Set<(message: object) => void>()
  #ending = false
  readonly #gone: Promise<void>

  private constructor(argv: readonly string[], onLost: (error: PagewireError) => void) {
    this.#child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
    goFirst(this.#child.pid)
    this.#child.stdin?.on('error', () => {}) // `close` says how it ended.
    if (this.#child.stdout) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        for (const hear of [...this.#heard]) hear(JSON.parse(line))
      })
    }
    this.#gone = new Promise((resolve) => {
      const over = (how: string): void => {
        if (!this.#ending) onLost(lost(how))
        this.#ending = true
        resolve()
      }
      this.#child.once('error', (error) => over(error.message))
      this.#child.once('close', (status, signal) => over(`it ended with ${signal ?? `status ${status}`}`))
    })
  }

  /** Starts the card, silent. `argv` is trusted; `onLost` hears of it when the card ends by itself. */
  static async open(
    argv: readonly string[],
    onLost: (error: PagewireError) => void,
  ): Promise<GuestCardProcess> {
    let failed: PagewireError | undefined
    let isReady = false
    const card = new GuestCardProcess(argv, (error) => {
      if (isReady) onLost(error)
      else failed = error
    })
    const said = await Promise.race([
      card.#next((message) => 'ready' in message || 'error' in message, readyTimeoutMs),
      card.#gone,
    ])
    isReady = said !== undefined && 'ready' in said
    if (isReady) return card
    await card.end()
    throw said !== undefined && 'error' in said
      ? failure(`the guest's network card: ${JSON.stringify(said.error)}`, { code: 'guest-card' })
      : (failed ?? lost('it said nothing'))
  }

  /** The guest runs here: from now on its address answers, and the switch is told. */
  run(): void {
    this.#child.stdin?.write('r')
  }

  /** The guest does not run here any more. Resolves when nothing of it answers. */
  async suspend(): Promise<void> {
    if (this.#ending) return
    const silent = this.#next((message) => 'running' in message && message.running === false, silentTimeoutMs)
    this.#child.stdin?.write('s')
    await Promise.race([silent, this.#gone])
  }

  async end(): Promise<void> {
    this.#ending = true
    this.#child.stdin?.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), endTimeoutMs)
    await this.#gone
    clearTimeout(timer)
  }

  /** The next message that fits, or nothing when it does not come in time. */
  #next(fits: (message: object) => boolean, timeoutMs: number): Promise<object | undefined> {
    return new Promise((resolve) => {
      const settle = (message?: object): void => {
        clearTimeout(timer)
        this.#heard.delete(hear)
        resolve(message)
      }
      const hear = (message: object): void => {
        if (fits(message)) settle(message)
      }
      const timer = setTimeout(settle, timeoutMs)
      this.#heard.add(hear)
    })
  }
}

function lost(how: string): PagewireError {
  return failure(`the guest's network card is gone: ${how}`, {
    code: 'guest-card',
    next: 'Has its interface been taken away? What it said is in the log of its agent.',
  })
}
