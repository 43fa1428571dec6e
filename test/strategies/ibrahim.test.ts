import assert from 'node:assert/strict'
import { test } from 'node:test'
import { near, pageNs, run, type Setting } from '../support/model.js'

const pages = 8192
const live = (rounds: readonly { phase: string }[]): number =>
  rounds.filter(({ phase }) => phase === 'running').length

test('a hot set that stays is noticed within five rounds', async () => {
  const setting: Setting = { pages, ratio: 1.5, workload: { workingSetPages: 800 } }
  const { record } = await run('ibrahim', { floor: '1us' }, setting)
  // The first round dirties the set, and from then on every round does.
  assert.ok(live(record.rounds) <= 6, `${live(record.rounds)}`)
  near(record.rounds.at(-1)!.pagesSent, 800, 1, 'final set')
})

test('it stops where little more than the least so far is dirty', async () => {
  for (const ratio of [0.3, 0.8, 1.2, 2]) {
    const setting: Setting = { pages, ratio, workload: { kind: 'hot', workingSetPages: 1600 } }
    const { record } = await run('ibrahim', { floor: '100us' }, setting)
    const dirtied = record.rounds
      .filter(({ phase }) => phase === 'running')
      .map((round) => round.pagesDirtied)
    assert.ok(record.rounds.at(-1)!.pagesSent <= 1.1 * Math.min(...dirtied) + 1, `ratio ${ratio}`)
  }
})

test('a guest that writes faster than the link is given up on', async () => {
  const { record } = await run('ibrahim', {}, { pages, ratio: 1.4, workload: { kind: 'iid' } })
  assert.equal(record.outcome, 'completed')
  assert.ok(record.pagesSent < 8 * pages)
})

test('with the floor only it is pre-copy with that downtime limit', async () => {
  const setting: Setting = { pages, ratio: 0.6 }
  const threshold = 100
  const floor = `${threshold * pageNs}ns`
  const ours = await run('ibrahim', { rules: 'floor-only', floor }, setting)
  const base = await run('pre-copy', { profile: 'threshold-only', threshold_pages: threshold }, setting)
  assert.deepEqual({ ...ours.record, strategy: '' }, { ...base.record, strategy: '' })
})
