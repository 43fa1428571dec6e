/** Interrupts in every phase, and a killed runner: a result where one can be, and nothing left behind. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { labUp } from '../../src/topology/lab.js'
import { temporaryDirectory } from '../support/temporary.js'
import { run, small, start, traces, until } from './run-support.js'
import { namespaces, needsRoot, testSpec } from './support.js'

/** Long enough to be caught in the middle of everything. */
const slow = [
  ...small,
  'link.rate=20mbit',
  'guest.memory=5MiB',
  'cross_traffic=[{kind: udp-cbr, rate: 10mbit}]',
]

/** Each phase, and how a bystander sees that it has been reached. */
const phases: readonly (readonly [name: string, reached: (out: string) => boolean])[] = [
  ['the lab is being built', () => namespaces().some((name) => name.startsWith('pw-r'))],
  ['captures are being started', (out) => files(join(out, 'captures')).length > 0],
  ['agents are being started', (out) => files(join(out, 'logs')).includes('destination.log')],
  ['pages are being sent', (out) => events(out).includes('"do":"copy"')],
  ['the second round is on', (out) => events(out).includes('"do":"syncDirty"')],
  ['the queues run empty', (out) => events(out).includes('"event":"end"')],
]

for (const [name, reached] of phases) {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    if (signal === 'SIGTERM' && !name.includes('sent')) continue
    test(`${signal} while ${name}: a cancelled result, nothing left`, { skip: needsRoot }, async (t) => {
      const out = join(temporaryDirectory(t), 'run')
      const before = traces()
      const { child, finished } = start(['run', '--out', out, ...slow.flatMap((one) => ['--set', one])])
      t.after(() => child.kill('SIGKILL'))
      await until(name, () => reached(out) || child.exitCode !== null)
      child.kill(signal)
      const { code: status, stderr } = await finished
      assert.equal(status, code, stderr)
      const result = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8'))
      assert.equal(result.outcome, 'cancelled')
      assert.deepEqual(traces(), before)
    })
  }
}

test('a second interrupt tears down at once', { skip: needsRoot }, async (t) => {
  const out = join(temporaryDirectory(t), 'run')
  const before = traces()
  const { child, finished } = start(['run', '--out', out, ...slow.flatMap((one) => ['--set', one])])
  await until('pages are being sent', () => events(out).includes('"do":"copy"') || child.exitCode !== null)
  child.kill('SIGINT')
  child.kill('SIGINT')
  await new Promise((resolve) => setTimeout(resolve, 50))
  child.kill('SIGINT')
  assert.equal((await finished).code, 130)
  assert.deepEqual(traces(), before)
})

test('a killed runner is swept by the next run, and a second lab stays up', {
  skip: needsRoot,
}, async (t) => {
  const directory = temporaryDirectory(t)
  const before = traces()
  const other = await labUp(testSpec())
  try {
    const withOther = traces()
    const out = join(directory, 'killed')
    const { child, finished } = start(['run', '--out', out, ...slow.flatMap((one) => ['--set', one])])
    await until('pages are being sent', () => events(out).includes('"do":"copy"') || child.exitCode !== null)
    child.kill('SIGKILL')
    await finished
    assert.notDeepEqual(traces(), withOther, 'the killed run left its lab')
    const { code, result } = await run(join(directory, 'next'), small)
    assert.equal(code, 0, result.reason)
    assert.deepEqual(traces(), withOther, 'the dead lab is gone, the living one is untouched')
  } finally {
    await other.down()
  }
  assert.deepEqual(traces(), before)
})

function files(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function events(out: string): string {
  try {
    return readFileSync(join(out, 'events.jsonl'), 'utf8')
  } catch {
    return ''
  }
}
