import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exampleSites } from '../../src/experiment/site-file.js'
import { predictors, strategies } from '../../src/strategies/index.js'
import { pagewire } from './cli.js'

test('predict prints the result document of a run, and says that it predicted', async () => {
  const { code, stdout } = await pagewire(['predict', '--json'])
  assert.equal(code, 0)
  const result = JSON.parse(stdout)
  assert.equal(result.schema, 'pagewire.run/1')
  assert.equal(result.origin, 'predicted')
  assert.equal(result.outcome, 'completed')
  assert.equal(result.migration.verified, true)
  assert.equal(result.migration.pages_total, 16384)
  assert.equal(result.fidelity.valid, true)
})

test('predict gives the same document twice', async () => {
  const first = await pagewire(['predict', '--json', '--set', 'guest.memory=16MiB'])
  const second = await pagewire(['predict', '--json', '--set', 'guest.memory=16MiB'])
  assert.equal(first.stdout, second.stdout)
})

test('predict shows what the mark is worth under cross-traffic', async () => {
  const totalMs = async (name: string): Promise<number> => {
    const set = ['--set', 'guest.memory=16MiB', '--set', `migration.marking.bulk=${name}`]
    const { stdout } = await pagewire(['predict', '--json', ...set])
    return JSON.parse(stdout).migration.total_time_ms
  }
  assert.ok((await totalMs('best-effort')) > 3 * (await totalMs('CS7')))
})

test('a migration that does not end in time is a result', async () => {
  const set = ['--set', 'migration.max_total_time=500ms']
  const { code, stdout } = await pagewire(['predict', '--json', ...set])
  assert.equal(code, 0)
  const result = JSON.parse(stdout)
  assert.equal(result.outcome, 'aborted')
  assert.match(result.reason, /max_total_time/)
  assert.equal(result.migration.downtime_ms, null)
})

test('an unknown strategy and an unknown option are usage errors that name the known ones', async () => {
  const strategy = await pagewire(['predict', '--set', 'migration.strategy=warp'])
  assert.equal(strategy.code, 2)
  assert.match(strategy.stderr, /stord/)
  const option = await pagewire(['predict', '--set', 'migration.options.spilt=3'])
  assert.equal(option.code, 2)
  assert.match(option.stderr, /profile/)
})

test('schemes lists every scheme with its source and options', async () => {
  const { code, stdout } = await pagewire(['schemes', '--json'])
  assert.equal(code, 0)
  const listed = JSON.parse(stdout)
  assert.equal(listed.length, strategies.length + predictors.length)
  for (const scheme of listed) {
    assert.ok(scheme.name && scheme.number && scheme.title && scheme.source && scheme.idea)
    assert.ok(['published', 'reconstruction'].includes(scheme.origin))
    for (const option of scheme.options) assert.ok(option.unit && option.default !== '' && option.meaning)
  }
})

test('schemes NAME tells all about one scheme', async () => {
  const { code, stdout } = await pagewire(['schemes', 'stord'])
  assert.equal(code, 0)
  assert.match(stdout, /Cha, Shin & Kim/)
  assert.match(stdout, /split .*\n.*default 2/)
  assert.equal((await pagewire(['schemes', 'strod'])).code, 2)
})

test('predict --sites plans replicas and moves, and refuses what is no plan', async () => {
  const set = ['--set', 'guest.memory=4MiB', '--set', 'guest.disk.size=4MiB']
  const { code, stdout } = await pagewire(['predict', '--json', '--sites', '-', ...set], exampleSites)
  assert.equal(code, 0)
  const plan = JSON.parse(stdout)
  assert.equal(plan.schema, 'pagewire.sites/1')
  assert.equal(plan.origin, 'predicted')
  assert.ok(plan.moves.length > 0 && plan.cost.planned < plan.cost.staying)
  const text = await pagewire(['predict', '--sites', '-', ...set], exampleSites)
  assert.match(text.stdout, /our reconstruction[\s\S]*moon +too far[\s\S]*Cost/)
  const wrong = await pagewire(['predict', '--sites', '-'], 'sites: 3')
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /stdin|-: sites: is not a list/)
  assert.equal((await pagewire(['predict', '--sites', 'no.yaml', '--goal', 'total=60s'])).code, 2)
})
