/**
 * The two streams of a command. stdout carries results: text, or with --json exactly one JSON document. stderr
 * carries errors, and progress if it is a terminal. A reader that closes the pipe early is not an error.
 */

const closed = new AbortController()
let jsonPrinted = false

/** Aborted when the reader of stdout has gone: a command that prints for ever stops then. */
export const outputClosed: AbortSignal = closed.signal

export interface ErrorText {
  readonly code: string
  readonly message: string
  readonly next?: string | undefined
}

/** Call once, before anything is printed. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    closed.abort()
  })
  // Nobody is left to be told about a broken stderr.
  process.stderr.on('error', () => {})
}

/** Prints a result and a line end, unless it has one. */
export function printText(text: string): void {
  if (!outputClosed.aborted) process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** Prints the one JSON document of the command. */
export function printJson(document: unknown): void {
  jsonPrinted = true
  printText(JSON.stringify(document, null, 2))
}

/** One line of a stream of JSON documents (`monitor --json`). */
export function printJsonLine(document: unknown): void {
  jsonPrinted = true
  printText(JSON.stringify(document))
}

/** The sentence and what to do next, on stderr; with --json also as a document, unless a result is already out. */
export function printError(error: ErrorText, json: boolean): void {
  process.stderr.write(`pagewire: ${error.message}\n${error.next === undefined ? '' : `${error.next}\n`}`)
  if (json && !jsonPrinted) printJson({ error })
}
