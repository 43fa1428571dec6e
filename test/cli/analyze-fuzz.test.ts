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
import { tcpChaos } from '../support/tcp-chaos.js'
import { temporaryDirectory } from '../support/temporary.js'
import { zoo } from '../support/zoo.js'

const inputs = Number(process.env['PAGEWIRE_FUZZ_INPUTS'] ?? 5000)
const seed = Number(process.env['PAGEWIRE_SEED'] ?? 1)
const hangMs = 2000

test(`${inputs} damaged captures end with 0 or 2, seed ${seed}`, async (t) => {
  const file = join(temporaryDirectory(t), 'damaged')
  const herd = [...zoo(), ['chaos.pcap', pcapFile(tcpChaos(1, 3, 40))] as const]
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

/** The whole command but for the process: `ok`, `problem` (both print what was good), or `refused`. */
async function endOf(file: string): Promise<'ok' | 'problem' | 'refused'> {
  try {
    const { document } = await analyzeFiles([file], { intervalNs: 1e9, seriesOfFlows: true })
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
