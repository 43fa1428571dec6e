/** Damaged captures: no crash, no hang, exit code 0 or 2. `PAGEWIRE_FUZZ_INPUTS=200000` for the night. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { analyzeFiles } from '../../src/cli/analyze.js'
import { analysisText } from '../../src/cli/analyze-text.js'
import { PagewireError } from '../../src/support/errors.js'
import { random } from '../../src/support/random.js'
import { mutate } from '../support/mutate.js'
import { pcapFile } from '../support/pcap-builder.js'
import { connection, PagewireLane, QemuStream } from '../support/streams.js'
import { tcpChaos } from '../support/tcp-chaos.js'
import { temporaryDirectory } from '../support/temporary.js'
import { zoo } from '../support/zoo.js'

const inputs = Number(process.env['PAGEWIRE_FUZZ_INPUTS'] ?? 5000)
const seed = Number(process.env['PAGEWIRE_SEED'] ?? 1)
const hangMs = 2000

test(`${inputs} damaged captures end with 0 or 2, seed ${seed}`, async (t) => {
  const file = join(temporaryDirectory(t), 'damaged')
  const herd = [
    ...zoo(),
    ['chaos.pcap', pcapFile(tcpChaos(1, 3, 40))] as const,
    ['qemu.pcap', pcapFile(connection(qemuStream(), [], { seed: 1, port: 4444, disorder: 0.1 }))] as const,
    ['joined.pcap', pcapFile(connection(qemuStream(), [], { seed: 1, port: 4444, fromByte: 5000 }))] as const,
    ['pagewire.pcap', pcapFile(connection(pagewireStream(), [], { seed: 1, port: 7000 }))] as const,
  ]
  const ends = new Map<string, number>()
  for (let i = 0; i < inputs; i++) {
    const draw = random(seed, i)
    const [name, bytes] = herd[draw.below(herd.length)]!
    writeFileSync(file, mutate(bytes, draw))
    const started = performance.now()
    const end = await endOf(file).catch((error: unknown) => {
      throw new Error(
        `input ${i} (${name}); replay with PAGEWIRE_SEED=${seed} PAGEWIRE_FUZZ_INPUTS=${i + 1}`,
        { cause: error },
      )
    })
    const tookMs = performance.now() - started
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

/** The whole command but for the process: `ok`, `problem` (both print what was good), or `refused`. */
async function endOf(file: string): Promise<'ok' | 'problem' | 'refused'> {
  try {
    const { document } = await analyzeFiles([file], { intervalNs: 1e9, seriesOfFlows: true, pageDots: true })
    JSON.stringify(document)
    analysisText(document, 10)
    return document.files.some((row) => row.problem !== undefined) ? 'problem' : 'ok'
  } catch (error) {
    if (error instanceof PagewireError && error.exit === 2) return 'refused'
    throw error
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
    const argv = ['build/src/cli/main.js', 'analyze', '--json', i % 2 === 0 ? file : '-']
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { input: damaged, timeout: 20_000 })
    assert.ok(status === 0 || status === 2, `input ${i} (${name}), seed ${seed}: ${status} ${stderr}`)
    JSON.parse(stdout.toString())
  }
})
