/** The options that every command has. */

import type { Command } from 'commander'

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface GlobalOptions {
  /** stdout is exactly one JSON document. */
  readonly json: boolean
  /** No progress; warnings and errors only. */
  readonly quiet: boolean
  /** Least level of the log on stderr. */
  readonly logLevel: LogLevel
}

/** The global options, as seen from the action of any command. */
export function globalOptions(command: Command): GlobalOptions {
  const { json, quiet, logLevel } = command.optsWithGlobals<Partial<GlobalOptions>>()
  return { json: json ?? false, quiet: quiet ?? false, logLevel: logLevel ?? 'warn' }
}
