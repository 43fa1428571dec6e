import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pageContent } from '../../src/memory/content.js'
import { Encoders, Encoding } from '../../src/memory/encoding.js'
import { framedLink } from '../../src/model/link.js'
import { ModelTestbed } from '../../src/model/testbed.js'
import { modelSpec, near, pageBytes, type Run, run, type Setting } from '../support/model.js'

const link = framedLink(200e6, 1500)
const apart = (rateBps: number) => ({ apart: true, rateBps })

function shared(share: number, setting: Setting, storage = apart(200e6)): Promise<Run> {
  const spec = { ...modelSpec({ link, ...setting }), storage }
  return run('shared-storage', { share }, setting, new ModelTestbed(spec))
}

test('with nothing on storage it is pre-copy, page for page', async () => {
  for (const seed of [1, 2, 3]) {
    const setting: Setting = {
      pages: 4096,
      ratio: 0.5,
      workload: { kind: 'hot', workingSetPages: 400 },
      seed,
    }
    const { strategy: _a, ...plain } = (await run('pre-copy', {}, setting)).record
    const { strategy: _b, ...none } = (await run('shared-storage', { share: 0 }, setting)).record
    assert.deepEqual(none, plain)
  }
})

test('the bytes of the source fall linearly with the share', async () => {
  const bytes = async (share: number): Promise<number> =>
    (await shared(share, { pages: 4096, ratio: 0 })).record.messageBytes
  const [none, all] = [await bytes(0), await bytes(1)]
  for (const share of [0.1, 0.25, 0.5, 0.75]) {
    near(await bytes(share), none + share * (all - none), (16 + pageBytes) / 2, `bytes at ${share}`)
  }
  assert.ok(all < 0.01 * none)
})

test('a page that was written after it was read from storage goes raw', () => {
  const content = pageContent({ kind: 'random' }, pageBytes, 3)
  const encoder = new Encoders(content, 64, 3).for({ kind: 'map', share: 1 })
  const bytes = new Uint8Array(pageBytes)
  for (let page = 0; page < 64; page++) {
    assert.equal(encoder.encode(page, 0, bytes, 0), 4)
    assert.equal(encoder.code, Encoding.mapped)
    assert.equal(encoder.encode(page, 1, bytes, 0), pageBytes)
    assert.equal(encoder.code, Encoding.raw)
    assert.ok(content.matches(page, 1, Buffer.from(bytes), 0))
  }
})

test('fetches that come late are waited for or cancelled, and memory arrives as it was', async () => {
  const workload = { kind: 'iid', writesPerSecond: 2000 } as const
  const { record, testbed } = await shared(0.5, { pages: 4096, workload }, apart(40e6))
  const { fetched, cancelled } = testbed.fetches
  assert.ok(cancelled > 100, `${cancelled} pages were written while their block was on its way`)
  assert.equal(fetched + cancelled, record.pagesMapped)
  assert.ok(
    record.downtimeSplitNs!.handover > record.downtimeSplitNs!.device,
    'the resume waited for storage',
  )
})

test('time is saved where storage has a link of its own as fast as the migration’s, and lost where it is slower', async () => {
  const setting: Setting = { pages: 4096, ratio: 0 }
  const total = async (share: number, storage = apart(200e6)): Promise<number> =>
    (await shared(share, setting, storage)).record.totalNs
  const plain = await total(0)
  assert.ok((await total(0.5)) < 0.7 * plain, 'more than 30 % shorter, as the abstract says')
  assert.ok((await total(0.5, apart(50e6))) > plain)
  // In the lab both cross the congested port.
  const sharedPort = await total(0.5, { apart: false, rateBps: Number.POSITIVE_INFINITY })
  near(sharedPort / plain, 1, 0.01, 'the port carries as much as before')
})
