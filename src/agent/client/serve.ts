/** A client of the guest under a runner: commands in, events out, and gone when the runner is. */

import { messageOf, PagewireError } from '../../support/errors.js'
import { readCommands, writeEvent } from '../control.js'
import { Asker, type ClientJob } from './asker.js'
import { Newcomer, type NewcomerReport } from './newcomer.js'
import type { ClientReport } from './outage.js'

export type ClientEvent =
  /** Whether the guest answers. */
  | { readonly event: 'asking'; readonly answered: boolean }
  | { readonly event: 'client-report'; readonly report: ClientReport; readonly newcomer?: NewcomerReport }
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
  let newcomer: Newcomer | undefined
  try {
    for await (const command of readCommands(streams.input)) {
      if (command.do === 'quit') break
      if (command.do === 'start' && asker === undefined) {
        // The runner is of the same build.
        const job = command.job as ClientJob
        asker = new Asker(job, fail)
        asker.start()
        if (job.nameTtlNs !== undefined) newcomer = new Newcomer(job, job.nameTtlNs, fail)
        asker.answered(firstAnswerMs).then((answered) => say({ event: 'asking', answered }), fail)
      }
      if (command.do === 'moved') newcomer?.guestMoved(command.address)
      if (command.do === 'finish' && asker !== undefined) {
        finish(asker, newcomer, command.how as FinishHow).then(say, fail)
      }
    }
  } catch (error) {
    fail(error)
  }
  asker?.close()
  newcomer?.close()
}

async function finish(asker: Asker, newcomer: Newcomer | undefined, how: FinishHow): Promise<ClientEvent> {
  const { host, mostMs, fromUnixNs } = how
  const [report, told] = await Promise.all([
    asker.finish(host, mostMs, fromUnixNs),
    newcomer?.finish(mostMs, fromUnixNs),
  ])
  return { event: 'client-report', report, ...(told === undefined ? {} : { newcomer: told }) }
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
