import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageSet } from '../../src/memory/page-set.js'
import { framedLink, idlePageRate } from '../../src/model/link.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { modelSpec, near, run } from '../support/model.js'

const always = { startNs: 0, stopNs: Number.POSITIVE_INFINITY }
const flood = [{ pcp: 0, offeredBps: 150e6, elasticFlows: 0, ...always }]

test('a cold migration over real frames takes V over the rate of pages, plus round trips', async () => {
  const link = framedLink(200e6, 1500, { delayNs: 1e6 })
  const { record } = await run('stop-and-copy', {}, { link, ratio: 0, deviceBytes: 0 })
  near(record.totalNs / 1e9, 4096 / idlePageRate(link, 4096) + 0.004, 0.0001, 'seconds')
})

test('under strict priority a marked migration does not notice best-effort traffic, an unmarked one does', async () => {
  const link = framedLink(200e6, 1500, { competitors: flood })
  const seconds = async (pcp: number): Promise<number> => {
    const spec = { ...modelSpec({ link, ratio: 0 }), lanes: { bulk: pcp, final: pcp } }
    return (await run('stop-and-copy', {}, {}, new ModelTestbed(spec))).record.totalNs / 1e9
  }
  const idle = 4096 / idlePageRate(link, 4096)
  near(await seconds(7), idle, 0.01, 'marked')
  near(await seconds(0), 4 * idle, 0.01, 'unmarked')
})

test('a competitor that comes and goes slows exactly the time that it is there', async () => {
  const burst = [{ pcp: 7, offeredBps: 200e6, elasticFlows: 0, startNs: 0.2e9, stopNs: 0.7e9 }]
  const link = framedLink(200e6, 1500, { competitors: burst })
  const spec = { ...modelSpec({ link, ratio: 0 }), lanes: { bulk: 0, final: 0 } }
  const { record } = await run('stop-and-copy', {}, {}, new ModelTestbed(spec))
  near(record.totalNs / 1e9, 4096 / idlePageRate(link, 4096) + 0.5, 0.02, 'seconds')
})

test('a page that was lost on the way would be seen', async () => {
  const testbed = new ModelTestbed(modelSpec({ ratio: 0.5 }))
  const { record } = await run('pre-copy', {}, {}, testbed)
  assert.equal(record.outcome, 'completed')
  testbed.guest.memory.versions.setAll(new Uint32Array(testbed.totalPages).fill(9))
  assert.equal(testbed.differingPages(), 0, 'what the source does after the suspend does not matter')
})

// QEMU decides every 100 ms: what the kernel holds by then still goes out, and lengthens each of these copies.
test('a copy that is cut off ends when what was read has left', async () => {
  const cut = async (unsentBytes: number): Promise<number> => {
    const link = framedLink(100e6, 1500, { unsentBytes, delayNs: 0 })
    const testbed = new ModelTestbed(modelSpec({ link, ratio: 0 }))
    const pages = PageSet.full(testbed.totalPages)
    const sent = new PageSet(testbed.totalPages)
    await testbed.copy({
      lanes: [{ pages, via: 'bulk' }],
      feedUntilNs: 100e6,
      giveUpAtNs: 1e12,
      skipRedirtied: false,
      skipAccessed: false,
      sent,
      skipped: new PageSet(testbed.totalPages),
    })
    return testbed.nowNs() / 1e6
  }
  const heldMs = (2 ** 18 * 8e3 * (1518 / 1448)) / 100e6
  near(await cut(0), 100, 0.4, 'ms, to a page')
  near(await cut(2 ** 18), 100 + heldMs, 0.4, 'ms, to a page')
})
