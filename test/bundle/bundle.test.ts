/** Bundles as a reader meets them: moved, belonging to somebody else, changed, cut off, hostile. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type TestContext, test } from 'node:test'
import yazl from 'yazl'
import { type Verification, verifyBundle } from '../../src/bundle/verify.js'
import { programFile } from '../../src/experiment/agent-process.js'
import type { RunResult } from '../../src/experiment/result.js'
import { readScenario } from '../../src/experiment/scenario.js'
import { defaultScenarioText } from '../../src/experiment/scenario-default.js'
import { validate } from '../../src/experiment/validate.js'
import { type ValidationSettings, validationPlan } from '../../src/experiment/validation-plan.js'
import { exitCode, PagewireError } from '../../src/support/errors.js'
import { random } from '../../src/support/random.js'
import { pagewire } from '../cli/cli.js'
import { fakeRun } from '../experiment/fake-run.js'
import { runDirectory, seal } from '../support/run-directory.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'

/** A finished run, and the archive of it. */
async function bundled(
  t: TestContext,
  change: (text: string) => string = (text) => text,
): Promise<{ directory: string; file: string }> {
  const { directory, result } = await runDirectory(t)
  writeFileSync(join(directory, 'result.json'), change(JSON.stringify(result)))
  seal(directory)
  const file = join(temporaryDirectory(t), 'bundle.zip')
  const { code, stderr } = await pagewire(['report', '--bundle', directory, '-o', file])
  assert.equal(code, 0, stderr)
  return { directory, file }
}

test('a bundle that was moved verifies, every number of it', async (t) => {
  const { file } = await bundled(t)
  const moved = join(temporaryDirectory(t), 'moved.zip')
  copyFileSync(file, moved)
  const { code, stdout, stderr } = await pagewire(['verify', moved, '--json'])
  assert.equal(code, 0, stderr)
  const verification: Verification = JSON.parse(stdout)
  assert.equal(verification.matches, true)
  assert.ok(verification.numbers > 100, `${verification.numbers} numbers`)
  assert.deepEqual(
    verification.findings.map(({ part, from }) => ({ part, from })),
    [{ part: 'run', from: 'captures' }],
  )
})

test('another user verifies it without root', {
  skip: process.getuid?.() === 0 ? false : 'needs root, to become somebody else',
}, async (t) => {
  const { file } = await bundled(t)
  const directory = temporaryDirectory(t)
  chmodSync(directory, 0o755)
  const moved = join(directory, 'moved.zip')
  copyFileSync(file, moved)
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs']
  const outcome = spawnSync('setpriv', [...nobody, process.execPath, programFile, 'verify', moved], {
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '' },
    encoding: 'utf8',
  })
  assert.equal(outcome.status, 0, outcome.stderr)
  assert.match(outcome.stdout, /All \d+ recomputed numbers match/)
})

test('the same directory gives the same bytes, whoever packs it', async (t) => {
  const { directory, file } = await bundled(t)
  const again = join(temporaryDirectory(t), 'again.zip')
  const env = { ...process.env, TZ: 'Pacific/Auckland', LC_ALL: 'C' }
  execFileSync(process.execPath, [programFile, 'report', '--bundle', directory, '-o', again], { env })
  assert.ok(readFileSync(file).equals(readFileSync(again)))
})

test('a number that the captures do not give is listed with both values, exit 1', async (t) => {
  const { file } = await bundled(t, (text) =>
    text.replace(/"packets_lost":(\d+)/, (_, lost) => `"packets_lost":${Number(lost) + 1}`),
  )
  const { code, stdout } = await pagewire(['verify', file])
  assert.equal(code, 1)
  const [, recorded, recomputed] = /packets_lost: reported (\d+), recomputed (\d+)/.exec(stdout) ?? []
  assert.equal(Number(recorded), Number(recomputed) + 1, stdout)
})

test('what changed after it was measured is not bundled', async (t) => {
  const { directory } = await bundled(t)
  const capture = join(directory, 'captures', 'switch-out.pcap')
  const bytes = readFileSync(capture)
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(capture, bytes)
  const out = join(temporaryDirectory(t), 'b.zip')
  const { code, stderr } = await pagewire(['report', '--bundle', directory, '-o', out])
  assert.equal(code, 2)
  assert.match(stderr, /switch-out\.pcap is not what was measured/)
  assert.equal(existsSync(out), false)
})

