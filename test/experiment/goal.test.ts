import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Plan, parseGoal, searchPlan } from '../../src/experiment/goal.js'
import { parseScenario, type Scenario } from '../../src/experiment/scenario.js'
import { strategies } from '../../src/strategies/index.js'

const traffic = '[{ kind: udp-cbr, rate: 60mbit }, { kind: tcp-bulk, flows: 2 }]'

function scenario(crossTraffic: string, workload: string): Scenario {
  return parseScenario(
    `link: { rate: 100mbit }
guest: { memory: 4MiB, device_state: 64KiB, workload: ${workload} }
migration: { marking: { bulk: CS7 }, max_total_time: 30s }
cross_traffic: ${crossTraffic}
`,
    'test',
  )
}

const hot = '{ kind: hot, dirty_ratio: 0.5 }'

function plan(of: Scenario, goal: readonly string[]): Promise<Plan> {
  return searchPlan(of, strategies, parseGoal(goal), 50, () => {})
}

test('what is proposed reaches the goal, the quickest first, and none is worse than another in everything', async () => {
  const { best, reached, searched } = await plan(scenario('[]', hot), ['downtime=30ms'])
  assert.ok(reached && searched > strategies.length)
  for (const one of best) {
    assert.ok(one.meets_goal && one.outcome === 'completed')
    assert.ok(one.downtime_ms !== null && one.downtime_ms <= 30, `${one.strategy}: ${one.downtime_ms}`)
  }
  const times = best.map((one) => one.total_time_ms + one.guest_stall_ms)
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
  const costs = best.map((one) => [one.total_time_ms, one.downtime_ms!, one.wire_bytes, one.guest_stall_ms])
  for (const a of costs) {
    for (const b of costs) {
      if (a !== b)
        assert.ok(
          a.some((cost, i) => cost < b[i]!),
          `${a} is nowhere better than ${b}`,
        )
    }
  }
})

test('both bounds hold at once; a goal for the time ranks by what the guest loses', async () => {
  const { best, goal } = await plan(scenario('[]', hot), ['total=2s', 'downtime=100ms'])
  assert.deepEqual(goal, { downtime_ms: 100, total_time_ms: 2000 })
  const lost = best.map((one) => one.downtime_ms! + one.guest_stall_ms)
  assert.ok(best.length > 0 && best.every((one) => one.total_time_ms <= 2000 && one.downtime_ms! <= 100))
  assert.deepEqual(
    lost,
    lost.toSorted((a, b) => a - b),
  )
})

test('a goal out of reach says so, and shows the nearest', async () => {
  const { best, reached } = await plan(scenario('[]', hot), ['total=100ms'])
  assert.equal(reached, false)
  assert.ok(best.length > 0 && best.every((one) => !one.meets_goal))
  const nearest = Math.min(...best.map((one) => one.total_time_ms))
  assert.equal(best[0]!.total_time_ms, nearest)
})

test('under contention the price of the marks to the others is part of the trade-off', async () => {
  const { best } = await plan(scenario(traffic, '{ kind: idle }'), ['total=25s'])
  const marked = best.filter(({ marking }) => marking === 'as given')
  const unmarked = best.filter(({ marking }) => marking === 'none')
  assert.ok(marked.length > 0 && unmarked.length > 0, 'both are worth a thought')
  const quickest = marked.reduce((a, b) => (a.total_time_ms <= b.total_time_ms ? a : b))
  assert.ok(quickest.others_loss_ratio! > 0.9, `${quickest.others_loss_ratio}`)
  for (const one of unmarked) assert.ok(one.others_loss_ratio! < 0.3, `${one.others_loss_ratio}`)
})

test('a goal that is none is refused', () => {
  for (const text of ['downtime', 'speed=1s', 'downtime=fast']) assert.throws(() => parseGoal([text]), text)
  assert.throws(() => parseGoal(['total=1s', 'total=2s']))
})
