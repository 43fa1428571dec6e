/**
 * Damaged captures: no crash, no hang, exit code 0 or 2. test/nightly.sh gives it 200,000; `PAGEWIRE_FUZZ_FROM=n
 * PAGEWIRE_FUZZ_INPUTS=1` is input n alone.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { analyseCapture } from '../../src/analysis/capture-analysis.js'
import { EventWatch } from '../../src/analysis/events.js'
import { analysePair } from '../../src/analysis/pair-analysis.js'
import { openCapture } from '../../src/capture/read.js'
import { analyzeFiles } from '../../src/cli/analyze.js'
import { analysisText } from '../../src/cli/analyze-text.js'
import { eachFrame } from '../../src/replay/source.js'
import { PagewireError } from '../../src/support/errors.js'
import { random } from '../../src/support/random.js'
import { capturesDirectory } from '../captures/expected.js'
import { mutate } from '../support/mutate.js'
import { pcapFile } from '../support/pcap-builder.js'
import { connection, PagewireLane, QemuStream } from '../support/streams.js'
import { tcpChaos } from '../support/tcp-chaos.js'
import { temporaryDirectory } from '../support/temporary.js'
import { zoo } from '../support/zoo.js'

const inputs = Number(process.env['PAGEWIRE_FUZZ_INPUTS'] ?? 5000)
const from = Number(process.env['PAGEWIRE_FUZZ_FROM'] ?? 0)
const seed = Number(process.env['PAGEWIRE_SEED'] ?? 1)
const hangMs = 2000

test(`${inputs} damaged captures from input ${from} on end with 0 or 2, seed ${seed}`, async (t) => {
  const file = join(temporaryDirectory(t), 'damaged')
  const herd = [
    ...zoo(),
    ...realCaptures(),
    ['chaos.pcap', pcapFile(tcpChaos(1, 3, 40))] as const,
    ['qemu.pcap', pcapFile(connection(qemuStream(), [], { seed: 1, port: 4444, disorder: 0.1 }))] as const,
    ['joined.pcap', pcapFile(connection(qemuStream(), [], { seed: 1, port: 4444, fromByte: 5000 }))] as const,
    ['pagewire.pcap', pcapFile(connection(pagewireStream(), [], { seed: 1, port: 7000 }))] as const,
  ]
  const ends = new Map<string, number>()
  for (let i = from; i < from + inputs; i++) {
    const draw = random(seed, i)
    const [name, bytes] = herd[draw.below(herd.length)]!
    writeFileSync(file, mutate(bytes, draw))
    // Processor time: on a busy machine the clock on the wall says nothing about a hang.
    const started = process.cpuUsage()
    const end = await endOf(file, i).catch((error: unknown) => {
      throw new Error(
        `input ${i} (${name}); again with PAGEWIRE_SEED=${seed} PAGEWIRE_FUZZ_FROM=${i} PAGEWIRE_FUZZ_INPUTS=1`,
        { cause: error },
      )
    })
    const { user, system } = process.cpuUsage(started)
    const tookMs = (user + system) / 1000
    assert.ok(tookMs < hangMs, `input ${i} (${name}) took ${tookMs} ms, seed ${seed}`)
    ends.set(end, (ends.get(end) ?? 0) + 1)
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(ends)))
  assert.ok(
    (ends.get('ok') ?? 0) > 0 && (ends.get('problem') ?? 0) > 0,
    'the damage is too harsh or too mild',
  )
})

function qemuStream(): Uint8Array {
  const stream = new QemuStream().start([['pc.ram', 40 * 4096]]).section(2)
  for (let page = 0; page < 40; page++) page % 2 === 0 ? stream.zero(page) : stream.raw(page)
  return stream.endSection().section(3).xbzrle(3, 50).endSection().device(300).bytes()
}

function pagewireStream(): Uint8Array {
  const lane = new PagewireLane(0).config(50)
  for (let page = 0; page < 20; page++) lane.page(page, page % 2, page % 2 === 0 ? 4096 : 0)
  return lane.flush().bytes()
}

/** The first frames of the captures of the repository. */
function realCaptures(): (readonly [string, Uint8Array])[] {
  const names = readdirSync(capturesDirectory).filter((name) => /\.pcap(ng)?(\.gz)?$/.test(name))
  return names.map((name) => {
    const bytes = readFileSync(join(capturesDirectory, name))
    return [name, (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).subarray(0, realBytes)] as const
  })
}

const realBytes = 48 * 1024

/** The whole command but for the process: `ok`, `problem` (both print what was good), or `refused`. */
async function endOf(file: string, input: number): Promise<'ok' | 'problem' | 'refused'> {
  try {
    // What other ways through a capture make of it: one of them for each input.
    if (input % 4 === 1) await told(file)
    else if (input % 4 === 2) await rewritten(file)
    else if (input % 40 === 3) await analysePair(file, file)
    const { document } = await analyzeFiles([file], { intervalNs: 1e9, seriesOfFlows: true, pageDots: true })
    JSON.stringify(document)
    analysisText(document, 10)
    return document.files.some((row) => row.problem !== undefined) ? 'problem' : 'ok'
  } catch (error) {
    if (error instanceof PagewireError && error.exit === 2) return 'refused'
    throw error
  }
}

async function told(file: string): Promise<void> {
  const reader = await openCapture(file)
  try {
    const watch = new EventWatch((event) => JSON.stringify(event), true)
    const options = { intervalNs: 1e9, also: watch.frame.bind(watch) }
    const pass = await analyseCapture(reader, options)
    pass.migrations.result()
    watch.end(pass)
  } finally {
    await reader.close()
  }
}

async function rewritten(file: string): Promise<void> {
  for (const vlan of [7, 'none'] as const) {
    await eachFrame({ file, rewrite: { vlan, dscp: 46 } }, (frame, bytes, length) => {
      assert.ok(length <= bytes.length && (length === 0 || Math.abs(length - frame.wireLength) <= 4 * 65_536))
      return true
    })
  }
}

test('the command itself says 0 or 2 for damaged captures, by file and by pipe', (t) => {
  const file = join(temporaryDirectory(t), 'damaged')
  const herd = [...zoo()]
  for (let i = 0; i < 24; i++) {
    const draw = random(seed + 1, i)
    const [name, bytes] = herd[draw.below(herd.length)]!
    const damaged = mutate(bytes, draw)
    writeFileSync(file, damaged)
    const argv = ['build/src/cli/pagewire.js', 'analyze', '--json', i % 2 === 0 ? file : '-']
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { input: damaged, timeout: 20_000 })
    assert.ok(status === 0 || status === 2, `input ${i} (${name}), seed ${seed}: ${status} ${stderr}`)
    JSON.parse(stdout.toString())
  }
})
