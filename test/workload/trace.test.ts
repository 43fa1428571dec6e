import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TraceReader, traceFrames } from '../../src/agent/trace-frames.js'
import { traceSummary } from '../../src/experiment/trace-summary.js'
import { PagewireError } from '../../src/support/errors.js'
import { headerBytes } from '../../src/wire/frame.js'
import { Guest, type GuestSpec, recordedTrace } from '../../src/workload/guest.js'
import { formatTrace, parseTrace, type Trace } from '../../src/workload/trace.js'

const second = 1e9
const totalPages = 512

function guest(workload: Partial<GuestSpec['workload']>): GuestSpec {
  return {
    totalPages,
    pageBytes: 4096,
    seed: 9,
    workload: { kind: 'hot', writesPerSecond: 1000, workingSetPages: 40, hotShare: 0.9, ...workload },
  }
}

function traced(trace: Trace): GuestSpec {
  return guest({ kind: 'trace', trace })
}

test('each write happens at its own time, and the trace starts over at its end', () => {
  const trace = parseTrace('# two pages\n0 7\n0.25 8 # later\n\n1 7\n', 'writes.txt', 16)
  assert.deepEqual(trace, { timesNs: [0, 0.25e9, 1e9], pages: [7, 8, 7] })
  const replayed = new Guest(traced(trace), 0)
  const seen: number[] = []
  for (const now of [0, 0.2, 0.25, 0.99, 1.1, 1.3]) {
    replayed.advance(now * second)
    seen.push(replayed.memory.writes)
  }
  assert.deepEqual(seen, [1, 1, 2, 2, 4, 5])
  assert.equal(replayed.memory.versions.of(7), 3)
})

test('a recorded guest and its replay write the same at the same time', () => {
  for (const kind of ['cycle', 'hot', 'iid', 'phase', 'scan'] as const) {
    const spec = guest({ kind, periodNs: 0.3 * second })
    const text = formatTrace(recordedTrace(spec, 2 * second), 'a test')
    const first = new Guest(spec, 0)
    const second_ = new Guest(traced(parseTrace(text, 'recorded', totalPages)), 0)
    for (const now of [0.1, 0.77, 1.5, 2]) {
      first.advance(now * second)
      // A recorded time is whole nanoseconds.
      second_.advance(now * second + 1)
      assert.deepEqual(second_.memory.versions.list(), first.memory.versions.list(), `${kind} at ${now} s`)
    }
  }
})

test('a replayed guest goes on elsewhere, and waits where it is held', () => {
  const spec = traced(recordedTrace(guest({}), second))
  const here = new Guest(spec, 0)
  here.suspend(2.5 * second)
  const there = new Guest(spec, 0)
  there.catchUp(here.position)
  assert.deepEqual(there.memory.versions.list(), here.memory.versions.list())
  there.setGate(0, () => true)
  there.resume(0)
  there.advance(0.5 * second)
  assert.ok(there.blocked !== undefined && there.stallNs > 0.45 * second)
})

test('what is no trace is refused with its line', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['0 1\n0.5 x\n', /writes.txt:2: '0.5 x' is not a time and a page/],
    ['1 1\n0.5 2\n', /writes.txt:2: time 0.5 is before the line above/],
    ['0.1 1\n# so far\n0.2 512\n', /writes.txt:3: page 512 is outside a guest of 512 pages/],
    ['-1 3\n', /writes.txt:1/],
    ['0 3\n', /no write after time 0/],
    ['', /no write after time 0/],
  ]
  for (const [text, message] of cases) {
    assert.throws(
      () => parseTrace(text, 'writes.txt', totalPages),
      (error) => error instanceof PagewireError && error.exit === 2 && message.test(error.message),
      text,
    )
  }
})

test('a trace reaches the destination in pieces; what cannot be one is refused', () => {
  const trace = recordedTrace(guest({ writesPerSecond: 20_000 }), second)
  const reader = new TraceReader()
  let pieces = 0
  for (const bytes of traceFrames(trace)) {
    reader.take(bytes.readUInt32BE(8), bytes.subarray(headerBytes))
    pieces++
  }
  assert.equal(pieces, 4)
  assert.deepEqual(reader.trace(totalPages), trace)
  assert.throws(() => reader.trace(16), /writes page/)
  assert.throws(() => reader.take(7, Buffer.alloc(12)), /piece of a trace/)
  assert.throws(() => new TraceReader().take(0, Buffer.alloc(13)), /piece of a trace/)
  assert.throws(() => new TraceReader().trace(16), /none came/)
  const backwards = Buffer.alloc(24)
  backwards.writeDoubleBE(5, 0)
  assert.throws(() => new TraceReader().take(0, backwards), /out of order/)
})

test('a summary says how much is written, where, and how soon again', () => {
  const loop = Array.from({ length: 1000 }, (_, i) => `${((i + 1) / 1000).toFixed(3)} ${i % 10}`)
  const summary = traceSummary(parseTrace(loop.join('\n'), 'loop', 10))
  assert.equal(summary.writes, 1000)
  assert.equal(summary.duration_s, 1)
  assert.equal(summary.writes_per_s, 1000)
  assert.equal(summary.working_set_pages, 10)
  assert.equal(summary.reuse.first_writes, 10)
  assert.equal(summary.reuse.distance_median, 9, 'nine others in between')
  assert.deepEqual(
    summary.reuse.histogram.filter(({ writes }) => writes > 0),
    [{ below: 16, writes: 990 }],
  )
  assert.ok(summary.over_time.every(({ dirty_pages }) => dirty_pages === 10))
  assert.equal(
    summary.over_time.reduce((sum, { writes }) => sum + writes, 0),
    1000,
  )
  assert.equal(summary.over_time[0]!.new_pages, 10)
})
