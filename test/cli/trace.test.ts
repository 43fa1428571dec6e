import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/temporary.js'
import { pagewire } from './cli.js'

const small = ['--set', 'guest.memory=4MiB', '--set', 'cross_traffic=[]']

test('a recorded guest is summarised, and migrates as the one that was recorded did', async (t) => {
  const directory = temporaryDirectory(t)
  const file = join(directory, 'writes.txt')
  const recorded = await pagewire(['predict', '--json', ...small, '--record-trace', file])
  assert.equal(recorded.code, 0, recorded.stderr)
  const summary = JSON.parse((await pagewire(['trace', '--json', file])).stdout)
  assert.equal(summary.schema, 'pagewire.trace/1')
  assert.ok(summary.writes > 100 && summary.working_set_pages > 10 && summary.over_time.length === 20)
  assert.match((await pagewire(['trace', file])).stdout, /working set \d+ pages[\s\S]*median/)

  // The name is relative to the scenario, wherever one works.
  mkdirSync(join(directory, 'deeper'))
  const scenario = join(directory, 'deeper', 'mine.yaml')
  writeFileSync(
    scenario,
    'guest: { memory: 4MiB, workload: { kind: trace, file: ../writes.txt } }\nmigration: { options: { profile: xen42 } }\n',
  )
  const replayed = await pagewire(['predict', '--json', scenario])
  assert.equal(replayed.code, 0, replayed.stderr)
  const [was, is] = [JSON.parse(recorded.stdout).migration, JSON.parse(replayed.stdout).migration]
  assert.ok(Math.abs(is.pages_sent / was.pages_sent - 1) < 0.01, `${is.pages_sent}, was ${was.pages_sent}`)
  assert.ok(Math.abs(is.total_time_ms / was.total_time_ms - 1) < 0.01)
})

test('a bad line, a missing file and settings that a trace has no use for are errors that say where', async (t) => {
  const directory = temporaryDirectory(t)
  const file = join(directory, 'bad.txt')
  writeFileSync(file, '0.1 1\n0.2 one\n')
  const bad = await pagewire(['trace', file])
  assert.equal(bad.code, 2)
  assert.match(bad.stderr, /bad\.txt:2: '0\.2 one' is not a time and a page/)
  const scenario = join(directory, 'mine.yaml')
  const check = async (workload: string): Promise<string> => {
    writeFileSync(scenario, `guest: { memory: 4MiB, workload: ${workload} }\n`)
    const { code, stderr } = await pagewire(['scenario', scenario])
    assert.equal(code, 2, stderr)
    return stderr
  }
  assert.match(await check('{ kind: trace, file: bad.txt }'), /guest\.workload\.file: bad\.txt:2/)
  assert.match(
    await check('{ kind: trace, file: none.txt }'),
    /guest\.workload\.file: cannot read .*none\.txt/,
  )
  assert.match(await check('{ kind: trace }'), /kind trace needs a file/)
  assert.match(await check('{ kind: hot, file: bad.txt }'), /only kind trace has it/)
  writeFileSync(file, '0.1 1\n0.2 2\n')
  assert.match(await check('{ kind: trace, file: bad.txt, dirty_ratio: 0.5 }'), /a rate of its own/)
})
