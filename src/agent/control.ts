/**
 * The local control channel of an agent: JSON lines, commands in on stdin, events out on stdout. The end of stdin
 * means that whoever started the agent is gone; the agent then ends too, so that nothing is left behind.
 */

import { createInterface } from 'node:readline'
import { usageError } from '../support/errors.js'

export type Command =
  | { readonly do: 'start'; readonly job: unknown }
  /** To an agent of a migration: the command that is the guest's network card on its host. */
  | { readonly do: 'card'; readonly argv: readonly string[] }
  /** To the source: from now on the guest answers whoever asks it. */
  | { readonly do: 'answer' }
  /** To a client of the guest. */
  | { readonly do: 'finish'; readonly how: unknown }
  /** To a client of the guest: the guest's name stands for this address from now on. */
  | { readonly do: 'moved'; readonly address: string }
  | { readonly do: 'cancel' }
  | { readonly do: 'quit' }

/** Longest line that is read: a job is a few KiB. */
const longestLine = 2 ** 20

/** Yields the commands of a stream. Throws a usage error on a line that is no command. */
export async function* readCommands(input: NodeJS.ReadableStream): AsyncGenerator<Command, void, void> {
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() !== '') yield parseCommand(line)
  }
}

function parseCommand(line: string): Command {
  const bad = (why: string): Error =>
    usageError(`control line: ${why}`, {
      code: 'bad-control',
      next: 'Commands are {"do":"start","job":{...}}, {"do":"cancel"} and {"do":"quit"}, one a line.',
    })
  if (line.length > longestLine) throw bad(`${line.length} characters are too many`)
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw bad('not JSON')
  }
  if (typeof value !== 'object' || value === null || !('do' in value)) throw bad('no "do"')
  switch (value.do) {
    case 'start':
      if (!('job' in value)) throw bad('"start" needs a "job"')
      return { do: 'start', job: value.job }
    case 'card':
      if (!('argv' in value) || !isWords(value.argv)) throw bad('"card" needs an "argv"')
      return { do: 'card', argv: value.argv }
    case 'finish':
      if (!('how' in value)) throw bad('"finish" needs a "how"')
      return { do: 'finish', how: value.how }
    case 'moved':
      if (!('address' in value) || typeof value.address !== 'string') throw bad('"moved" needs an "address"')
      return { do: 'moved', address: value.address }
    case 'answer':
    case 'cancel':
    case 'quit':
      return { do: value.do }
    default:
      throw bad(`unknown command ${JSON.stringify(value.do)}`)
  }
}

function isWords(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((word) => typeof word === 'string')
}

/** Writes one event. */
export function writeEvent(output: NodeJS.WritableStream, event: object): void {
  output.write(`${JSON.stringify(event)}\n`)
}
