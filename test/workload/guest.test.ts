import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageSet } from '../../src/memory/page-set.js'
import { random } from '../../src/support/random.js'
import { Guest, type GuestSpec } from '../../src/workload/guest.js'
import type { WorkloadKind, WorkloadSpec } from '../../src/workload/workload.js'
import { testSeeds } from '../support/seeds.js'

const totalPages = 1000
const second = 1e9

function workload(kind: WorkloadKind, given: Partial<WorkloadSpec> = {}): WorkloadSpec {
  return {
    kind,
    writesPerSecond: 500,
    workingSetPages: totalPages,
    hotShare: 0.9,
    periodNs: second,
    ...given,
  }
}

function guest(spec: WorkloadSpec, given: Partial<GuestSpec> = {}): Guest {
  return new Guest({ totalPages, pageBytes: 4096, workload: spec, seed: 1, ...given }, 0)
}

const kinds: readonly WorkloadKind[] = ['cycle', 'iid', 'hot', 'nested', 'phase', 'scan']

for (const kind of kinds) {
  testSeeds(`${kind}: how often somebody looks does not change what is written when`, 10, (seed) => {
    const numbers = random(seed, 99)
    const once = guest(workload(kind), { seed })
    const often = guest(workload(kind), { seed })
    let now = 0
    while (now < 3 * second) {
      now += 1 + numbers.below(50_000_000)
      often.advance(now)
    }
    once.advance(now)
    assert.deepEqual(often.memory.versions.list(), once.memory.versions.list())
    assert.equal(often.memory.writes, Math.floor((now / second) * 500))
  })

  test(`${kind}: another seed writes other pages unless the order is fixed`, () => {
    const a = guest(workload(kind), { seed: 1 })
    const b = guest(workload(kind), { seed: 2 })
    a.advance(second)
    b.advance(second)
    assert.equal(
      Buffer.compare(Buffer.from(a.memory.versions.list()), Buffer.from(b.memory.versions.list())) === 0,
      kind === 'scan',
    )
  })
}

test('an idle guest writes nothing', () => {
  const idle = guest(workload('idle'))
  idle.advance(100 * second)
  assert.equal(idle.memory.writes, 0)
})

test('cycle dirties exactly linearly until its set is exhausted', () => {
  const one = guest(workload('cycle', { workingSetPages: 300 }))
  one.advance(0.5 * second)
  assert.equal(one.memory.dirty.count, 250)
  one.advance(10 * second)
  assert.equal(one.memory.dirty.count, 300)
})

test('iid dirties N (1 - exp(-w t / N)) distinct pages', () => {
  const one = guest(workload('iid', { writesPerSecond: 1000 }))
  one.advance(second)
  const expected = totalPages * (1 - Math.exp(-1))
  assert.ok(Math.abs(one.memory.dirty.count - expected) < 50, `${one.memory.dirty.count} of ${expected}`)
})

test('hot sends its share of the writes to the working set, in runs of neighbours', () => {
  const one = guest(workload('hot', { writesPerSecond: 100_000, workingSetPages: 96 }))
  one.advance(second)
  const hot = [...one.memory.versions.list()].flatMap((version, page) => (version > 400 ? [page] : []))
  assert.equal(hot.length, 96)
  const neighbours = hot.filter((page, i) => hot[i + 1] === page + 1).length
  assert.ok(neighbours >= 96 - 8, `${neighbours} neighbours`)
  const inSet = hot.reduce((sum, page) => sum + one.memory.versions.of(page), 0)
  assert.ok(Math.abs(inSet / 100_000 - 0.91) < 0.02, `${inSet}`)
})

test('phase moves its working set at the end of every period of guest time', () => {
  const one = guest(workload('phase', { writesPerSecond: 10_000, workingSetPages: 50, hotShare: 1 }))
  const sets: string[] = []
  for (const until of [1, 2, 3]) {
    one.advance(until * second)
    const dirty = new PageSet(totalPages)
    one.memory.cleanDirty(dirty)
    assert.equal(dirty.count, 50)
    sets.push(dirty.words.join())
  }
  assert.equal(new Set(sets).size, 3)
})

