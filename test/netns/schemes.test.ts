/** Every scheme with its defaults on real frames, in one lab: it completes, and the destination's memory is the source's. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMigrationLab } from '../../src/experiment/migration-lab.js'
import { compared, type FidelityRow, fidelityCases } from '../../src/experiment/model-fidelity.js'
import { strategies } from '../../src/strategies/index.js'
import { needsRoot } from './support.js'

test('all schemes complete on real frames, every page verified', { skip: needsRoot }, async (t) => {
  const cases = fidelityCases({ memory: '8MiB', linkRate: '200mbit', workloads: ['hot'] })
  assert.equal(cases.length, strategies.length)
  const rows: FidelityRow[] = []
  await inMigrationLab(cases[0]!.scenario, t.signal, async (lab) => {
    for (const one of cases) rows.push(await compared(one, [await lab.migrate(one.scenario)]))
  })
  t.diagnostic('scheme              outcome    verified  pages  total ms  downtime ms')
  for (const { scheme, outcome, verified, emulator } of rows) {
    t.diagnostic(
      [
        scheme.padEnd(20),
        outcome.padEnd(11),
        String(verified).padEnd(8),
        String(emulator.pages_sent).padStart(7),
        emulator.total_time_ms.toFixed(0).padStart(10),
        emulator.downtime_ms.toFixed(1).padStart(13),
      ].join(''),
    )
  }
  for (const { scheme, outcome, verified, emulator } of rows) {
    assert.equal(outcome, 'completed', scheme)
    assert.ok(verified, `${scheme}: memory compared page by page`)
    assert.ok(emulator.pages_sent >= 2048, `${scheme} sent every page`)
  }
})
