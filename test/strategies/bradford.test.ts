import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DiskRecord } from '../../src/migration/metrics.js'
import { framedLink } from '../../src/model/link.js'
import { GuestDisk, type WriteThrottle } from '../../src/workload/disk.js'
import { pageNs, run, type Setting } from '../support/model.js'

async function moved(options: Readonly<Record<string, unknown>>, setting: Setting): Promise<DiskRecord> {
  const { record } = await run('bradford', options, { pages: 512, disk: {}, ...setting })
  assert.equal(record.outcome, 'completed')
  return record.disk!
}

test('a silent disk is copied once, and nothing is forwarded', async () => {
  const disk = await moved({}, { disk: { writesPerSecond: 0 } })
  assert.deepEqual([disk.blocksSent, disk.deltas, disk.writeStallNs], [256, 0, 0])
})

test('every write since the beginning is forwarded, and the image is the disk of the suspend', async () => {
  for (const rate of [0.01, 0.1, 0.4]) {
    const disk = await moved({}, { disk: { writesPerSecond: (rate * 1e9) / pageNs }, ratio: 0.3 })
    assert.equal(disk.blocksSent, 256, 'bulk once')
    assert.equal(disk.deltas, disk.writes)
    assert.ok(disk.deltas > 0)
  }
})

test('writes are delayed after the first T_w of them, and not before', async () => {
  const setting: Setting = { disk: { writesPerSecond: (0.3 * 1e9) / pageNs }, ratio: 0.3 }
  const free = await moved({ throttle_writes: 0 }, setting)
  assert.equal(free.writeStallNs, 0)
  assert.equal((await moved({ throttle_writes: free.writes + 1 }, setting)).writeStallNs, 0)
  const throttled = await moved({ throttle_writes: 20, first_delay: '2us' }, setting)
  assert.ok(throttled.writeStallNs > 0)
  assert.ok(throttled.writes < 0.8 * free.writes, `${throttled.writes} of ${free.writes} writes`)
})

test('the delay of a write doubles with each T_w writes', () => {
  const spec = {
    totalBlocks: 100,
    blockBytes: 512,
    writesPerSecond: 1e6,
    workingSetBlocks: 100,
    replicaShare: 0,
  }
  const writeTimes = (throttle: WriteThrottle): number[] => {
    const disk = new GuestDisk(spec, 1)
    disk.logWrites(throttle)
    const times: number[] = []
    for (let ns = 0; times.length < 40; ns += 100) {
      disk.advance(ns)
      while (times.length < disk.log.length) times.push(ns)
    }
    return times
  }
  const times = writeTimes({ everyWrites: 10, firstDelayNs: 5000 })
  const gap = (write: number): number => times[write]! - times[write - 1]!
  assert.deepEqual([gap(5), gap(12), gap(22), gap(32)], [1000, 6000, 11_000, 21_000])
})

test('memory is begun so that it ends after the disk, which does not lengthen the downtime', async () => {
  const link = framedLink(200e6, 1500)
  const workload = { kind: 'hot', workingSetPages: 100, writesPerSecond: 500 } as const
  const base: Setting = { pages: 2048, link, workload, disk: { totalBlocks: 4096, writesPerSecond: 100 } }
  const { record } = await run('bradford', {}, base)
  const plain = (await run('pre-copy', {}, { pages: 2048, link, workload })).record
  assert.ok(record.totalNs > 2.5 * plain.totalNs, 'three times as much to carry')
  assert.ok(record.downtimeNs! < plain.downtimeNs! + 20e6)
  assert.equal(record.disk?.blocksSuspended, 0)
})
