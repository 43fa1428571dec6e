/** Plans become jobs, jobs become rows; what was done is not done again. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  compare,
  comparisonOf,
  defaultPlanText,
  type Job,
  jobsOf,
  type Row,
  readPlan,
  rowOf,
} from '../../src/experiment/comparison.js'
import { ComparisonStore } from '../../src/experiment/store.js'
import { PagewireError } from '../../src/support/errors.js'
import { temporaryDirectory } from '../support/temporary.js'
import { fakeRun } from './fake-run.js'

const text = `
name: two-by-two
origin: predicted
repetitions: 3
seed: 5
axes:
  guest.workload.dirty_ratio: [0.2, 0.8]
  marks:
    none: { migration.marking.bulk: best-effort }
    high: { migration.marking.bulk: CS7 }
`
const plan = readPlan(text, 'plan')

test('every combination, each repeated, once; named by its parameters; same seed within a repetition', () => {
  const jobs = jobsOf(plan)
  assert.equal(jobs.length, 12)
  assert.equal(new Set(jobs.map(({ cell, repetition }) => `${cell} ${repetition}`)).size, 12)
  const job = jobs.find(({ cell, repetition }) => cell === 'dirty_ratio=0.2,marks=high' && repetition === 2)
  assert.deepEqual(job?.labels, { dirty_ratio: '0.2', marks: 'high' })
  assert.deepEqual(job?.overrides, [
    'guest.workload.dirty_ratio=0.2',
    'migration.marking.bulk="CS7"',
    'seed=7',
  ])
  assert.ok(jobs.filter(({ repetition }) => repetition === 2).every(({ seed }) => seed === 7))
})

test('the order is drawn, and the same for the same seed', () => {
  const order = (seed: number): string =>
    jobsOf({ ...plan, seed })
      .map(({ cell, repetition }) => `${cell} ${repetition}`)
      .join()
  assert.equal(order(5), order(5))
  assert.notEqual(order(5), order(6))
})

test('the default plan can be read', () => {
  assert.equal(jobsOf(readPlan(defaultPlanText, 'default')).length, 18)
})

test('a wrong plan is refused with the key and what it should be', () => {
  const cases: readonly (readonly [text: string, message: RegExp])[] = [
    ['axis: {}', /axis: unknown key; did you mean axes\?/],
    ['axes: {}', /axes: a map of at least one axis/],
    ['axes: { a: 3 }', /axes\.a: a list of values/],
    ['axes: { a: { b: 3 } }', /axes\.a\.b: a map of keys/],
    ['{ axes: { a: [1] }, repetitions: 0 }', /repetitions: a whole number from 1/],
    ['{ axes: { a: [1] }, origin: guessed }', /origin: measured or predicted/],
    ['{ axes: { a: [1] }, repetitions: 1000000 }', /more than 100000/],
    ['[', /plan:/],
  ]
  for (const [wrong, message] of cases) {
    assert.throws(
      () => readPlan(wrong, 'plan'),
      (error) => error instanceof PagewireError && error.exit === 2 && message.test(error.message),
      wrong,
    )
  }
})

test('jobs with a row are not run again, and others once', async () => {
  const jobs = jobsOf(plan)
  const { ran, rows } = await carryOut(jobs, new Set(jobs.slice(0, 5)))
  assert.deepEqual(new Set(ran), new Set(jobs.slice(5)))
  assert.equal(rows.length, 7)
})

test('invalid runs are tried again, three times, and where half of them are, kept as invalid then', async () => {
  const [first, second] = jobsOf(plan)
  const { ran, rows } = await carryOut([first!, second!], new Set(), (job) => job === first)
  assert.equal(ran.filter((job) => job === first).length, 3)
  assert.deepEqual(
    rows.map(({ valid }) => valid),
    [false, true],
  )
  assert.equal(comparisonOf(plan, rows).invalid_rows, 1)
  assert.equal(comparisonOf(plan, rows).complete, false)
})

test('a box that is disturbed for a while ends with a valid row for every job', async () => {
  const jobs = jobsOf(plan)
  const [first, second] = jobs
  let tries = 0
  const { ran, rows } = await carryOut(
    jobs,
    new Set(),
    (job) => job === second || (job === first && ++tries <= 4),
  )
  const of = (job: Job | undefined): number => ran.filter((one) => one === job).length
  assert.deepEqual([of(first), of(second), ran.length], [5, 9, jobs.length - 2 + 14])
  const last = new Map(rows.map((row) => [`${row.cell} ${row.repetition}`, row]))
  assert.equal([...last.values()].filter(({ valid }) => valid).length, jobs.length - 1)
})

test('the store keeps each row once, over a restart', (t) => {
  const file = join(temporaryDirectory(t), 'rows.sqlite')
  const [job] = jobsOf(plan)
  const row = rowOf(
    job!,
    fakeRun({ goodputMbps: 1, totalMs: 2, downtimeMs: 1, otherMbps: 3 }, { limitNs: 1e9 }),
  )
  const store = ComparisonStore.open(file)
  store.keep({ ...row, valid: false })
  assert.equal(store.has(job!), false, 'an invalid row measured nothing')
  store.keep(row)
  assert.throws(() => store.keep(row), /twice/)
  store.close()
  const again = ComparisonStore.open(file)
  assert.ok(again.has(job!))
  assert.deepEqual(again.rows(), [row])
  again.close()
})

test('a comparison at work is left alone; one whose program was killed is taken over', async (t) => {
  const file = join(temporaryDirectory(t), 'rows.sqlite')
  const store = new URL('../../src/experiment/store.js', import.meta.url).href
  const program = `import { ComparisonStore } from '${store}'; ComparisonStore.open('${file}'); console.log('open'); setInterval(() => {}, 1000)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program])
  await new Promise((resolve) => holder.stdout.once('data', resolve))
  assert.throws(
    () => ComparisonStore.open(file),
    (error) => error instanceof PagewireError && error.code === 'store-busy',
  )
  const gone = new Promise((resolve) => holder.once('exit', resolve))
  holder.kill('SIGKILL')
  await gone
  ComparisonStore.open(file).close()
})

async function carryOut(
  jobs: readonly Job[],
  done: ReadonlySet<Job>,
  isInvalid: (job: Job) => boolean = () => false,
): Promise<{ ran: Job[]; rows: Row[] }> {
  const ran: Job[] = []
  const rows: Row[] = []
  await compare({
    jobs,
    isDone: (job) => done.has(job) || rows.some((row) => row.valid && isOf(row, job)),
    keep: (row) => rows.push(row),
    run: async (job) => {
      ran.push(job)
      const figures = { goodputMbps: 1, totalMs: 2, downtimeMs: 1, otherMbps: 3, invalid: isInvalid(job) }
      return fakeRun(figures, { limitNs: 1e9 })
    },
    parallel: 1,
    nowNs: () => 0,
    stopped: () => false,
  })
  return { ran, rows }
}

function isOf({ cell, repetition }: Row, job: Job): boolean {
  return cell === job.cell && repetition === job.repetition
}
