/** `pagewire compare` on predicted runs: killed and resumed, exported, listed, and what it refuses. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { programFile } from '../../src/experiment/agent-process.js'
import type { Comparison } from '../../src/experiment/comparison.js'
import { random } from '../../src/support/random.js'
import { testSeeds } from '../support/seeds.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'
import { pagewire } from './cli.js'

const planText = `
name: killed
origin: predicted
repetitions: 3
scenario:
  guest: { memory: 128MiB }
  migration: { max_total_time: 60s }
  cross_traffic: [{ kind: udp-cbr, rate: 120mbit, class: best-effort }]
axes:
  migration.strategy: [pre-copy, stop-and-copy, stord]
  guest.workload.kind: [hot, iid]
  marks:
    unmarked: { migration.marking.bulk: best-effort, migration.marking.final: best-effort }
    CS7: { migration.marking.bulk: CS7, migration.marking.final: CS7 }
`

test('3 schemes x 2 workloads x 2 markings x 3 repetitions, killed five times, end as 36 valid rows', async (t) => {
  const plan = temporaryFile(t, 'plan.yaml', Buffer.from(planText))
  const out = join(temporaryDirectory(t), 'comparison')
  const seed = Number(process.env['PAGEWIRE_SEED'] ?? 1)
  const r = random(seed)
  let killed = 0
  for (let i = 0; i < 5; i++) {
    const started = existsSync(join(out, 'rows.sqlite'))
    const args = started ? [out, '--resume'] : [plan, '--out', out]
    // Once there is a store, within what all 36 together take; the first time, after it was made.
    const wasKilled = await killedAfter(['compare', ...args], out, 20 + r.below(700))
    if (wasKilled) killed++
  }
  t.diagnostic(`seed ${seed}: ${killed} of 5 runs were killed before their end`)
  assert.ok(killed >= 1)
  const { code, stdout } = await pagewire(['compare', out, '--resume', '--parallel', '2', '--json'])
  assert.equal(code, 0)
  const comparison: Comparison = JSON.parse(stdout)
  assert.equal(comparison.complete, true)
  assert.equal(comparison.rows.length, 36)
  assert.ok(comparison.rows.every(({ valid, origin }) => valid && origin === 'predicted'))
  assert.equal(new Set(comparison.rows.map(({ cell, repetition }) => `${cell} ${repetition}`)).size, 36)
})

test('rows come out as CSV, JSON and Parquet, and a finished comparison has nothing left to do', async (t) => {
  const out = await finished(t)
  const csv = (await pagewire(['compare', out, '--export', 'csv'])).stdout.trim().split('\r\n')
  assert.equal(csv.length, 5)
  assert.match(
    csv[0] ?? '',
    /^axis_strategy,axis_memory,cell,repetition,seed,origin,valid,outcome,total_time_ms/,
  )
  const json = JSON.parse((await pagewire(['compare', out, '--export', 'json'])).stdout)
  assert.equal(json.rows.length, 4)
  const parquet = (await pagewire(['compare', out, '--export', 'parquet'])).stdout
  assert.ok(parquet.startsWith('PAR1') && parquet.endsWith('PAR1'))
  const list = (await pagewire(['compare', out, '--list'])).stdout
  assert.equal(list.match(/predicted\s+completed/g)?.length, 4)
  const again = JSON.parse((await pagewire(['compare', out, '--resume', '--json'])).stdout)
  assert.deepEqual(again.rows, json.rows)
})

test('one run at a time and four at a time give the same rows', async (t) => {
  const rows = async (parallel: string): Promise<Comparison['rows']> => {
    const out = await finished(t, ['--parallel', parallel])
    return JSON.parse((await pagewire(['compare', out, '--export', 'json'])).stdout).rows
  }
  assert.deepEqual(await rows('1'), await rows('4'))
})

test('--dry-run says what would be run', async (t) => {
  const plan = temporaryFile(t, 'plan.yaml', Buffer.from(planText))
  const { code, stdout } = await pagewire(['compare', plan, '--dry-run'])
  assert.equal(code, 0)
  assert.match(stdout, /36 predicted runs/)
  assert.equal(stdout.match(/strategy=stord/g)?.length, 12)
})

test('a cell that no scenario can be is refused before anything is run', async (t) => {
  const bad = `axes: { migration.strategy: [pre-copy], guest.memory: [12MB] }\norigin: predicted\n`
  const plan = temporaryFile(t, 'plan.yaml', Buffer.from(bad))
  const { code, stderr } = await pagewire(['compare', plan])
  assert.equal(code, 2)
  assert.match(stderr, /cell strategy=pre-copy,memory=12MB: .*guest\.memory/)
})

testSeeds('--resume and --export want the directory of a comparison', 1, async () => {
  for (const flag of ['--resume', '--list']) {
    const { code, stderr } = await pagewire(['compare', flag])
    assert.equal(code, 2)
    assert.match(stderr, /need the directory of a comparison/)
  }
})

async function finished(t: TestContext, more: readonly string[] = []): Promise<string> {
  const text = `
origin: predicted
repetitions: 2
axes: { migration.strategy: [pre-copy, stop-and-copy], guest.memory: [8MiB] }
scenario: { migration: { max_total_time: 60s } }
`
  const plan = temporaryFile(t, 'plan.yaml', Buffer.from(text))
  const out = join(temporaryDirectory(t), 'comparison')
  const { code, stderr } = await pagewire(['compare', plan, '--out', out, ...more])
  assert.equal(code, 0, stderr)
  return out
}

/** Starts the program and kills it this long after its store is there. False when it ended by itself before. */
function killedAfter(args: readonly string[], out: string, ms: number): Promise<boolean> {
  const child = spawn(process.execPath, [programFile, ...args], { stdio: 'ignore' })
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const poll = setInterval(() => {
      if (timer !== undefined || !existsSync(join(out, 'rows.sqlite.pid'))) return
      timer = setTimeout(() => child.kill('SIGKILL'), ms)
    }, 5)
    child.once('error', reject)
    child.once('exit', (_, signal) => {
      clearInterval(poll)
      clearTimeout(timer)
      resolve(signal === 'SIGKILL')
    })
  })
}
