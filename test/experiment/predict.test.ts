import assert from 'node:assert/strict'
import { test } from 'node:test'
import { predict } from '../../src/experiment/predict.js'
import { parseScenario } from '../../src/experiment/scenario.js'
import { silentJournal } from '../../src/migration/journal.js'
import { strategyNamed } from '../../src/strategies/index.js'

async function setupMs(strategy: string, delay: string): Promise<number> {
  const text = `name: far\nlink: { rate: 1gbit, delay: ${delay} }\nguest: { memory: 1MiB }\nmigration: { strategy: ${strategy} }\n`
  const scenario = parseScenario(text, 'far.yaml')
  const bound = strategyNamed(strategy).create(scenario.migration.options)
  const { migration } = await predict(scenario, bound, silentJournal)
  const inRounds = migration!.rounds.reduce((sum, round) => sum + round.duration_ms, 0)
  assert.ok(Math.abs(migration!.setup_time_ms + inRounds - migration!.total_time_ms) < 0.01)
  return migration!.setup_time_ms
}

// To connect, the challenge, the claim with its verdict: three round trips for each connection, and one for the session.
test('the set-up takes the round trips of its connections', async () => {
  for (const [strategy, roundTrips] of [
    ['pre-copy', 3 * 2 + 1],
    ['post-copy', 3 * 3 + 1],
    ['shared-storage', 3 * 3 + 1],
  ] as const) {
    const more = (await setupMs(strategy, '30ms')) - (await setupMs(strategy, '10ms'))
    assert.ok(Math.abs(more - roundTrips * 2 * 20) < 0.01, `${strategy}: ${more} ms`)
  }
})
