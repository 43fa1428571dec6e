/** Every scheme on real sockets: the agents agree on every byte of every page, whatever the encoding. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ContentSpec } from '../../src/memory/content.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { cases, nameOf } from '../conformance/cases.js'
import { migrateOverLoopback } from './loopback.js'

const mix: ContentSpec = {
  kind: 'mix',
  shares: { zero: 1, regular: 1, pointer: 1, random: 1, 'sparse-update': 2 },
}

for (const one of cases) {
  test(`${nameOf(one)}: over real sockets, every page verified`, async () => {
    const strategy = strategyNamed(one.scheme).create(one.options)
    const { source, destination } = await migrateOverLoopback(strategy, { content: mix })
    assert.equal(source.record.outcome, 'completed', source.record.reason)
    assert.ok(source.verified && destination.verified, 'memory compared page by page')
    assert.equal(source.record.pagesUnique, 512)
    assert.equal(destination.pagesReceived, source.record.pagesSent)
  })
}
