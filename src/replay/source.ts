/** The frames of a capture that a replay is about, in the order of the file, as they are to be sent. */

import { compileFilter } from '../analysis/filter.js'
import { decode } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import { type FrameReader, openCapture } from '../capture/read.js'
import { type CaptureProblem, TimeBase } from '../capture/record-scanner.js'
import { type Rewrite, Rewriter } from './rewrite.js'

/** What of a file is sent, and with which changes. */
export interface ReplayContent {
  readonly file: string
  /** A display filter; only frames that pass are sent. */
  readonly filter?: string
  readonly rewrite: Rewrite
}

/** Called for each frame that passes the filter; `length` 0: it cannot be sent. A promise is waited for; false ends. */
export type FrameTaker = (frame: Frame, bytes: Buffer, length: number) => Promise<boolean> | boolean

/** One pass over the file. Resolves to what is wrong with the file, if anything. */
export async function eachFrame(
  content: ReplayContent,
  take: FrameTaker,
): Promise<CaptureProblem | undefined> {
  const passes = content.filter === undefined ? undefined : compileFilter(content.filter)
  const rewriter = new Rewriter(content.rewrite)
  const reader: FrameReader = await openCapture(content.file, new TimeBase())
  try {
    do {
      while (reader.next()) {
        const { frame } = reader
        decode(frame)
        if (passes && !passes(frame)) continue
        const more = take(frame, rewriter.bytes, rewriter.write(frame))
        if (!(typeof more === 'boolean' ? more : await more)) return undefined
      }
    } while (await reader.fill())
    return reader.problem
  } finally {
    await reader.close()
  }
}
