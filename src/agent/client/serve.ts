/** A client of the guest under a runner: commands in, events out, and gone when the runner is. */

import { messageOf, PagewireError } from '../../support/errors.js'
import { readCommands, writeEvent } from '../control.js'
import { Asker, type ClientJob } from './asker.js'
import type { ClientReport } from './outage.js'

export type ClientEvent =
  /** Whether the guest answers. */
  | { readonly event: 'asking'; readonly answered: boolean }
  | { readonly event: 'client-report'; readonly report: ClientReport }
  | { readonly event: 'error'; readonly code: string; readonly message: string; readonly next?: string }

export interface FinishHow {
  /** Host whose answers it waits for; 0 for any. */
  readonly host: number
  readonly mostMs: number
  readonly fromUnixNs: number
}

/** How long the guest may take to its first answers. */
const firstAnswerMs = 5000

export async function serveClient(streams: {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}): Promise<void> {
  const say = (event: ClientEvent): void => writeEvent(streams.output, event)
  const fail = (error: unknown): void => say(errorEvent(error))
  let asker: Asker | undefined
  try {
    for await (const command of readCommands(streams.input)) {
      if (command.do === 'quit') break
      if (command.do === 'start' && asker === undefined) {
        // The runner is of the same build.
        asker = new Asker(command.job as ClientJob, fail)
        asker.start()
        asker.answered(firstAnswerMs).then((answered) => say({ event: 'asking', answered }), fail)
      }
      if (command.do === 'finish' && asker !== undefined) {
        const { host, mostMs, fromUnixNs } = command.how as FinishHow
        const reporting = asker.finish(host, mostMs, fromUnixNs)
        reporting.then((report) => say({ event: 'client-report', report }), fail)
      }
    }
  } catch (error) {
    fail(error)
  }
  asker?.close()
}

function errorEvent(error: unknown): ClientEvent {
  const known = error instanceof PagewireError ? error : undefined
  return {
    event: 'error',
    code: known?.code ?? 'internal',
    message: messageOf(error),
    ...(known?.next === undefined ? {} : { next: known.next }),
  }
}
