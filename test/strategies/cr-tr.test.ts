import assert from 'node:assert/strict'
import { test } from 'node:test'
import { framedLink } from '../../src/model/link.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { Guest } from '../../src/workload/guest.js'
import type { InputEvent } from '../../src/workload/inputs.js'
import { modelSpec, near, pageBytes, pageNs, run, type Setting, watched } from '../support/model.js'
import { testSeeds } from '../support/seeds.js'

const pages = 1024
const memoryNs = pages * pageNs
/** On a guest that is sent in a millisecond: `perMemory` inputs while it is sent once. */
const inputs = (perMemory: number, bytes = 64) => ({ perSecond: (perMemory * 1e9) / memoryNs, bytes })
const quick = { log_threshold: '2KiB', lag_threshold: '100us', chase_patience: '2ms' }
const recordBytes = (bytes: number): number => 12 + bytes

testSeeds(
  'the destination executes the guest again and holds its memory, whatever it writes',
  60,
  async (seed) => {
    const kinds = ['cycle', 'hot', 'iid', 'phase', 'scan', 'nested', 'idle'] as const
    const kind = kinds[seed % kinds.length]!
    const setting: Setting = {
      pages,
      seed,
      inputs: inputs([0, 3, 200, 2000][seed % 4]!),
      ratio: kind === 'idle' ? 0 : [0.3, 2, 9][seed % 3]!,
      workload: { kind, workingSetPages: 128, periodNs: 300 * pageNs },
      readsPerWrite: seed % 2,
    }
    // `run` compares the memories.
    const { record } = await run('cr-tr', quick, setting)
    assert.equal(record.outcome, 'completed')
    assert.equal(record.pagesSent, pages, 'no page goes twice')
  },
)

/** A guest that runs for a while with inputs, and one that is to do the same again. */
function twins(seed: number): {
  readonly first: Guest
  readonly events: readonly InputEvent[]
  readonly again: Guest
} {
  const setting: Setting = { pages, seed, ratio: 0.7, workload: { kind: 'hot', workingSetPages: 64 } }
  const spec = modelSpec({ ...setting, inputs: inputs(300) }).guest
  const first = new Guest(spec, 0)
  const begun = first.logInputs(memoryNs / 3)
  const again = new Guest(modelSpec(setting).guest, 0)
  again.restore(begun, first.memory.versions.list())
  return { first, events: first.takeInputLog(2 * memoryNs), again }
}

testSeeds(
  'without one record of the log, or with two in the wrong order, the memory is another one',
  30,
  (seed) => {
    const whole = twins(seed)
    whole.again.replay(whole.events, whole.first.position)
    assert.deepEqual(whole.again.memory.versions.list(), whole.first.memory.versions.list())

    const lacking = twins(seed)
    const lost = seed % lacking.events.length
    lacking.again.replay(lacking.events.toSpliced(lost, 1), lacking.first.position)
    assert.notDeepEqual(lacking.again.memory.versions.list(), lacking.first.memory.versions.list())
  },
)

test('what is sent after the checkpoint depends on the inputs, not on how much the guest writes', async () => {
  const sync = async (ratio: number, perMemory: number): Promise<number> => {
    const setting: Setting = { pages, ratio, inputs: inputs(perMemory), workload: { kind: 'iid' } }
    return (await run('cr-tr', quick, setting)).record.logBytes!
  }
  const calm = await sync(0.1, 500)
  for (const ratio of [1, 5, 20]) assert.equal(await sync(ratio, 500), calm)
  assert.ok((await sync(1, 1000)) > 1.8 * calm)
})

test('a guest without inputs needs one empty log before it is suspended', async () => {
  let live = 0
  const strategy = watched(strategyNamed('cr-tr').create({ replay_speed: 0 }), (view, next) => {
    if (next?.do === 'shipLog' && view.phase === 'running') live++
  })
  const { record } = await run(strategy, {}, { pages, ratio: 3, workload: { kind: 'iid' } })
  assert.equal(live, 1)
  assert.equal(record.logBytes, 0, 'but for framing, which the logical clock does not count')
  assert.equal(record.downtimeNs, 0)
})

test('each log leaves x of itself behind: log_n = V x^n', async () => {
  const x = 0.25
  const perMemory = (x * pages * pageBytes) / recordBytes(500)
  const setting: Setting = { pages, ratio: 1, inputs: inputs(perMemory, 500), workload: { kind: 'iid' } }
  const { record } = await run('cr-tr', { log_threshold: '16KiB', replay_speed: 0 }, setting)
  const logs = record.rounds.map(({ bytesSent }) => bytesSent).slice(1, 4)
  const first = record.rounds[0]!.bytesSent - pages * pageBytes
  for (const [n, bytes] of [first, ...logs].entries()) {
    const expected = pages * pageBytes * x ** (n + 1)
    near(bytes / expected, 1, 0.25, `log ${n + 1}`)
  }
})

test('a log that grows as fast as it is sent is reported, with x, and ends the migration', async () => {
  const perMemory = (1.3 * pages * pageBytes) / recordBytes(500)
  const setting: Setting = { pages, ratio: 1, inputs: inputs(perMemory, 500), workload: { kind: 'iid' } }
  const { record, testbed } = await run('cr-tr', { log_threshold: '16KiB' }, setting)
  assert.equal(record.outcome, 'aborted')
  assert.match(record.reason ?? '', /the log grows as fast as it is sent \(x = 1\.\d+/)
  assert.ok(testbed.guest.running)
})

test('a destination that executes no faster than the guest is reported, and ends the migration', async () => {
  const setting: Setting = { pages, ratio: 1, inputs: inputs(50), workload: { kind: 'iid' } }
  for (const replay_speed of [0.5, 1]) {
    const { record } = await run('cr-tr', { ...quick, replay_speed }, setting)
    assert.equal(record.outcome, 'aborted')
    assert.match(record.reason ?? '', /does not catch up/)
  }
  const { record } = await run('cr-tr', { ...quick, replay_speed: 1.2 }, setting)
  assert.equal(record.outcome, 'completed')
})

test('the chase takes backlog / (speed - 1), and the downtime what the lag leaves', async () => {
  const link = framedLink(100e6, 1500)
  const setting: Setting = { pages, link, inputs: { perSecond: 500, bytes: 64 } }
  const time = async (replay_speed: number): Promise<number> => {
    const workload = { kind: 'iid', writesPerSecond: 5000 } as const
    const { record } = await run('cr-tr', { replay_speed }, { ...setting, workload })
    assert.ok(record.downtimeNs! < 60e6 / replay_speed + 5e6, `${record.downtimeNs}`)
    return record.totalNs
  }
  const copyNs = await time(0)
  for (const speed of [2, 3, 5]) {
    // Up to the lag that is allowed, 50 ms.
    const chaseNs = (copyNs - 50e6) / (speed - 1)
    near((await time(speed)) / (copyNs + chaseNs), 1, 0.1, `speed ${speed}`)
  }
})
