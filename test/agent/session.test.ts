import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeSession, encodeSession, type Session, sessionGuest } from '../../src/agent/session.js'
import { TraceReader } from '../../src/agent/trace-frames.js'

const session: Session = {
  totalPages: 1024,
  pageBytes: 4096,
  deviceBytes: 1000,
  seed: 5,
  content: { kind: 'mix', shares: { zero: 1, random: 2 } },
  lanes: ['bulk', 'final', 'faults'],
  workload: {
    readsPerWrite: 2,
    freePages: 3,
    spec: { kind: 'phase', writesPerSecond: 100, workingSetPages: 10, hotShare: 0.5, periodNs: 1e9 },
  },
}

test('a session arrives as it was described, the guest with it', () => {
  const { content, ...rest } = decodeSession(encodeSession(session))
  const { content: _sent, ...sent } = session
  assert.deepEqual(rest, sent)
  assert.equal(content.shares?.zero, 1)
  assert.deepEqual(sessionGuest(session, new TraceReader()), {
    totalPages: 1024,
    pageBytes: 4096,
    seed: 5,
    readsPerWrite: 2,
    freePages: 3,
    workload: session.workload?.spec,
  })
})

test('a description that cannot be is refused, with its field', () => {
  const cases: readonly (readonly [RegExp, Record<string, unknown>])[] = [
    [/totalPages/, { totalPages: 0 }],
    [/pageBytes/, { pageBytes: 3 }],
    [/content/, { content: { kind: 'warp' } }],
    [/mix of nothing/, { content: { kind: 'mix', shares: {} } }],
    [/shares.zero/, { content: { kind: 'mix', shares: { zero: -1 } } }],
    [/kind/, { workload: { readsPerWrite: 0, spec: { kind: 'warp' } } }],
    [/readsPerWrite/, { workload: { readsPerWrite: 'x', spec: session.workload?.spec } }],
    [
      /writesPerSecond/,
      {
        workload: {
          freePages: 0,
          readsPerWrite: 0,
          spec: { ...session.workload?.spec, writesPerSecond: -1 },
        },
      },
    ],
    [/workload/, { workload: 7 }],
    [/lanes/, { lanes: [] }],
  ]
  for (const [message, change] of cases) {
    assert.throws(() => decodeSession(Buffer.from(JSON.stringify({ ...session, ...change }))), message)
  }
  assert.throws(() => decodeSession(Buffer.from('{')), /not JSON/)
})
