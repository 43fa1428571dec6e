/** The gate: each limit is broken for real (a mark rewritten on the way: hostile.test.ts), the run is invalid, says which limit it was, and prints no figure. */

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { RunResult } from '../../src/experiment/result.js'
import { temporaryDirectory } from '../support/temporary.js'
import { run, small, start, story, until } from './run-support.js'
import { namespaces, needsRoot } from './support.js'

/** Best effort at 30 of 50 Mbit/s and a guest of 4 MiB take two seconds; this takes some more. */
const longer = [...small, 'guest.memory=24MiB']

test('a shaper that is off', { skip: needsRoot }, async (t) => {
  const out = join(temporaryDirectory(t), 'run')
  const finished = run(out, longer)
  await until('captures run', () => existsSync(join(out, 'captures', 'switch-out.pcap.tap0')))
  const lab = namespaces().find((name) => /^pw-r.*-switch$/.test(name))
  assert.ok(lab !== undefined, 'the lab of the run is up')
  const change = 'class change dev destination parent 1: classid 1:1 htb rate 45mbit ceil 45mbit'
  execFileSync('tc', ['-n', lab, ...change.split(' ')])
  const { code, result } = await finished
  broken(result, code, 'link_rate_error')
})

test('processes that take the processors away', { skip: needsRoot }, async (t) => {
  const out = join(temporaryDirectory(t), 'run')
  // The run's own processes go before ordinary ones; these hogs go before them, and there is work to do.
  const load = 'cross_traffic=[{kind: udp-cbr, rate: 150mbit}, {kind: tcp-bulk, flows: 4}]'
  const finished = run(out, [load, 'guest.memory=128MiB', 'migration.max_total_time=4s'])
  await until('pages are being sent', () => eventsOf(out).includes('"do":"copy"'))
  hogs(t, 24)
  const { code, result } = await finished
  const names = result.fidelity.checks.filter((check) => !check.ok).map((check) => check.name)
  assert.equal(code, 5, story(result))
  assert.ok(
    names.some((name) => /event_loop_delay|offered_load_error|dropped/.test(name)),
    `broken: ${names.join(', ')}`,
  )
})

test('a capture buffer that is too small', { skip: needsRoot }, async (t) => {
  const out = join(temporaryDirectory(t), 'run')
  const flood = 'cross_traffic=[{kind: udp-cbr, rate: 300mbit, class: best-effort, packet_size: 200B}]'
  const set = [...small, 'link.rate=400mbit', 'guest.memory=32MiB', flood]
  const { code, result } = await run(out, set, ['--test-hook', 'capture-buffer=2'])
  broken(result, code, 'captures_dropped')
})

test('a guest that cannot write as fast as it should', { skip: needsRoot }, async (t) => {
  const out = join(temporaryDirectory(t), 'run')
  const { code, result } = await run(out, [
    ...small,
    'guest.workload={kind: iid, dirty_rate: 500000000 pages/s}',
    'migration.max_total_time=3s',
  ])
  assert.equal(code, 5, story(result))
  const names = result.fidelity.checks.filter((check) => !check.ok).map((check) => check.name)
  assert.ok(
    names.some((name) => /dirty_rate_error|source_cpu_share|event_loop_delay/.test(name)),
    `broken: ${names.join(', ')}`,
  )
})

test('an invalid run prints its reason and no figure, with --force each figure is marked', {
  skip: needsRoot,
}, async (t) => {
  const directory = temporaryDirectory(t)
  const set = small.flatMap((one) => ['--set', one])
  const hook = ['--test-hook', 'unmark-lane=final']
  const kept = await start(['run', '--out', join(directory, 'kept'), ...set, ...hook]).finished
  assert.equal(kept.code, 5)
  assert.match(kept.stdout, /This run is INVALID:\n {2}marks_wrong is \d+ frames, the limit is 0/)
  assert.doesNotMatch(kept.stdout, /Mbit\/s/)
  const forced = await start(['run', '--out', join(directory, 'forced'), ...set, ...hook, '--force']).finished
  assert.equal(forced.code, 5)
  const figures = forced.stdout.split('\n').filter((line) => /Mbit\/s/.test(line))
  assert.ok(figures.length > 0)
  for (const line of forced.stdout.split('\n').filter((one) => /\d/.test(one))) assert.match(line, /^INVALID/)
  const written = JSON.parse(readFileSync(join(directory, 'forced', 'result.json'), 'utf8'))
  assert.equal(written.fidelity.valid, false)
})

function broken(result: RunResult, code: number | null, name: string): void {
  assert.equal(code, 5, story(result))
  assert.equal(result.fidelity.valid, false)
  const check = result.fidelity.checks.find((one) => one.name === name)
  assert.ok(check !== undefined && !check.ok, story(result))
  assert.ok(check.advice.length > 0)
}

function eventsOf(out: string): string {
  const file = join(out, 'events.jsonl')
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** Busy processes that outrank ours, until the test ends; each ends by itself after 5 seconds. */
function hogs(t: TestContext, count: number): void {
  for (let i = 0; i < count; i++) {
    const busy = `require('node:fs').writeFileSync('/proc/self/autogroup', '-20')
      const end = Date.now() + 5000; while (Date.now() < end);`
    const child = spawn('nice', ['-n', '-20', process.execPath, '-e', busy], {
      stdio: 'ignore',
      detached: true,
    })
    t.after(() => child.kill('SIGKILL'))
  }
}