test('cut off anywhere, or with any byte changed, it is refused or still says the same; nothing crashes', async (t) => {
  const bytes = readFileSync((await bundled(t)).file)
  const verify = (archive: Uint8Array): Promise<Verification> =>
    verifyBundle(temporaryFile(t, 'b.zip', archive), {
      predictAgain: () => assert.fail('nothing is predicted'),
    })
  for (const share of [0, 0.1, 0.5, 0.9, 0.999]) {
    const cut = verify(bytes.subarray(0, Math.floor(bytes.length * share)))
    await assert.rejects(cut, (error) => refusal(error) && /b\.zip is no whole bundle/.test(error.message))
  }
  const seed = Number(process.env['PAGEWIRE_SEED'] ?? 1)
  const places = random(seed)
  for (let i = 0; i < 60; i++) {
    const at = places.below(bytes.length)
    const changed = Buffer.from(bytes)
    changed[at]! ^= 0x55
    try {
      assert.equal((await verify(changed)).matches, true, `PAGEWIRE_SEED=${seed}, byte ${at}`)
    } catch (error) {
      assert.ok(refusal(error), `PAGEWIRE_SEED=${seed}, byte ${at}: ${error}`)
    }
  }
})

function refusal(error: unknown): error is PagewireError {
  return error instanceof PagewireError && error.exit === exitCode.usage
}

test('names that lead elsewhere, links and bombs are refused, and nothing is written', async (t) => {
  const bytes = readFileSync((await bundled(t)).file)
  const parent = temporaryDirectory(t)
  const inside = join(parent, 'tmp')
  mkdirSync(inside)
  const env = { ...process.env, TMPDIR: inside }
  const refused = (name: string, archive: Uint8Array, why: RegExp): void => {
    const file = temporaryFile(t, 'hostile.zip', archive)
    const { status, stderr } = spawnSync(process.execPath, [programFile, 'verify', file], {
      env,
      encoding: 'utf8',
    })
    assert.equal(status, 2, `${name}: ${stderr}`)
    assert.match(stderr, why, name)
    assert.deepEqual(readdirSync(parent), ['tmp'], name)
    assert.deepEqual(readdirSync(inside), [], name)
  }
  const renamed = (name: string): Buffer => replaced(bytes, 'run/result.json', name.padEnd(15, 'x'))
  const good = spawnSync(process.execPath, [programFile, 'verify', temporaryFile(t, 'good.zip', bytes)], {
    env,
  })
  assert.deepEqual([good.status, readdirSync(inside)], [0, []], 'nothing is left of what was unpacked')
  refused('parent', renamed('../../escape'), /leads elsewhere|invalid relative path|relative path/)
  refused('absolute', renamed('/tmp/escape'), /absolute/)
  refused('backslash', renamed('..\\..\\escape'), /characters|invalid/)
  refused('control', renamed('run/\x1b[2Jx'), /characters/)
  refused(
    'twice',
    replaced(bytes, 'run/result.json', 'run/SHA256SUMSx').subarray(0),
    /not in bundle\.json|twice/,
  )
  refused('link', asLink(bytes), /no plain file/)
  refused('bomb', await bomb(t), /would grow/)
  refused('no bundle', await zipOf(t, { 'a.txt': Readable.from(['hello']) }), /no bundle\.json/)
})

test('a validation is decided anew on its runs, and a changed verdict is found', async (t) => {
  const directory = await validationDirectory(t)
  const file = join(temporaryDirectory(t), 'validation.zip')
  assert.equal((await pagewire(['report', '--bundle', directory, '-o', file])).code, 0)
  const { code, stdout, stderr } = await pagewire(['verify', file, '--json'])
  assert.equal(code, 0, stdout + stderr)
  const verification: Verification = JSON.parse(stdout)
  const finding = verification.findings.find(({ part }) => part === 'validation')
  assert.ok(finding !== undefined && finding.numbers > 100)
  assert.ok(verification.findings.some(({ skipped }) => skipped === 'its captures were not kept'))

  const document = join(directory, 'validation.json')
  writeFileSync(document, readFileSync(document, 'utf8').replaceAll('"PASS"', '"FAIL"'))
  seal(directory)
  const forged = join(temporaryDirectory(t), 'forged.zip')
  assert.equal((await pagewire(['report', '--bundle', directory, '-o', forged])).code, 0)
  const found = await pagewire(['verify', forged])
  assert.equal(found.code, 1)
  assert.match(found.stdout, /verdict: reported "FAIL", recomputed "PASS"/)
})

