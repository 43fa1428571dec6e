/** Runs one command and shows its whole argv and stderr when it fails. Knows nothing of labs. */

import { execFile } from 'node:child_process'
import { failure } from '../support/errors.js'
import { missingTool } from './requirements.js'

export interface CommandOutcome {
  /** Exit status; null when a signal or the time limit ended it. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const timeLimitMs = 60_000
const outputLimitBytes = 64 * 2 ** 20

/** Standard output of a command that must succeed. `input` is its standard input. */
export async function output(argv: readonly string[], input = ''): Promise<string> {
  const outcome = await execute(argv, input)
  if (outcome.status === 0) return outcome.stdout
  throw commandFailed(argv, outcome)
}

/** Runs a command whatever its status. Throws only when it cannot be started. */
export function execute(argv: readonly string[], input = ''): Promise<CommandOutcome> {
  const [program = '', ...rest] = argv
  return new Promise((resolve, reject) => {
    const options = { timeout: timeLimitMs, maxBuffer: outputLimitBytes, encoding: 'utf8' as const }
    const child = execFile(program, rest, options, (error, stdout, stderr) => {
      if (error === null) resolve({ status: 0, stdout, stderr })
      else if (typeof error.code === 'number') resolve({ status: error.code, stdout, stderr })
      else if (error.code === 'ENOENT') reject(missingTool(program))
      else resolve({ status: null, stdout, stderr: `${stderr}${error.message}` })
    })
    // A command that does not read to the end closes the pipe; its own status says what went wrong.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

export function commandFailed(argv: readonly string[], outcome: CommandOutcome): Error {
  const status = outcome.status === null ? 'did not end by itself' : `exited with ${outcome.status}`
  return failure(`command ${status}: ${argv.map(quoted).join(' ')}`, {
    code: 'command-failed',
    next: outcome.stderr.trim() === '' ? 'It said nothing.' : `It said: ${outcome.stderr.trim()}`,
  })
}

/** As one would type it into a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
