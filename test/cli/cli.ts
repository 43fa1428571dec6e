/** Runs the built command line the way a shell does. */

import { spawn } from 'node:child_process'
import { programFile } from '../../src/experiment/agent-process.js'

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `pagewire ARGS` with this stdin (none by default) and gives what it printed. */
export async function pagewire(args: readonly string[], stdin: string | Uint8Array = ''): Promise<Ended> {
  const child = spawn(process.execPath, [programFile, ...args], { timeout: 30_000 })
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return { code, stdout, stderr }
}