test('nested stays inside the memory that a scheme declares', () => {
  const one = guest(workload('nested'))
  one.advance(second)
  const outstanding = PageSet.of(totalPages, [3, 500, 999])
  one.memory.cleanDirty(new PageSet(totalPages))
  one.declareOutstanding(second, outstanding)
  one.advance(3 * second)
  assert.deepEqual(one.memory.dirty.words, outstanding.words)
})

test('throttling slows the guest and counts what it lost; suspending stops it', () => {
  const one = guest(workload('cycle'))
  one.throttle(second, 0.75)
  one.advance(5 * second)
  assert.equal(one.memory.writes, 1000)
  assert.equal(one.stallNs, 3 * second)
  one.suspend(5 * second)
  one.advance(9 * second)
  one.resume(9 * second)
  one.advance(11 * second)
  assert.equal(one.memory.writes, 1250)
  assert.equal(one.stallNs, 4.5 * second)
})

test('an access that has to wait stops guest time at its moment, and happens when it is released', () => {
  const one = guest(workload('scan', { writesPerSecond: 100 }))
  one.setGate(0, (page) => page === 2)
  one.advance(second)
  assert.deepEqual(one.blocked, { page: 2, sinceNs: 0.03 * second })
  assert.equal(one.memory.writes, 2)
  one.release(1.5 * second)
  assert.equal(one.blocked, undefined)
  assert.equal(one.memory.versions.of(2), 1)
  one.advance(2 * second)
  assert.equal(one.memory.writes, 53)
  assert.equal(Math.round(one.stallNs), 1.47 * second)
})

test('reads pass the gate but write nothing', () => {
  const seen: boolean[] = []
  const one = guest(workload('scan', { writesPerSecond: 100 }), { readsPerWrite: 3 })
  one.setGate(0, (_page, isWrite) => {
    seen.push(isWrite)
    return false
  })
  one.advance(second)
  assert.equal(seen.length, 400)
  assert.equal(one.memory.writes, 100)
  assert.deepEqual(seen.slice(0, 8), [false, false, false, true, false, false, false, true])
})

test('time does not go back', () => {
  const one = guest(workload('cycle'))
  one.advance(10)
  assert.throws(() => one.advance(9), /does not go back/)
})

test('a guest that may do so much at a look falls behind, and catches up when it is looked at', () => {
  const workload = { kind: 'iid', writesPerSecond: 1000, workingSetPages: 64, hotShare: 0 } as const
  const spec = { totalPages: 64, pageBytes: 4096, seed: 1, workload }
  const guest = new Guest({ ...spec, accessesPerLook: 100 }, 0)
  guest.advance(1e9)
  assert.equal(guest.memory.writes, 100)
  for (let i = 0; i < 9; i++) guest.advance(1e9)
  assert.equal(guest.memory.writes, 1000)
})

for (const kind of kinds) {
  test(`${kind}: a guest goes on elsewhere from where it was suspended`, () => {
    const spec: GuestSpec = {
      totalPages,
      pageBytes: 4096,
      seed: 3,
      workload: workload(kind),
      readsPerWrite: 0.5,
    }
    const here = new Guest(spec, 0)
    here.throttle(0.5 * second, 0.3)
    here.suspend(2.3 * second)
    const there = new Guest(spec, 77)
    there.catchUp(here.position)
    assert.deepEqual(there.memory.versions.list(), here.memory.versions.list())
    there.resume(77)
    here.throttle(2.3 * second, 0)
    here.resume(2.3 * second)
    there.advance(77 + 3 * second)
    here.advance(5.3 * second)
    assert.deepEqual(there.memory.versions.list(), here.memory.versions.list())
  })
}
