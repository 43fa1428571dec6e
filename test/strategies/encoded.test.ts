/** Schemes that make pages smaller (6 and 7): what they save, and where they save nothing. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { framedLink } from '../../src/model/link.js'
import { near, run, type Setting } from '../support/model.js'

const pages = 1024
const link = framedLink(200e6, 1500)
const pagesPerSecond = 5800

function guest(kind: 'random' | 'sparse-update' | 'zero', ratio = 0.5): Setting {
  return {
    pages,
    link,
    content: { kind },
    workload: { kind: 'hot', workingSetPages: 200, writesPerSecond: ratio * pagesPerSecond },
    ratio,
  }
}

const loop = { downtime_limit: '5ms', window: '20ms', max_bandwidth: '0bit' } as const

test('deltas shrink what sparse writers dirty, and do nothing for pages overwritten whole', async () => {
  const sparse = guest('sparse-update', 1.5)
  const plain = await run('qemu', { ...loop, max_rounds: 30 }, sparse)
  const delta = await run('xbzrle', { ...loop, max_rounds: 30 }, sparse)
  const firstSweep = pages * 4096
  assert.ok(delta.record.payloadBytes - firstSweep < 0.1 * (plain.record.payloadBytes - firstSweep))
  assert.ok(delta.record.totalNs < plain.record.totalNs)

  const whole = guest('random', 0.5)
  const [raw, encoded] = [await run('qemu', loop, whole), await run('xbzrle', loop, whole)]
  // Less only by pages that were sent again without having changed since.
  near(encoded.record.payloadBytes / raw.record.payloadBytes, 1, 0.1, 'payload')
})

test('with a cache for every page nothing is missed after its second visit; without one it is plain QEMU', async () => {
  const setting = { ...guest('sparse-update', 0.8), ratio: 0.8 }
  const all = await run('xbzrle', { ...loop, cache: '8MiB' }, setting)
  const whole = Math.floor(all.record.payloadBytes / 4096)
  assert.ok(whole <= 2 * pages, 'the first sweep, and one visit to put each page into the cache')
  assert.ok(all.record.pagesSent > whole + 100)
  const none = await run('xbzrle', { ...loop, cache: '0B' }, setting)
  const plain = await run('qemu', loop, setting)
  assert.deepEqual({ ...none.record, strategy: '' }, { ...plain.record, strategy: '' })
})

test('XBRLE saves as well, though its format is longer', async () => {
  const setting = guest('sparse-update', 1)
  const xbzrle = await run('xbzrle', { ...loop, max_rounds: 20 }, setting)
  const xbrle = await run('xbzrle', { ...loop, max_rounds: 20, format: 'xbrle' }, setting)
  const plain = await run('qemu', { ...loop, max_rounds: 20 }, setting)
  assert.ok(xbzrle.record.payloadBytes <= xbrle.record.payloadBytes)
  assert.ok(xbrle.record.payloadBytes < plain.record.payloadBytes)
})

test('a guest of zero pages is sent as flags', async () => {
  for (const scheme of ['mecom', 'xbzrle']) {
    const { record } = await run(scheme, {}, { ...guest('zero'), ratio: 0, workload: { kind: 'idle' } })
    assert.equal(record.pagesZero, pages, scheme)
    assert.equal(record.payloadBytes, 0, scheme)
  }
})

test('MECOM without compression is Xen, page for page', async () => {
  const setting = guest('random')
  const off = await run('mecom', { compress: false }, setting)
  const xen = await run('pre-copy', {}, setting)
  assert.deepEqual({ ...off.record, strategy: '' }, { ...xen.record, strategy: '' })
})

test('MECOM sends less and takes less time the more regular the pages are', async () => {
  const payloads: number[] = []
  const times: number[] = []
  for (const regular of [0.01, 0.5, 1]) {
    const content = { kind: 'mix', shares: { regular, random: 1.01 - regular } } as const
    const { record } = await run('mecom', {}, { ...guest('random', 0), content, workload: { kind: 'idle' } })
    assert.ok(record.payloadBytes <= record.pagesSent * 4096)
    payloads.push(record.payloadBytes)
    times.push(record.totalNs)
  }
  assert.ok(payloads[0]! > 1.7 * payloads[1]! && payloads[1]! > 3 * payloads[2]!, payloads.join())
  assert.ok(times[0]! > times[1]! && times[1]! > times[2]!)
})

test('the number of threads changes the time, never the bytes', async () => {
  const content = { kind: 'pointer' } as const
  const setting: Setting = { ...guest('random', 0), content, workload: { kind: 'idle' } }
  const slow = await run('mecom', { threads: 1, thread_rate: '220mbit' }, setting)
  const quick = await run('mecom', { threads: 4, thread_rate: '220mbit' }, setting)
  assert.equal(slow.record.payloadBytes, quick.record.payloadBytes)
  assert.ok(slow.record.totalNs > 1.5 * quick.record.totalNs)
  near((pages * 4096 * 8) / 220e6, slow.record.totalNs / 1e9, 0.02, 'bound by the processor')
})

test('compression that is slower than the link is not used', async () => {
  const content = { kind: 'pointer' } as const
  const { record } = await run(
    'mecom',
    { max_threads: 1, thread_rate: '50mbit' },
    { ...guest('random', 0.5), content },
  )
  const later = record.rounds.slice(1).filter((round) => round.pagesSent > 0)
  assert.ok(later.length > 0)
  for (const round of later) assert.ok(round.payloadBytes > 0)
})
