import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrate } from '../../src/migration/engine.js'
import { type JournalEntry, silentJournal } from '../../src/migration/journal.js'
import type { Intent, Strategy, View } from '../../src/migration/strategy.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { modelSpec, pageNs, run, type Setting } from '../support/model.js'

const limits = { maxTotalNs: 3600e9 }

function strategy(decide: (view: View) => Iterator<Intent, void, View>): Strategy {
  return { info: { ...strategyNamed('stop-and-copy').info, name: 'test' }, decide }
}

const all = (view: View): Intent => ({ do: 'copy', lanes: [{ pages: view.unsent, via: 'bulk' }] })

function start(
  decide: (view: View) => Iterator<Intent, void, View>,
  setting: Setting = {},
  maxTotalNs = 3600e9,
) {
  const testbed = new ModelTestbed(modelSpec({ pages: 512, ...setting }))
  return { testbed, ended: migrate(strategy(decide), testbed, { maxTotalNs }, silentJournal) }
}

test('a strategy that ends without a handover or an abort is a broken promise', async () => {
  await assert.rejects(
    start(function* (view) {
      yield all(view)
    }).ended,
    /hands over or aborts/,
  )
})

test('pages may not be forgotten', async () => {
  await assert.rejects(
    start(function* () {
      yield { do: 'suspend' }
      yield { do: 'handover', via: 'bulk' }
    }).ended,
    /no page unsent/,
  )
})

test('a guest is suspended once, is not synced afterwards, and is handed over once, when suspended', async () => {
  const cases: readonly (readonly [RegExp, readonly Intent[]])[] = [
    [/suspended once/, [{ do: 'suspend' }, { do: 'suspend' }]],
    [/no syncDirty/, [{ do: 'suspend' }, { do: 'syncDirty' }]],
    [/needs a suspended guest/, [{ do: 'handover', via: 'bulk' }]],
    [/happens once/, [{ do: 'suspend' }, { do: 'handover', via: 'bulk' }, { do: 'handover', via: 'bulk' }]],
  ]
  for (const [message, intents] of cases) {
    const { ended } = start(function* (view) {
      yield all(view)
      yield* intents
    })
    await assert.rejects(ended, message)
  }
})

test('a copy is cut short when asked, and what it sent stays sent', async () => {
  let sent = 0
  const { ended } = start(
    function* (view) {
      view = yield { do: 'copy', lanes: [{ pages: view.unsent, via: 'bulk' }], atMostNs: 100 * pageNs }
      sent = view.lastCopy.sentPages
      view = yield { do: 'suspend' }
      yield all(view)
      yield { do: 'handover', via: 'bulk' }
    },
    { ratio: 0 },
  )
  const record = await ended
  assert.equal(sent, 100)
  assert.equal(record.pagesSent, 512)
})

test('after max_total_time the migration is aborted and the guest runs on at the source', async () => {
  const { ended, testbed } = start(
    function* (view) {
      for (;;) {
        yield all(view)
        view = yield { do: 'syncDirty' }
      }
    },
    { ratio: 2 },
    1000 * pageNs,
  )
  const record = await ended
  assert.equal(record.outcome, 'aborted')
  assert.match(record.reason ?? '', /max_total_time/)
  assert.ok(testbed.guest.running)
  assert.equal(record.totalNs, 1000 * pageNs)
  assert.equal(record.downtimeNs, undefined)
})

test('a strategy that suspended the guest may still run out of time: the guest runs again', async () => {
  const { ended, testbed } = start(
    function* () {
      let view = yield { do: 'suspend' } as const
      view = yield { do: 'wait', forNs: 2000 * pageNs }
      yield all(view)
    },
    {},
    1000 * pageNs,
  )
  assert.equal((await ended).outcome, 'aborted')
  assert.ok(testbed.guest.running)
})

test('a strategy may give up itself, with its reason', async () => {
  const { ended } = start(function* () {
    yield { do: 'abort', reason: 'no point' }
  })
  const record = await ended
  assert.deepEqual([record.outcome, record.reason], ['aborted', 'no point'])
})

test('somebody who asks to stop gets a cancelled migration', async () => {
  const testbed = new ModelTestbed(modelSpec({}))
  const patient = strategy(function* (view) {
    testbed.cancelled = true
    yield all(view)
  })
  assert.equal((await migrate(patient, testbed, limits, silentJournal)).outcome, 'cancelled')
})

test('a strategy may keep an old view: it does not change under its hands', async () => {
  let first: View | undefined
  const { ended } = start(function* (view) {
    first = view
    yield all(view)
    view = yield { do: 'suspend' }
    yield all(view)
    yield { do: 'handover', via: 'bulk' }
  })
  await ended
  assert.equal(first?.unsent.count, 512)
})

test('the same seed gives the same journal', async () => {
  const journals: JournalEntry[][] = [[], []]
  for (const journal of journals) {
    const testbed = new ModelTestbed(
      modelSpec({ ratio: 0.9, workload: { kind: 'hot', workingSetPages: 400 } }),
    )
    const record = (entry: JournalEntry): unknown => journal.push(entry)
    await migrate(strategyNamed('pre-copy').create({}), testbed, limits, { record })
  }
  assert.ok(journals[0]!.length > 5)
  assert.deepEqual(journals[0], journals[1])
})

test('rounds add up to the total time, and downtime is part of it', async () => {
  const { record } = await run('pre-copy', {}, { ratio: 0.9, deviceBytes: 65536 })
  assert.equal(
    record.rounds.reduce((sum, round) => sum + round.durationNs, 0),
    record.totalNs,
  )
  assert.ok(record.downtimeNs! <= record.totalNs)
  assert.equal(
    record.rounds.reduce((sum, round) => sum + round.pagesSent, 0),
    record.pagesSent,
  )
  const split = record.downtimeSplitNs!
  assert.equal(split.finalCopy + split.device + split.handover, record.downtimeNs)
})
