/**
 * Runs one after the other, of which the next is prepared, in a lab of its own, while the last frames of the one before
 * are written and analysed: its lab, captures, agents and cross-traffic are up when its turn comes. No two migrate at once.
 */

import type { RunResult } from './result.js'

/** What a run in a row obeys. */
export interface Turn {
  /** It migrates from then on. */
  readonly mayBegin: Promise<void>
  /** To be called when its senders have stopped. */
  readonly onQuiet: () => void
  /** Aborted: nobody wants it any more. It is taken away at once, and rejects. */
  readonly abandon: AbortSignal
  /** For work that would disturb a migration, such as taking a lab away: it is done when no senders run. */
  readonly later: (work: () => Promise<void>) => void
}

export interface InARow<Request> {
  readonly carryOut: (request: Request, turn: Turn) => Promise<RunResult>
  readonly same: (a: Request, b: Request) => boolean
  /** Removes what a run left that was prepared and never begun. */
  readonly dropped: (request: Request) => Promise<void>
}

interface Started<Request> {
  readonly request: Request
  readonly begin: () => void
  readonly abandon: AbortController
  readonly result: Promise<RunResult>
  ahead: Request | undefined
}

export class RunsAhead<Request> {
  readonly #row: InARow<Request>
  readonly #later: (() => Promise<void>)[] = []
  #prepared: Started<Request> | undefined

  constructor(row: InARow<Request>) {
    this.#row = row
  }

  /** Runs it, and prepares `ahead` once this one is quiet. Whatever was prepared and is not asked for is dropped. */
  async run(request: Request, ahead?: Request): Promise<RunResult> {
    const run = await this.#take(request)
    run.ahead = ahead
    run.begin()
    return await run.result
  }

  /** Takes away what was prepared and not begun, and whatever else is still there. */
  async close(): Promise<void> {
    await this.#drop()
    await this.#catchUp()
  }

  async #catchUp(): Promise<void> {
    for (let work = this.#later.shift(); work !== undefined; work = this.#later.shift()) await work()
  }

  async #drop(): Promise<void> {
    const prepared = this.#prepared
    if (prepared === undefined) return
    this.#prepared = undefined
    prepared.abandon.abort()
    // It was told to end by this error; what else went wrong with it is nobody's any more.
    await prepared.result.catch(() => {})
    await this.#row.dropped(prepared.request)
  }

  async #take(request: Request): Promise<Started<Request>> {
    const prepared = this.#prepared
    if (prepared !== undefined && this.#row.same(prepared.request, request)) {
      this.#prepared = undefined
      return prepared
    }
    await this.#drop()
    return this.#start(request)
  }

  #start(request: Request): Started<Request> {
    const abandon = new AbortController()
    let begin = (): void => {}
    const mayBegin = new Promise<void>((resolve) => {
      begin = resolve
    })
    const onQuiet = (): void => {
      if (started.ahead !== undefined) this.#prepared = this.#start(started.ahead)
    }
    const later = (work: () => Promise<void>): void => {
      this.#later.push(work)
    }
    const turn: Turn = { mayBegin, onQuiet, abandon: abandon.signal, later }
    const result = this.#catchUp().then(() => this.#row.carryOut(request, turn))
    // Who takes it hears of its failure; until then nobody listens.
    result.catch(() => {})
    const started: Started<Request> = { request, begin, abandon, result, ahead: undefined }
    return started
  }
}
