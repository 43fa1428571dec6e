import assert from 'node:assert/strict'
import { statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { classRows, flowRows, seriesRows } from '../../src/analysis/analysis-document.js'
import { analyseCapture, type CaptureOptions } from '../../src/analysis/capture-analysis.js'
import { writeTrafficFile } from '../../src/bench/traffic-file.js'
import { openCapture } from '../../src/capture/read.js'
import { defaultTable, trafficClass } from '../../src/marking/traffic-class.js'
import { oddBulk } from '../support/odd-bulk.js'
import { oddOpenings } from '../support/odd-openings.js'
import { pcapFile } from '../support/pcap-builder.js'
import { connection, QemuStream } from '../support/streams.js'
import { tcpChaos } from '../support/tcp-chaos.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'
import { zoo } from '../support/zoo.js'

/** Everything that the analysis of a file says. */
async function figures(file: string, options: Partial<CaptureOptions>): Promise<unknown> {
  const reader = await openCapture(file)
  try {
    const pass = await analyseCapture(reader, { intervalNs: 1e7, ...options })
    const { packets, bytes, firstNs, lastNs } = pass
    const tables = [
      classRows(file, pass),
      flowRows(file, pass),
      seriesRows(file, pass),
      pass.migrations.result(),
    ]
    return JSON.parse(JSON.stringify({ packets, bytes, firstNs, lastNs, tables, problem: reader.problem }))
  } finally {
    await reader.close()
  }
}

/** A filter makes the analysis go frame by frame; this one lets all of them pass. */
const oneByOne = { filter: () => true }

async function comesOutTheSame(file: string): Promise<void> {
  assert.deepEqual(await figures(file, {}), await figures(file, oneByOne))
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`frames in batches give the figures of frames one by one: disturbed connections of seed ${seed}`, async (t) => {
    await comesOutTheSame(temporaryFile(t, 'chaos.pcap', pcapFile(tcpChaos(seed, 40, 200))))
  })
}

for (const [seed, flows] of [
  [1, 1],
  [2, 3],
  [3, 400],
] as const) {
  test(`frames in batches give the figures of frames one by one: odd bulk transfers of seed ${seed}`, async (t) => {
    const { frames, sackBlocks } = oddBulk(seed, flows, 2000)
    const file = temporaryFile(t, 'odd.pcap', pcapFile(frames))
    await comesOutTheSame(file)
    const blocks = [...JSON.stringify(await figures(file, {})).matchAll(/"sack_blocks":(\d+)/g)]
    assert.equal(
      blocks.reduce((sum, [, count]) => sum + Number(count), 0),
      sackBlocks,
    )
  })
}

test('frames in batches give the figures of frames one by one: odd openings', async (t) => {
  const seed = Number(process.env['SEED'] ?? 0) || Date.now() % 1e6
  for (let i = 0; i < 5; i++) {
    const frames = oddOpenings(seed + i, 1000)
    const file = temporaryFile(t, `openings-${i}.pcap`, pcapFile(frames, i === 0 ? { nano: false } : {}))
    await comesOutTheSame(file).catch((error: unknown) => {
      t.diagnostic(`SEED=${seed + i}`)
      throw error
    })
  }
})

test('frames in batches give the figures of frames one by one: every format and link type', async (t) => {
  for (const [name, bytes] of zoo()) await comesOutTheSame(temporaryFile(t, name, bytes))
})

test('frames in batches give the figures of frames one by one: bulk flows, and a capture with a broken end', async (t) => {
  const file = join(temporaryDirectory(t), 'bulk.pcap')
  for (const flows of [1, 7, 3000]) {
    writeTrafficFile(file, {
      packets: 30_000,
      flows,
      seed: 9,
      trafficClass: trafficClass(defaultTable, 'AF41'),
    })
    await comesOutTheSame(file)
  }
  truncateSync(file, statSync(file).size - 7)
  await comesOutTheSame(file)
})

test('frames in batches give the figures of frames one by one: a migration in the payload, from its start or its middle', async (t) => {
  const stream = new QemuStream().start([['pc.ram', 800 * 4096]]).section(2)
  for (let page = 0; page < 800; page++) stream.raw(page)
  const bytes = stream.endSection().section(3).raw(7).endSection().device(2000).bytes()
  for (const fromByte of [0, 20_000]) {
    const frames = connection(bytes, [], { seed: 5, port: 4444, disorder: 0.05, holes: 0.01, fromByte })
    const file = temporaryFile(t, 'migration.pcap', pcapFile(frames))
    await comesOutTheSame(file)
    assert.match(JSON.stringify(await figures(file, {})), /"protocol":"qemu"/)
  }
})
