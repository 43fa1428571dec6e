import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type MoslehiRow, reproduceMoslehi } from '../../src/experiment/reproduce-moslehi.js'
import { reproductionReport } from '../../src/report/reproduction-report.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { near } from '../support/model.js'

test('the parts of the proposal apart: the cache saves pages on a slow link, the priority helps under contention only', async () => {
  const { rows, table2, claims } = await reproduceMoslehi({
    xen: strategyNamed('pre-copy'),
    cache: strategyNamed('async-cache'),
  })
  assert.equal(rows.length, 24)
  const find = (workload: string, traffic: boolean, scheme: string): MoslehiRow =>
    rows.find((row) => row.workload === workload && row.cross_traffic === traffic && row.scheme === scheme)!

  for (const workload of ['idle', 'light', 'heavy']) {
    // On an idle network the mark changes nothing, to the nanosecond.
    assert.equal(find(workload, false, 'priority').time_saving, 0)
    assert.equal(
      find(workload, false, 'cache').total_time_ms,
      find(workload, false, 'cache+priority').total_time_ms,
    )
    // Under contention it makes the migration as quick as on an idle network.
    near(
      find(workload, true, 'priority').total_time_ms / find(workload, false, 'xen').total_time_ms,
      1,
      0.001,
      workload,
    )
  }
  // Xen's own skip rule does as well as the cache on an idle network; once the link is slow the cache saves pages.
  assert.ok(find('heavy', true, 'cache').pages_saving! > 0.05)
  assert.ok(find('light', true, 'cache').pages_saving! > 0.05)
  assert.ok(find('idle', false, 'cache').pages_saving === 0)
  assert.match(claims[0]!.because, /cache alone saves -?[\d.]+ %/)
  near(table2.pages_saving, 0.474, 0.0005, 'table 2, pages')
  near(table2.time_saving, 0.0057, 0.0001, 'table 2, time')
  near(table2.downtime_saving, 0.277, 0.0005, 'table 2, downtime')
})

test('its report has the three figures of the paper, and says that they are predicted', async () => {
  const html = reproductionReport(
    await reproduceMoslehi({ xen: strategyNamed('pre-copy'), cache: strategyNamed('async-cache') }),
  )
  for (const id of ['figure-4-total-time', 'figure-5-pages', 'figure-6-downtime']) {
    assert.ok(html.includes(`<figure id="${id}"`), id)
  }
  assert.match(html, /data-stamp="predicted"/)
})
