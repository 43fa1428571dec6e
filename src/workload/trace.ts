/**
 * Writes as they were recorded: each at its own guest time, over and over. A trace is text: one write a line, the time
 * in seconds since the start and the page number, times in order; `#` begins a comment.
 */

import { assert } from '../support/assert.js'
import { usageError } from '../support/errors.js'
import type { WorkloadFactory } from './workload.js'

export interface Trace {
  /** Guest time of each write, ascending; the last one is where the trace starts over, and more than 0. */
  readonly timesNs: readonly number[]
  /** Page of each write. */
  readonly pages: readonly number[]
}

/** More would not fit the control channel of an agent. */
export const traceWritesMax = 4_000_000

const line = /^(\d+(?:\.\d{1,9})?)\s+(\d+)$/

/** Reads a trace for a guest of so many pages. Throws a usage error with file and line. */
export function parseTrace(text: string, fileName: string, totalPages: number): Trace {
  const timesNs: number[] = []
  const pages: number[] = []
  let number = 0
  for (const raw of text.split('\n')) {
    number++
    const written = raw.replace(/#.*/, '').trim()
    if (written === '') continue
    const refuse = (what: string): Error => refused(`${fileName}:${number}: ${what}`)
    const [, seconds, page] = line.exec(written) ?? []
    if (seconds === undefined || page === undefined) throw refuse(`'${written}' is not a time and a page`)
    const timeNs = Math.round(Number(seconds) * 1e9)
    if (timeNs < (timesNs.at(-1) ?? 0)) throw refuse(`time ${seconds} is before the line above`)
    if (Number(page) >= totalPages) throw refuse(`page ${page} is outside a guest of ${totalPages} pages`)
    if (pages.length === traceWritesMax) throw refuse(`more than ${traceWritesMax} writes`)
    timesNs.push(timeNs)
    pages.push(Number(page))
  }
  if ((timesNs.at(-1) ?? 0) === 0) throw refused(`${fileName}:${number}: no write after time 0`)
  return { timesNs, pages }
}

function refused(message: string): Error {
  return usageError(message, {
    code: 'bad-trace',
    next: 'A trace has one write a line: seconds since the start and a page number, such as 0.000125 17.',
  })
}

/** The trace as text; `parseTrace` gives it again. */
export function formatTrace({ timesNs, pages }: Trace, comment: string): string {
  const lines = pages.map((page, i) => `${(timesNs[i]! / 1e9).toFixed(9)} ${page}`)
  return `# ${comment}\n# seconds of guest time, page\n${lines.join('\n')}\n`
}

/** Writes that are due by this guest time, the trace over and over. */
export function tracedWrites({ timesNs }: Trace, guestNs: number): number {
  const lengthNs = timesNs.at(-1)!
  const passes = Math.floor(guestNs / lengthNs)
  return passes * timesNs.length + upTo(timesNs, guestNs - passes * lengthNs)
}

export const trace: WorkloadFactory = (spec) => {
  assert(spec.trace !== undefined, 'a trace has writes')
  const { trace: recorded } = spec
  const { timesNs, pages } = recorded
  const lengthNs = timesNs.at(-1)!
  let at = 0
  return {
    next: (out, count) => {
      for (let i = 0; i < count; i++) {
        out[i] = pages[at]!
        at = at + 1 === pages.length ? 0 : at + 1
      }
    },
    dueBy: (guestNs) => tracedWrites(recorded, guestNs),
    timeOf: (access) => Math.floor(access / timesNs.length) * lengthNs + timesNs[access % timesNs.length]!,
  }
}

/** How many of the ascending times are at most this one. */
function upTo(timesNs: readonly number[], limitNs: number): number {
  let low = 0
  let high = timesNs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (timesNs[middle]! <= limitNs) low = middle + 1
    else high = middle
  }
  return low
}
