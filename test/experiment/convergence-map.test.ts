import assert from 'node:assert/strict'
import { test } from 'node:test'
import { convergenceMap } from '../../src/experiment/convergence-map.js'
import { parseScenario } from '../../src/experiment/scenario.js'
import { convergenceFigure } from '../../src/report/convergence-figure.js'
import { csvFile, svgFile } from '../../src/report/figure.js'
import { strategyNamed } from '../../src/strategies/index.js'

const text = `link: { rate: 100mbit }
guest: { memory: 4MiB, workload: { kind: cycle } }
migration: { max_total_time: 60s }
`

test('pre-copy is down longer the more is dirtied and the less bandwidth there is; the map is a picture and a table', async () => {
  const map = await convergenceMap(parseScenario(text, 'test'), strategyNamed('pre-copy'), () => {})
  const bandwidths = [...new Set(map.cells.map(({ bandwidth_mbps }) => bandwidth_mbps))]
  const rows = bandwidths.map((bandwidth) => map.cells.filter((cell) => cell.bandwidth_mbps === bandwidth))
  assert.equal(rows.length * rows[0]!.length, map.cells.length)
  for (const row of rows) {
    assert.ok(row.at(-1)!.downtime_ms! >= row[0]!.downtime_ms!)
    for (const cell of row) if (cell.dirty_ratio < 0.5) assert.ok(cell.volume < 2.1, JSON.stringify(cell))
  }
  const column = rows.map((row) => row[0]!.total_time_ms)
  assert.deepEqual(
    column,
    column.toSorted((a, b) => b - a),
    'more bandwidth, less time',
  )

  const figure = convergenceFigure(map)
  assert.equal(csvFile(figure).split('\r\n').length, 1 + map.cells.length)
  const svg = svgFile(figure)
  assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/)
  assert.doesNotMatch(svg, /&(?!#?\w+;)/, 'XML')
})

test('an idle guest has no map', async () => {
  const idle = parseScenario('guest: { workload: { kind: idle } }', 'test')
  await assert.rejects(
    convergenceMap(idle, strategyNamed('pre-copy'), () => {}),
    /no dirty rate/,
  )
})
