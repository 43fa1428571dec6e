/** A log that cannot be is refused before anything of it is executed. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ReplayedGuest } from '../../src/agent/replayed-guest.js'
import { encodePosition, encodeRecords } from '../../src/wire/event-log.js'
import { Guest } from '../../src/workload/guest.js'

const spec = {
  totalPages: 64,
  pageBytes: 4096,
  seed: 3,
  workload: { kind: 'iid', writesPerSecond: 1000, workingSetPages: 64, hotShare: 0 },
} as const

const position = (accesses: number): Buffer => encodePosition({ guestNs: accesses * 1e6, accesses })
const record = (accesses: number): Buffer =>
  encodeRecords([{ accesses, payload: Uint8Array.of(accesses & 255) }])

/** A guest at access 100, executed as fast as it goes. */
function replayed(t: TestContext, said: boolean[] = []): ReplayedGuest {
  const checkpoint = Buffer.concat([position(100), Buffer.alloc(8)])
  const guest = new ReplayedGuest(new Guest(spec, 0), checkpoint, new Uint32Array(64), (done) =>
    said.push(done),
  )
  t.after(() => guest.stop())
  return guest
}

test('it executes up to the mark, takes its inputs on the way, and says when it is done', (t) => {
  const said: boolean[] = []
  const one = replayed(t, said)
  one.log(0, record(150))
  one.mark(1, false, position(200))
  one.mark(1, true, position(230))
  assert.deepEqual(said, [false, true])
  const writes = one.versions.list().reduce((sum, version) => sum + version, 0)
  assert.equal(writes, 130 + 2)
})

test('a checkpoint that is malformed is refused', () => {
  const versions = new Uint32Array(64)
  const bad = (payload: Buffer) => () => new ReplayedGuest(new Guest(spec, 0), payload, versions, () => {})
  assert.throws(bad(position(100)), /malformed checkpoint/)
  const backwards = Buffer.alloc(8)
  backwards.writeDoubleBE(-1)
  assert.throws(bad(Buffer.concat([position(100), backwards])), /so fast/)
})

test('records are numbered without a gap, and lie between the marks', (t) => {
  assert.throws(() => replayed(t).log(1, record(150)), /log record 1 came after 0/)
  assert.throws(() => replayed(t).mark(1, false, position(200)), /log record 1 came after 0/)
  assert.throws(() => replayed(t).log(0, record(99)), /goes back before its last mark/)
  const early = replayed(t)
  early.log(0, record(150))
  assert.throws(() => early.mark(1, false, position(140)), /behind its mark/)
})

test('marks go forwards, and the last is the last', (t) => {
  assert.throws(() => replayed(t).mark(0, false, position(50)), /does not go back/)
  const ended = replayed(t)
  ended.mark(0, true, position(120))
  assert.throws(() => ended.mark(0, false, position(130)), /ends once/)
})
