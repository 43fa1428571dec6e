import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arrived, listen, migrate, migrateTo, outcomeOf, pageBytes, type Setting } from '../support/agents.js'

test('stop-and-copy: every page once, the guest suspended all the while', async () => {
  const run = await migrate({ workload: { kind: 'iid' } })
  arrived(run)
  const { record } = run.source
  assert.equal(record.pagesSent, 2048)
  assert.equal(record.payloadBytes, 2048 * pageBytes)
  assert.equal(record.messageBytes - record.payloadBytes > 2048 * 16, true)
  assert.ok(record.downtimeNs! > 0 && record.downtimeNs! <= record.totalNs)
  const split = record.downtimeSplitNs!
  assert.ok(Math.min(split.finalCopy, split.device, split.handover) >= 0)
  assert.ok(Math.abs(split.finalCopy + split.device + split.handover - record.downtimeNs!) < 1000)
})

test('pre-copy: the guest writes while its memory is sent, and what it wrote last arrives', async () => {
  const run = await migrate({
    strategy: 'pre-copy',
    pages: 8192,
    workload: { kind: 'hot', writesPerSecond: 50_000 },
  })
  arrived(run)
  assert.ok(run.source.guestWrites > 0, 'the guest wrote during the migration')
  assert.ok(run.source.record.pagesSent > 8192, 'pages were sent again')
  assert.ok(run.source.record.rounds.length >= 2)
})

for (const [name, setting] of Object.entries<Setting>({
  'zero pages': { content: { kind: 'zero' } },
  'a mix of contents': {
    content: { kind: 'mix', shares: { zero: 1, regular: 1, pointer: 1, random: 1, 'sparse-update': 1 } },
  },
  'deltas and zero flags': {
    strategy: 'xbzrle',
    content: { kind: 'sparse-update' },
    workload: { kind: 'hot' },
  },
  'compressed pages': { strategy: 'mecom', content: { kind: 'pointer' }, workload: { kind: 'hot' } },
  'pages of 2 MiB': { pageBytes: 2 ** 21, pages: 16 },
  'one page': { pages: 1 },
  'a device state of many frames and a rest': { deviceBytes: 3 * 2 ** 20 + 5 },
  'no device state': { deviceBytes: 0 },
})) {
  test(`${name} arrive as they were`, async () => {
    arrived(await migrate({ pages: 1000, ...setting }))
  })
}

test('both lanes carry pages: bulk while the guest runs, final once it is suspended', async () => {
  const run = await migrate({ strategy: 'pre-copy', pages: 4096, workload: { kind: 'hot' } })
  const { lanes } = arrived(run).destination
  const pages = run.source.lanes.map((lane) => lane.pagesWritten)
  assert.equal(pages[0]! + pages[1]!, run.source.record.pagesSent)
  assert.deepEqual(
    lanes.map((lane) => lane.name),
    ['bulk', 'final'],
  )
  assert.ok(pages[0]! >= 4096)
  assert.ok(lanes[1]!.bytesRead > 256 * 1024, 'the device state goes with the final pages')
})

test('half a gigabyte of a busy guest arrives as it was', async () => {
  const run = await migrate({
    strategy: 'pre-copy',
    pages: 131_072,
    workload: { kind: 'hot', writesPerSecond: 100_000 },
  })
  arrived(run)
})

test('ten migrations one after the other leave no socket and no timer', async () => {
  await migrate({ pages: 64 })
  const before = resources()
  for (let i = 0; i < 10; i++) arrived(await migrate({ pages: 64 }))
  await settled(before)
})

test('a byte that changes on the way fails the migration with the page, and the guest runs on at the source', async () => {
  for (const strategy of ['stop-and-copy', 'pre-copy']) {
    const { source, destination } = await migrate({
      strategy,
      workload: { kind: 'hot' },
      hooks: { flipByteOfPage: 1234 },
    })
    assert.equal(source.record.outcome, 'failed')
    assert.match(source.record.reason!, /page 1234 .*wrong bytes/)
    assert.equal(source.verified, false)
    assert.ok(destination instanceof Error && /page 1234 /.test(destination.message))
  }
})

test('the source is told which page was wrong even when the lane is full', async () => {
  const { source } = await migrate({ pages: 65_536, hooks: { flipByteOfPage: 20_000 } })
  assert.match(source.record.reason!, /page 20000 /)
})

test('the guest that was not migrated goes on writing at the source', async () => {
  const destination = await listen()
  const ended = outcomeOf(destination)
  const source = migrateTo(destination.lanes, {
    hooks: { flipByteOfPage: 0 },
    workload: { kind: 'iid', writesPerSecond: 100_000 },
  })
  assert.equal((await source.result).record.outcome, 'failed')
  assert.equal(source.progress().phase, 'running')
  await ended
})

function resources(): string {
  return process.getActiveResourcesInfo().sort().join()
}

/** What was closed a moment ago takes a turn of the event loop, or the half second that a last word may take. */
async function settled(before: string): Promise<void> {
  for (let i = 0; i < 100 && resources() !== before; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    if (resources().split(',').length <= before.split(',').length) return
  }
  assert.equal(resources(), before)
}
