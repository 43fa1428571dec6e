import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageSet } from '../../src/memory/page-set.js'
import type { Intent, Strategy, View } from '../../src/migration/strategy.js'
import { stordForm } from '../../src/model/closed-forms.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { pieces } from '../../src/strategies/stord.js'
import { near, run } from '../support/model.js'

const ratios = [0.2, 0.5, 0.9]

test('the model meets the closed form for every split and ratio of the paper', async () => {
  for (let split = 1; split <= 10; split++) {
    for (const ratio of ratios) {
      const { totalShare } = await run(
        'stord',
        { split, threshold_pages: 5, max_volume: 20 },
        { pages: 65536, ratio, workload: { kind: 'nested' } },
      )
      const { total } = stordForm(split, ratio)
      near(totalShare / total, 1, 0.015, `k=${split}, R=${ratio}`)
    }
  }
})

test('two pieces of a small guest: 1.180, 1.636 and 3.525 times its memory, and a little chance', async () => {
  for (const [ratio, total] of [
    [0.2, 1.18],
    [0.5, 1.636],
    [0.9, 3.525],
  ] as const) {
    const shares: number[] = []
    for (let seed = 0; seed < 12; seed++) {
      const { totalShare } = await run(
        'stord',
        { split: 2, threshold_pages: 5 },
        { pages: 4096, ratio, seed, workload: { kind: 'nested' } },
      )
      near(totalShare / total, 1, 0.04, `R=${ratio}, seed ${seed}`)
      shares.push(totalShare)
    }
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
    near(mean / total, 1, 0.01, `R=${ratio}, mean`)
  }
})

for (const kind of ['nested', 'cycle'] as const) {
  test(`the first pass sends s N pages and leaves R' N, with writer ${kind}`, async () => {
    for (const split of [2, 5, 10]) {
      for (const ratio of ratios) {
        const { record } = await run('stord', { split }, { pages: 4096, ratio, workload: { kind } })
        const form = stordForm(split, ratio)
        const pass = record.rounds.slice(0, split)
        const sent = pass.reduce((sum, round) => sum + round.pagesSent, 0)
        near(sent / 4096, form.sent, 0.02, `sent, k=${split}, R=${ratio}`)
        // Nothing waits after the last piece, so that all that is dirty is the next memory.
        near(pass.at(-1)!.pagesDirtied / 4096, form.residue, 0.02, `residue, k=${split}, R=${ratio}`)
      }
    }
  })
}

test('in the first pass, a page that was dirtied while it waited is sent once', async () => {
  // The writer stays in the upper half, which is the second piece, and stops when that begins.
  const { record } = await run(
    'stord',
    { split: 2 },
    { ratio: 0.4, workload: { kind: 'hot', hotShare: 1, workingSetPages: 1 } },
  )
  assert.equal(record.rounds[0]!.pagesSent, 2048)
  assert.ok(record.pagesSent <= 4096 + 2)
})

test('one piece sends what threshold-only pre-copy sends, round for round', async () => {
  for (const kind of ['cycle', 'hot', 'iid'] as const) {
    const setting = { ratio: 0.7, workload: { kind, workingSetPages: 2000 } }
    const stord = await run('stord', { split: 1 }, setting)
    const preCopy = await run('pre-copy', { profile: 'threshold-only' }, setting)
    assert.deepEqual({ ...stord.record, strategy: '' }, { ...preCopy.record, strategy: '' }, kind)
  }
})

test('a silent guest is sent once, in k steps', async () => {
  const { record } = await run('stord', { split: 4 }, { ratio: 0 })
  assert.equal(record.pagesSent, 4096)
  assert.equal(record.rounds.filter((round) => round.phase === 'running').length, 4)
})

test('a guest that writes faster than the link does not keep it going for ever', async () => {
  const { totalShare } = await run('stord', { split: 3, max_volume: 4 }, { ratio: 1.5 })
  assert.ok(totalShare > 4 && totalShare < 6, `${totalShare}`)
})

/** The scheme with the paper's PM taken as printed: what was sent in the last step only. */
function asPrinted(split: number, everything: boolean): Strategy {
  function* decide(view: View): Generator<Intent, void, View> {
    const waiting = view.unsent.clone()
    let owed = new PageSet(view.totalPages)
    for (const piece of pieces(view.unsent, split)) {
      waiting.deleteAll(piece)
      const send = piece.clone()
      send.addAll(owed)
      yield { do: 'copy', lanes: [{ pages: send, via: 'bulk' }] }
      const before = view.unsent.clone()
      before.deleteAll(send)
      view = yield { do: 'syncDirty' }
      owed = view.unsent.clone()
      owed.deleteAll(waiting)
      if (!everything) owed.retainAll(send)
    }
    const known = view.unsent.clone()
    known.retainAll(owed)
    const lost = view.unsent.clone()
    lost.deleteAll(known)
    view = yield { do: 'suspend' }
    const last = view.unsent.clone()
    last.deleteAll(lost)
    yield { do: 'copy', lanes: [{ pages: last, via: 'final' }] }
    yield { do: 'handover', via: 'final' }
  }
  return { info: strategyNamed('stord').info, decide }
}

test('remembering only the last step would lose updates; remembering all steps does not', async () => {
  const setting = { ratio: 0.5, workload: { kind: 'iid' } } as const
  await assert.rejects(run(asPrinted(4, false), {}, setting), /leaves no page unsent/)
  const { record } = await run(asPrinted(4, true), {}, setting)
  assert.equal(record.outcome, 'completed')
})

test('pieces are contiguous, disjoint and differ by a page at most', () => {
  const pages = PageSet.of(
    1000,
    Array.from({ length: 103 }, (_, i) => i * 9),
  )
  const cut = pieces(pages, 10)
  assert.deepEqual(
    cut.map((piece) => piece.count).toSorted((a, b) => a - b),
    [10, 10, 10, 10, 10, 10, 10, 11, 11, 11],
  )
  const union = new PageSet(1000)
  for (const piece of cut) {
    assert.ok(union.next(piece.next(0)) === -1, 'ascending')
    union.addAll(piece)
  }
  assert.deepEqual(union.words, pages.words)
  assert.equal(pieces(PageSet.of(10, [3, 4]), 5).length, 2)
})
