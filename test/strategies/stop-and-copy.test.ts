import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pageNs, run } from '../support/model.js'

test('a cold migration sends every page once, and nearly all of it is downtime', async () => {
  for (const ratio of [0, 0.5, 5]) {
    const { record } = await run('stop-and-copy', {}, { ratio, deviceBytes: 8192 })
    assert.equal(record.pagesSent, 4096)
    assert.equal(record.totalNs, (4096 + 2) * pageNs)
    assert.ok(record.downtimeNs! / record.totalNs > 0.99)
  }
})
