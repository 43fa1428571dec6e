/** tshark as an oracle: fields of every frame of a capture. */

import { spawnSync } from 'node:child_process'

/** The reason to skip a test that needs tshark, or false. */
export const withoutTshark: string | false =
  spawnSync('tshark', ['--version'], { stdio: 'ignore' }).status === 0 ? false : 'tshark is not installed'

/** One row per frame, one text per field; several values of a field are separated by commas. */
export function tsharkFields(
  file: string,
  fields: readonly string[],
  options: readonly string[] = [],
): string[][] {
  const argv = ['-r', file, ...options, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])]
  const { status, stdout, stderr } = spawnSync('tshark', argv, {
    encoding: 'utf8',
    maxBuffer: 512 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // A file that ends early is told by its exit status; what it has is printed.
  if (status !== 0 && !/cut short in the middle/.test(stderr)) throw new Error(`tshark: ${stderr}`)
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'))
}
