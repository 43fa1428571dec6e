/** Reads one capture from end to end and gives its part of the analysis document. */

import { decode } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import type { FrameReader } from '../capture/read.js'
import type { TimeBase } from '../capture/record-scanner.js'
import { batchFrames } from '../capture/segment-batch.js'
import { CapturePass, type PassOptions } from './capture-pass.js'
import type { FrameFilter } from './filter.js'

export interface CaptureOptions extends PassOptions {
  /** Frames that do not pass are not counted anywhere. */
  readonly filter?: FrameFilter | undefined
  /** Only frames from `fromNs` (included) to `toNs` (not included) after the first frame of the capture. */
  readonly fromNs?: number | undefined
  readonly toNs?: number | undefined
  /** Sees every frame that is counted, after it was. */
  readonly also?: ((frame: Frame, pass: CapturePass) => void) | undefined
}

/** Reads `reader` to its end. What a broken capture held up to the break is in the pass. */
export async function analyseCapture(reader: FrameReader, options: CaptureOptions): Promise<CapturePass> {
  const pass = new CapturePass(options, reader.arena)
  const { filter, fromNs, toNs, also } = options
  const selects = filter !== undefined || fromNs !== undefined || toNs !== undefined
  const inBatches = !selects && also === undefined && options.seriesOfFlows !== true
  if (inBatches) await takeAll(reader, pass)
  else await takeSome(reader, pass, options)
  return pass
}

async function takeAll(reader: FrameReader, pass: CapturePass): Promise<void> {
  do takeChunk(reader, pass)
  while (await reader.fill())
}

function takeChunk(reader: FrameReader, pass: CapturePass): void {
  const { frame, batch } = reader
  for (;;) {
    reader.gather()
    if (batch.count > 0) pass.takeBatch(batch, frame)
    if (batch.count === batchFrames) continue
    if (!reader.next()) return
    decode(frame)
    pass.take(frame)
  }
}

async function takeSome(reader: FrameReader, pass: CapturePass, options: CaptureOptions): Promise<void> {
  const { filter, also, fromNs = Number.NEGATIVE_INFINITY, toNs = Number.POSITIVE_INFINITY } = options
  const { frame } = reader
  do {
    while (reader.next()) {
      pass.begin(frame.timeNs)
      const sinceFirstNs = frame.timeNs - pass.clock.originNs
      if (sinceFirstNs < fromNs || sinceFirstNs >= toNs) continue
      decode(frame)
      if (filter !== undefined && !filter(frame)) continue
      pass.take(frame)
      also?.(frame, pass)
    }
  } while (await reader.fill())
}

/** Absolute time of `ns`: nanoseconds since 1970 (rounded to what a number holds) and exact text. */
export function absoluteTime(timeBase: TimeBase, ns: number): { readonly ns: number; readonly text: string } {
  const seconds = (timeBase.seconds ?? 0) + Math.floor(ns / 1e9)
  const fraction = ns - Math.floor(ns / 1e9) * 1e9
  return {
    ns: seconds * 1e9 + fraction,
    text: `${isoSeconds(seconds)}.${String(fraction).padStart(9, '0')}Z`,
  }
}

/** Civil time of a number of seconds since 1970 (Hinnant's days-from-civil, turned round), without a clock. */
function isoSeconds(seconds: number): string {
  const days = Math.floor(seconds / 86_400)
  const rest = seconds - days * 86_400
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const day = shifted - era * 146_097
  const year = Math.floor(
    (day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365,
  )
  const inYear = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * inYear + 2) / 153)
  const date = inYear - Math.floor((153 * month + 2) / 5) + 1
  const civilMonth = month < 10 ? month + 3 : month - 9
  const civilYear = year + era * 400 + (civilMonth <= 2 ? 1 : 0)
  const two = (value: number): string => String(value).padStart(2, '0')
  const clock = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60].map(two).join(':')
  return `${String(civilYear).padStart(4, '0')}-${two(civilMonth)}-${two(date)}T${clock}`
}
