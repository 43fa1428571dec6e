import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DiskRecord } from '../../src/migration/metrics.js'
import { near, pageNs, run, type Setting } from '../support/model.js'

async function moved(setting: Setting): Promise<DiskRecord> {
  const { record } = await run('cloudspider', {}, { pages: 512, ratio: 0, ...setting })
  assert.equal(record.outcome, 'completed')
  return record.disk!
}

test('with a replica only what is not synchronised is sent, without one the whole image', async () => {
  for (const replicaShare of [0, 0.25, 0.75, 1]) {
    const disk = await moved({ disk: { replicaShare, writesPerSecond: 0 } })
    assert.equal(disk.blocksKnown, 256 * replicaShare)
    assert.equal(disk.blocksSent, 256 - disk.blocksKnown)
    assert.equal(disk.blocksSuspended, 0)
  }
})

test('after a synchronisation without a write there is nothing to send', async () => {
  const setting: Setting = { pages: 512, ratio: 0, disk: { replicaShare: 1, writesPerSecond: 0 } }
  const { record } = await run('cloudspider', {}, setting)
  const plain = (await run('pre-copy', {}, { pages: 512, ratio: 0 })).record
  assert.equal(record.disk?.blocksSent, 0)
  // What it costs is the list of hashes: 20 bytes for each of 256 blocks.
  near(record.totalNs - plain.totalNs, ((256 * 20) / 4096) * pageNs, 2, 'time')
})

test('blocks that are written meanwhile are sent again, few of them while the guest stands still', async () => {
  const disk = await moved({ disk: { writesPerSecond: (0.3 * 1e9) / pageNs, workingSetBlocks: 256 } })
  assert.ok(disk.blocksSent > 64, `${disk.blocksSent} blocks`)
  assert.ok(disk.blocksSuspended > 0 && disk.blocksSuspended <= 50, `${disk.blocksSuspended} at the end`)
  assert.equal(disk.deltas, 0, 'nothing is forwarded')
})
