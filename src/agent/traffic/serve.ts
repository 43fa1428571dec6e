/** The cross-traffic process: a host's side of the traffic, driven by the lines of protocol.ts. */

import { createInterface } from 'node:readline'
import { exitCode, messageOf, PagewireError } from '../../support/errors.js'
import { type Answer, type ErrorAnswer, parseCommand, parseConfig } from './protocol.js'
import { startTraffic, type TrafficSide } from './side.js'

/**
 * Serves until the input ends, which stops everything: a runner that was killed leaves nobody behind. Resolves with the
 * exit code. `interrupted` silences the senders, so that the runner can still ask what was counted.
 */
export async function serveTraffic(
  input: NodeJS.ReadableStream,
  answer: (message: Answer) => void,
  interrupted: AbortSignal,
): Promise<number> {
  let side: TrafficSide | undefined
  let status: number = exitCode.ok
  const failed = (error: unknown): void => {
    status = error instanceof PagewireError ? error.exit : exitCode.failure
    answer(errorAnswer(error))
  }
  interrupted.addEventListener('abort', () => side?.silence())
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  try {
    for await (const line of lines) {
      if (line.trim() === '') continue
      if (side === undefined) {
        side = await startTraffic(parseConfig(line), failed)
        answer({ ready: { ports: side.ports } })
      } else answer(await obey(side, line))
    }
  } catch (error) {
    failed(error)
  }
  await side?.close()
  return status
}

async function obey(side: TrafficSide, line: string): Promise<Answer> {
  const command = parseCommand(line)
  switch (command.do) {
    case 'start':
      await side.start()
      return { started: true }
    case 'stop':
      return await side.stop()
  }
}

function errorAnswer(error: unknown): ErrorAnswer {
  const known = error instanceof PagewireError ? error : undefined
  return {
    error: {
      code: known?.code ?? 'internal',
      message: known?.message ?? (error instanceof Error ? (error.stack ?? error.message) : messageOf(error)),
      ...(known?.next !== undefined && { next: known.next }),
    },
  }
}
