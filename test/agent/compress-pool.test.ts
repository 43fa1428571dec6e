import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompressPool } from '../../src/agent/compress-pool.js'
import { type ContentSpec, pageContent } from '../../src/memory/content.js'
import { Encoders } from '../../src/memory/encoding.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { migrateOverLoopback } from './loopback.js'

const pageBytes = 4096
const seed = 11
const mix: ContentSpec = {
  kind: 'mix',
  shares: { zero: 1, regular: 1, pointer: 1, random: 1, 'sparse-update': 2 },
}
const pages = Uint32Array.from({ length: 61 }, (_, i) => 7 * i)
const versions = Uint32Array.from(pages, (page) => page % 5)

/** Payloads and encodings of the pages, one after the other. */
function payloads(encoder: { encode: Encode; readonly code: number }): string {
  const out = Buffer.alloc(pageBytes)
  return [...pages]
    .map((page, i) => {
      const length = encoder.encode(page, versions[i]!, out, 0)
      return `${encoder.code}:${out.toString('hex', 0, length)}`
    })
    .join(' ')
}

type Encode = (page: number, version: number, target: Uint8Array, at: number) => number

test('the bytes are the same whatever the number of threads', async () => {
  const spec = { kind: 'compress', threads: 1, speedBps: 1e9 } as const
  const alone = payloads(new Encoders(pageContent(mix, pageBytes, seed), 512).for(spec))
  for (const threads of [1, 2, 5]) {
    const pool = new CompressPool(mix, pageBytes, seed)
    assert.equal(
      await pool.encode(pages, versions, threads),
      undefined,
      'nobody waits for threads that start',
    )
    await pool.start(threads)
    const prepared = await pool.encode(pages, versions, threads)
    assert.ok(prepared !== undefined)
    assert.deepEqual(prepared.versions, versions)
    assert.equal(payloads(prepared.encoder), alone, `${threads} threads`)
    await pool.end()
  }
})

test('a migration compressed by threads arrives, and they end with it', async () => {
  for (const threads of [1, 3]) {
    const strategy = strategyNamed('mecom').create({ threads })
    const { source } = await migrateOverLoopback(strategy, { pages: 4096, content: mix })
    assert.equal(source.record.outcome, 'completed', source.record.reason)
    assert.ok(source.verified && source.record.payloadBytes < 0.6 * 4096 * source.record.pagesSent)
  }
})