test('a predicted comparison is predicted again', async (t) => {
  const plan = temporaryFile(
    t,
    'plan.yaml',
    Buffer.from('name: c\norigin: predicted\nrepetitions: 2\naxes: { link.rate: [100mbit, 200mbit] }\n'),
  )
  const out = join(temporaryDirectory(t), 'c')
  assert.equal((await pagewire(['compare', plan, '--out', out])).code, 0)
  const file = join(temporaryDirectory(t), 'c.zip')
  assert.equal((await pagewire(['report', '--bundle', out, '-o', file])).code, 0)
  const { code, stdout, stderr } = await pagewire(['verify', file, '--json'])
  assert.equal(code, 0, stdout + stderr)
  assert.deepEqual(
    JSON.parse(stdout).findings.map(({ part, from }: { part: string; from: string }) => [part, from]),
    [['comparison', 'runs']],
  )
})

/** Both places of a name in the archive, and the list's, in as many bytes. */
function replaced(bytes: Buffer, name: string, by: string): Buffer {
  const changed = Buffer.from(bytes)
  for (let at = changed.indexOf(name); at >= 0; at = changed.indexOf(name, at + 1))
    changed.write(by, at, 'latin1')
  return changed
}

/** The central directory says that the first file is a symbolic link. */
function asLink(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes)
  const entry = changed.indexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02]))
  changed.writeUInt32LE((0o120777 << 16) >>> 0, entry + 38)
  return changed
}

async function bomb(t: TestContext): Promise<Buffer> {
  const bytes = 256 * 2 ** 20
  const block = Buffer.alloc(2 ** 20)
  function* zeros(): Generator<Buffer> {
    for (let i = 0; i < bytes / block.length; i++) yield block
  }
  const index = {
    schema: 'pagewire.bundle/1',
    pagewire: '0',
    parts: [{ path: 'run', kind: 'run' }],
    files: [{ path: 'run/result.json', bytes, sha256: '0'.repeat(64) }],
  }
  return zipOf(t, {
    'bundle.json': Readable.from([JSON.stringify(index)]),
    'run/result.json': Readable.from(zeros()),
  })
}

async function zipOf(t: TestContext, entries: Readonly<Record<string, Readable>>): Promise<Buffer> {
  const file = join(temporaryDirectory(t), 'made.zip')
  const zip = new yazl.ZipFile()
  for (const [name, stream] of Object.entries(entries)) zip.addReadStream(stream, name)
  zip.end()
  await pipeline(zip.outputStream, createWriteStream(file))
  return readFileSync(file)
}

/** What `validate` leaves, from runs that never ran. */
async function validationDirectory(t: TestContext): Promise<string> {
  const directory = temporaryDirectory(t)
  const settings: ValidationSettings = {
    maxPairs: 8,
    minEffect: '10%',
    decide: ['goodput'],
    claim: ['tenants p99 < 50 ms'],
    price: false,
  }
  const read = readScenario(defaultScenarioText, 'test', [])
  let now = 0
  const validation = await validate({
    ...validationPlan(read, settings),
    maxTimeNs: 3600e9,
    nowNs: () => now,
    run: async (request): Promise<RunResult> => {
      now += 10e9
      const noise = 1 + 0.02 * random(request.seed, request.arm.name.length).unit()
      const figures =
        request.arm.name === 'unmarked'
          ? { goodputMbps: 20 * noise, totalMs: 60_000, downtimeMs: 100, otherMbps: 120 }
          : { goodputMbps: 180 * noise, totalMs: 3000, downtimeMs: 25, otherMbps: 5 }
      const result = fakeRun({ ...figures, invalid: request.label === '02-marked' }, request)
      const at = join(directory, 'runs', request.label)
      mkdirSync(at, { recursive: true })
      writeFileSync(join(at, 'result.json'), JSON.stringify(result))
      return result
    },
  })
  writeFileSync(join(directory, 'validation.json'), JSON.stringify(validation))
  writeFileSync(join(directory, 'scenario.yaml'), read.text)
  writeFileSync(join(directory, 'settings.json'), JSON.stringify(settings))
  seal(directory)
  return directory
}
