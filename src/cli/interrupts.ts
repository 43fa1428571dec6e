/** SIGINT and SIGTERM as two signals to the program: the first asks to stop in good order, the second at once. */

import { setMaxListeners } from 'node:events'
import { exitCode } from '../support/errors.js'

export interface Interrupts {
  readonly first: AbortSignal
  readonly second: AbortSignal
  /** The exit code that the first signal asks for, once there was one. */
  readonly exitCode: number | undefined
  /** Gives the signals back to the system. */
  close(): void
}

export function interrupts(): Interrupts {
  const first = new AbortController()
  const second = new AbortController()
  // Every run of a validation listens, and there may be many.
  setMaxListeners(0, first.signal, second.signal)
  let exit: number | undefined
  const listen = (signal: 'SIGINT' | 'SIGTERM', code: number): (() => void) => {
    const heard = (): void => {
      exit ??= code
      if (first.signal.aborted) second.abort()
      else first.abort()
    }
    process.on(signal, heard)
    return () => process.off(signal, heard)
  }
  const stops = [listen('SIGINT', exitCode.sigint), listen('SIGTERM', exitCode.sigterm)]
  return {
    first: first.signal,
    second: second.signal,
    get exitCode() {
      return exit
    },
    close: () => {
      for (const stop of stops) stop()
    },
  }
}
