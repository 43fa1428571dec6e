/**
 * Somebody who connects to the guest by its name, again and again: goes by an answer of the name service until its time
 * is over, and once the answer is another address, asks the guest there.
 */

import { PagewireError } from '../../support/errors.js'
import { monotonicNs } from '../clock.js'
import { NameTable, Resolver } from '../resolver.js'
import { Asker, type ClientJob } from './asker.js'

/** What became of new connections. Times are ns since 1970; absent: never. */
export interface NewcomerReport {
  /** The address that the name has now. */
  readonly address: string
  readonly asked: number
  readonly unanswered: number
  readonly firstAskedUnixNs: number | undefined
  readonly firstAnsweredUnixNs: number | undefined
}

const guestName = 'guest'
/** Between two new connections. */
const connectMs = 5

export class Newcomer {
  readonly #job: ClientJob
  readonly #onError: (error: PagewireError) => void
  readonly #names = new NameTable()
  readonly #resolver = new Resolver(this.#names)
  readonly #ttlNs: number
  readonly #timer: NodeJS.Timeout
  #address: string
  #there: Asker | undefined

  constructor(job: ClientJob, ttlNs: number, onError: (error: PagewireError) => void) {
    this.#job = job
    this.#ttlNs = ttlNs
    this.#onError = onError
    this.#address = job.guest.host
    this.#names.set(guestName, this.#address, ttlNs)
    this.#timer = setInterval(() => this.#connect(), connectMs)
  }

  /** The name service says so from now on; who has asked before finds out in time. */
  guestMoved(address: string): void {
    this.#address = address
    this.#names.set(guestName, address, this.#ttlNs)
  }

  /** Waits at most `mostMs` until the guest answers at its new address, if it has one, and tells. */
  async finish(mostMs: number, fromUnixNs: number): Promise<NewcomerReport> {
    const until = performance.now() + mostMs
    const isDone = (): boolean => this.#address === this.#job.guest.host || this.#there !== undefined
    while (!isDone() && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, connectMs))
    clearInterval(this.#timer)
    const there = this.#there
    if (there === undefined) {
      return {
        address: this.#address,
        asked: 0,
        unanswered: 0,
        firstAskedUnixNs: undefined,
        firstAnsweredUnixNs: undefined,
      }
    }
    await there.answered(Math.max(0, until - performance.now()))
    const { asked, unanswered } = await there.finish(0, mostMs, fromUnixNs)
    const { askedUnixNs, answeredUnixNs } = there.first
    return {
      address: this.#address,
      asked,
      unanswered,
      firstAskedUnixNs: askedUnixNs,
      firstAnsweredUnixNs: answeredUnixNs,
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#there?.close()
  }

  /** As long as the answer is the old address, a new connection would be one more of the kind that exists. */
  #connect(): void {
    const host = this.#resolver.resolve(guestName, monotonicNs())
    if (host === undefined || host === this.#job.guest.host || this.#there !== undefined) return
    try {
      this.#there = new Asker({ ...this.#job, guest: { ...this.#job.guest, host } }, this.#onError)
      this.#there.start()
    } catch (error) {
      if (!(error instanceof PagewireError)) throw error
      clearInterval(this.#timer)
      this.#onError(error)
    }
  }
}
