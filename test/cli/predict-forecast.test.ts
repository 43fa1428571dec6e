import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ForecastResult } from '../../src/experiment/forecast.js'
import { pagewire } from './cli.js'

const small = ['--set', 'guest.memory=16MiB', '--set', 'link.rate=100mbit']

test('predict --method: the reckoning beside the model, within its bounds', async () => {
  for (const method of ['avg', 'hist'] as const) {
    const { code, stdout } = await pagewire(['predict', '--json', '--method', method, ...small])
    assert.equal(code, 0)
    const result: ForecastResult = JSON.parse(stdout)
    const { forecast, bounds, model } = result
    for (const figures of [forecast, model]) {
      assert.ok(figures.total_time_ms >= bounds.xen42.total_time_ms_min)
      assert.ok(figures.total_time_ms <= bounds.xen42.total_time_ms_max)
    }
    assert.ok(Math.abs(result.relative_error.total_time) < (method === 'hist' ? 0.05 : 0.5))
  }
  const { stdout } = await pagewire(['predict', '--method', 'hist', ...small])
  assert.match(stdout, /Xen 4\.2\.3 +total [\d.]+ to [\d.]+ ms/)
})

test('what Akoush et al. do not reckon is refused, and so is a record without a method', async () => {
  const stord = ['--set', 'migration.strategy=stord', '--set', 'migration.options={}']
  const other = await pagewire(['predict', '--method', 'avg', ...stord])
  assert.equal(other.code, 2)
  assert.match(other.stderr, /reckons pre-copy with profile xen42 or xen-new only/)
  assert.equal((await pagewire(['predict', '--history-seed', '3'])).code, 2)
})
