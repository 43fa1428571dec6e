/**
 * Structured logs of commands and agents: JSON lines on stderr and, where a run directory is known, in a file.
 * Never on stdout. Written synchronously, so that the last lines before an exit are not lost.
 */

import { type DestinationStream, destination, type Logger, multistream, pino } from 'pino'
import type { LogLevel } from './globals.js'

export interface LogSettings {
  /** Which process speaks: `run`, `source`, `destination`, `traffic`. */
  readonly name: string
  /** Least level on stderr. */
  readonly level: LogLevel
  /** A file that takes everything from `info` up, or from `level` if that is lower. Appended to. */
  readonly file?: string
}

/** A logger. The caller hands it on; no room but cli/ makes one. */
export function openLog({ name, level, file }: LogSettings): Logger {
  const streams = level === 'silent' ? [] : [{ level, stream: synchronous(2) }]
  const fileLevel = level === 'trace' || level === 'debug' ? level : 'info'
  if (file !== undefined) streams.push({ level: fileLevel, stream: synchronous(file) })
  const least = file === undefined ? level : fileLevel
  return pino({ name, level: least, base: { name, pid: process.pid } }, multistream(streams))
}

function synchronous(dest: number | string): DestinationStream {
  return destination({ dest, sync: true, append: true, mkdir: true })
}
