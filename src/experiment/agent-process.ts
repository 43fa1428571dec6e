/** One agent of a run as a child process inside its host: JSON lines both ways, stderr into the run's logs, never left behind. */

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { goFirst } from '../agent/precedence.js'
import { assert } from '../support/assert.js'
import { failure, messageOf, type PagewireError } from '../support/errors.js'

export interface AgentCommand {
  /** Its name in messages and log files: `source`, `destination`, `traffic-neighbour`. */
  readonly name: string
  /** Words in front that put it into its host. */
  readonly inside: readonly string[]
  /** Arguments of the pagewire command. */
  readonly args: readonly string[]
  /** File that takes its stderr. */
  readonly logFile: string
}

/** What a shell runs as `pagewire`, in few files for a quick start (netns-scripts/bundle.sh). Agents are processes of it. */
export const programFile = fileURLToPath(new URL('../cli/pagewire.js', import.meta.url))

/** Command line of an agent that sends and receives cross-traffic. */
export const trafficAgent: readonly string[] = [process.execPath, programFile, 'agent', 'traffic']

/** An agent that was asked to end gets this long before it is killed. */
const endTimeoutMs = 3000

/** `Event` is what the agent prints, one JSON document a line; it is of this build and is trusted. */
export class AgentProcess<Event> {
  readonly name: string
  readonly #child: ChildProcess
  readonly #logFile: string
  readonly #waiting = new Set<(event: Event | PagewireError) => void>()
  #ended = false
  /** Resolves when the process is gone, however it went. */
  readonly gone: Promise<void>

  constructor(command: AgentCommand) {
    this.name = command.name
    this.#logFile = command.logFile
    const log = openSync(command.logFile, 'a')
    const [first, ...rest] = [
      ...command.inside,
      process.execPath,
      ...process.execArgv,
      programFile,
      ...command.args,
    ]
    assert(first !== undefined, 'there is a command to run')
    // A group of its own: an interrupt from the terminal is for the runner, which tells its agents.
    this.#child = spawn(first, rest, { stdio: ['pipe', 'pipe', log], detached: true })
    closeSync(log)
    goFirst(this.#child.pid)
    this.gone = this.#watch()
    // An agent that is gone does not read any more; `gone` tells of it.
    this.#child.stdin?.on('error', () => {})
    assert(this.#child.stdout !== null, 'stdout is a pipe')
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#line(line))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  send(message: object): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  /**
   * Waits for the first event that `pick` makes something of. Rejects when `pick` throws, when the agent ends
   * before, or after `timeoutMs`.
   */
  next<Picked>(pick: (event: Event) => Picked | undefined, timeoutMs?: number): Promise<Picked> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(this.#lost())
        return
      }
      const timer =
        timeoutMs === undefined ? undefined : setTimeout(() => settle(this.#silent(timeoutMs)), timeoutMs)
      const settle = (outcome: unknown): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        reject(outcome)
      }
      const look = (event: Event | PagewireError): void => {
        if (event instanceof Error) {
          settle(event)
          return
        }
        try {
          const picked = pick(event)
          if (picked === undefined) return
          clearTimeout(timer)
          this.#waiting.delete(look)
          resolve(picked)
        } catch (error) {
          settle(error)
        }
      }
      this.#waiting.add(look)
    })
  }

  /** Closes its stdin, which every agent understands, and waits; kills it when that does not help. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#child.stdin?.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), endTimeoutMs)
    await this.gone
    clearTimeout(timer)
  }

  #watch(): Promise<void> {
    return new Promise((resolve) => {
      const over = (error: PagewireError): void => {
        if (this.#ended) return
        this.#ended = true
        for (const look of [...this.#waiting]) look(error)
        resolve()
      }
      this.#child.once('error', (error) => over(this.#lost(error.message)))
      this.#child.once('close', (code, signal) =>
        over(this.#lost(`it ended with ${signal ?? `status ${code}`}`)),
      )
    })
  }

  #line(line: string): void {
    let event: Event
    try {
      event = JSON.parse(line)
    } catch (error) {
      const broken = failure(`agent ${this.name} printed what is no event: ${messageOf(error)}`, {
        code: 'agent',
      })
      for (const look of [...this.#waiting]) look(broken)
      return
    }
    for (const look of [...this.#waiting]) look(event)
  }

  #lost(why = 'it is gone'): PagewireError {
    return failure(`agent ${this.name} stopped: ${why}`, {
      code: 'agent-lost',
      next: `See ${this.#logFile}.`,
    })
  }

  #silent(timeoutMs: number): PagewireError {
    return failure(`agent ${this.name} did not answer within ${timeoutMs / 1000} s`, {
      code: 'agent-silent',
      next: `See ${this.#logFile}.`,
    })
  }
}
