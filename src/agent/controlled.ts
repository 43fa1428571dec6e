/** Agents under a runner: commands in, events out. Whoever loses the runner stops within a second. */

import type { JournalEntry } from '../migration/journal.js'
import type { Strategy } from '../migration/strategy.js'
import { messageOf, PagewireError } from '../support/errors.js'
import { readCommands, writeEvent } from './control.js'
import { type DestinationResult, type RunningDestination, startDestination } from './destination.js'
import { GuestCardProcess } from './guest-card.js'
import { readDestinationJob, readSourceJob, readStorageJob } from './job.js'
import type { LaneEndpoint } from './session.js'
import { type Progress, type RunningSource, type SourceResult, startSource } from './source.js'
import { type RunningStorage, startStorage } from './storage.js'

export type AgentEvent =
  /** The destination waits on these ports, or shared storage on this one. */
  | { readonly event: 'listening'; readonly lanes: readonly LaneEndpoint[] }
  /** The guest's network card on this host can be told when it runs. */
  | { readonly event: 'card-ready' }
  | { readonly event: 'journal'; readonly entry: JournalEntry }
  | { readonly event: 'progress'; readonly progress: Progress }
  | { readonly event: 'source-result'; readonly result: SourceResult }
  | { readonly event: 'destination-result'; readonly result: DestinationResult }
  | { readonly event: 'error'; readonly code: string; readonly message: string; readonly next?: string }

interface Streams {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}

const progressIntervalMs = 200

/** Serves one migration as the source. `bind` makes the strategy that the job names. */
export async function serveSource(
  streams: Streams,
  bind: (name: string, options: Readonly<Record<string, unknown>>) => Strategy,
): Promise<void> {
  let running: RunningSource | undefined
  let card: GuestCardProcess | undefined
  let finished: Promise<void> | undefined
  const say = (event: AgentEvent): void => writeEvent(streams.output, event)
  try {
    for await (const command of readCommands(streams.input)) {
      if (command.do === 'quit') break
      if (command.do === 'cancel') running?.cancel()
      if (command.do === 'start' && running === undefined) {
        const job = readSourceJob(command.job)
        const strategy = bind(job.strategy, job.options)
        running = startSource(job, strategy, { record: (entry) => say({ event: 'journal', entry }) }, card)
        finished = reportSource(running, say)
      }
      if (command.do === 'card') {
        card = await GuestCardProcess.open(command.argv, (error) => say(errorEvent(error)))
        say({ event: 'card-ready' })
      }
      // Until a migration suspends it, the guest runs here.
      if (command.do === 'answer') card?.run()
    }
  } catch (error) {
    say(errorEvent(error))
  }
  running?.cancel()
  await finished
  await card?.end()
}

async function reportSource(running: RunningSource, say: (event: AgentEvent) => void): Promise<void> {
  const timer = setInterval(
    () => say({ event: 'progress', progress: running.progress() }),
    progressIntervalMs,
  )
  try {
    say({ event: 'source-result', result: await running.result })
  } catch (error) {
    say(errorEvent(error))
  } finally {
    clearInterval(timer)
  }
}

/** Serves one migration as the destination. */
export async function serveDestination(streams: Streams): Promise<void> {
  let running: RunningDestination | undefined
  let card: GuestCardProcess | undefined
  let finished: Promise<void> | undefined
  const say = (event: AgentEvent): void => writeEvent(streams.output, event)
  try {
    for await (const command of readCommands(streams.input)) {
      if (command.do === 'quit') break
      if (command.do === 'cancel') running?.stop('stopped by the user')
      if (command.do === 'start' && running === undefined) {
        running = await startDestination(readDestinationJob(command.job), card)
        say({ event: 'listening', lanes: running.lanes })
        finished = running.result.then(
          (result) => say({ event: 'destination-result', result }),
          (error) => say(errorEvent(error)),
        )
      }
      if (command.do === 'card') {
        card = await GuestCardProcess.open(command.argv, (error) => running?.stop(error.message))
        say({ event: 'card-ready' })
      }
    }
  } catch (error) {
    say(errorEvent(error))
  }
  running?.stop('the runner has gone')
  await finished
  await card?.end()
}

/** Serves the blocks of shared storage until the runner has had enough. */
export async function serveStorage(streams: Streams): Promise<void> {
  let running: RunningStorage | undefined
  const say = (event: AgentEvent): void => writeEvent(streams.output, event)
  try {
    for await (const command of readCommands(streams.input)) {
      if (command.do === 'quit') break
      if (command.do === 'start' && running === undefined) {
        running = await startStorage(readStorageJob(command.job))
        say({ event: 'listening', lanes: [running.lane] })
      }
    }
  } catch (error) {
    say(errorEvent(error))
  }
  running?.stop()
}

function errorEvent(error: unknown): AgentEvent {
  const code = error instanceof PagewireError ? error.code : 'internal'
  const next = error instanceof PagewireError ? error.next : undefined
  const message =
    error instanceof PagewireError || !(error instanceof Error) ? messageOf(error) : (error.stack ?? '')
  return { event: 'error', code, message, ...(next === undefined ? {} : { next }) }
}
