/** The guest kernel test bench itself: what comes back from it, and that nothing of it stays. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { hasTool } from '../../src/topology/requirements.js'
import { temporaryDirectory } from '../support/temporary.js'

const bench = fileURLToPath(new URL('../../../test/uml/run.sh', import.meta.url))
const skip = hasTool('linux.uml') ? false : 'linux.uml is missing; apt-get install user-mode-linux'

test('output, exit status and files of a command come back from the guest', { skip }, (context) => {
  const directory = temporaryDirectory(context)
  const script = `uname -r; echo "and 'words'" >&2; echo kept > $PAGEWIRE_OUT/file; exit 7`
  const ended = spawnSync(bench, ['-o', join(directory, 'made'), 'sh', '-c', script], {
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: directory },
  })
  assert.equal(ended.status, 7, ended.stderr)
  const [kernel, words] = ended.stdout.split('\n')
  assert.notEqual(kernel, release())
  assert.equal(words, "and 'words'")
  assert.equal(readFileSync(join(directory, 'made', 'file'), 'utf8'), 'kept\n')
  assert.deepEqual(readdirSync(directory), ['made'])
})

test("the guest cannot write to this box's files", { skip }, (context) => {
  const directory = temporaryDirectory(context)
  const { status, stdout } = spawnSync(bench, ['touch', join(directory, 'file')], { encoding: 'utf8' })
  assert.notEqual(status, 0)
  assert.match(stdout, /Read-only|No such file/)
})

test('a command that does not end is stopped', { skip }, (context) => {
  const directory = temporaryDirectory(context)
  const { status } = spawnSync(bench, ['-t', '6', 'sleep', '100'], {
    env: { ...process.env, TMPDIR: directory },
  })
  assert.equal(status, 124)
  assert.deepEqual(readdirSync(directory), [])
})

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`nothing of the guest lives on after ${signal}`, { skip }, async (context) => {
    const directory = temporaryDirectory(context)
    const environment = { ...process.env, TMPDIR: directory }
    const child = spawn(bench, ['sh', '-c', 'echo up; sleep 100'], {
      env: environment,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const guests = guestsOf(directory)
    assert.ok(guests.length > 0)
    child.kill(signal)
    await waitUntil(() => guestsOf(directory).length === 0)
    // A killed script cannot remove its directory; the next one does.
    spawnSync(bench, ['true'], { env: environment })
    assert.deepEqual(readdirSync(directory), [])
  })
}

/** Processes of guests that work in this directory. */
function guestsOf(directory: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`uml_dir=${directory}`)
      )
    } catch {
      return false
    }
  })
}

async function waitUntil(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 100 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 100))
  assert.ok(condition())
}
