/** Errors that a user can act on: a stable code, a sentence, what to do next, and the exit code of the command. */

/** Exit codes of every command (documented in the README). */
export const exitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  environment: 3,
  verdictFail: 4,
  inconclusive: 5,
  sigint: 130,
  sigterm: 143,
} as const

export interface ErrorDetail {
  /** Stable, kebab-case; readers of logs may rely on it. */
  readonly code: string
  /** What the user can do next, as a sentence. */
  readonly next?: string
  readonly cause?: unknown
}

/** The world failed, or the input is wrong. Broken promises inside our own code use `assert` instead. */
export class PagewireError extends Error {
  readonly code: string
  readonly exit: number
  readonly next: string | undefined

  constructor(exit: number, message: string, detail: ErrorDetail) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.name = 'PagewireError'
    this.exit = exit
    this.code = detail.code
    this.next = detail.next
  }
}

/** Exit 1: something that should have worked did not. */
export function failure(message: string, detail: ErrorDetail): PagewireError {
  return new PagewireError(exitCode.failure, message, detail)
}

/** Exit 2: bad flag, bad scenario, unreadable or truncated input. */
export function usageError(message: string, detail: ErrorDetail): PagewireError {
  return new PagewireError(exitCode.usage, message, detail)
}

/** Exit 3: a privilege, tool or kernel feature is missing. */
export function environmentError(message: string, detail: ErrorDetail): PagewireError {
  return new PagewireError(exitCode.environment, message, detail)
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The system's name of an error, `ENOENT`; its text when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : messageOf(error)
}
