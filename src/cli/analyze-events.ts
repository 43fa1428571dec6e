/** The JSON lines of `analyze --events`, written while the captures are read. */

import { closeSync, openSync, writeSync } from 'node:fs'
import type { CaptureEvent } from '../analysis/events.js'
import { failure, messageOf } from '../support/errors.js'
import { printText } from './output.js'

const bufferChars = 64 * 1024

export class EventLines {
  private text = ''
  private readonly file: number | undefined

  /** `-` is standard output. Failure when the file cannot be written. */
  constructor(private readonly path: string) {
    this.file = path === '-' ? undefined : this.tried(() => openSync(path, 'w'))
  }

  add(capture: string, event: CaptureEvent): void {
    this.text += `${JSON.stringify({ file: capture, ...event })}\n`
    if (this.text.length >= bufferChars) this.flush()
  }

  close(): void {
    this.flush()
    const { file } = this
    if (file !== undefined) this.tried(() => closeSync(file))
  }

  private flush(): void {
    const { file, text } = this
    this.text = ''
    if (text === '') return
    if (file === undefined) printText(text)
    else {
      const bytes = Buffer.from(text)
      for (let done = 0; done < bytes.length; ) done += this.tried(() => writeSync(file, bytes, done))
    }
  }

  private tried<T>(write: () => T): T {
    try {
      return write()
    } catch (error) {
      throw failure(`cannot write ${this.path}: ${messageOf(error)}`, { code: 'cannot-write', cause: error })
    }
  }
}
