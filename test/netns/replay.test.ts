/** `replay` on real interfaces: the same frames in the same order at the same times, and exact counts when it breaks. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { decode } from '../../src/capture/decode.js'
import { openCapture } from '../../src/capture/read.js'
import { type CaptureSummary, startCapture } from '../../src/capture/record.js'
import { TimeBase } from '../../src/capture/record-scanner.js'
import { programFile } from '../../src/experiment/agent-process.js'
import { payload, pcapFile, tcpFrame } from '../support/pcap-builder.js'
import { temporaryDirectory } from '../support/temporary.js'
import { makePair, type Pair, startInside, withoutRoot } from './pair.js'

let pair: Pair

if (!withoutRoot) {
  before(() => {
    pair = makePair()
  })
  after(() => pair.remove())
}

/** Bursts and pauses, as migrations have them: 4 frames 20 us apart every 5 ms. */
function burstyCapture(count: number): Uint8Array {
  return pcapFile(
    Array.from({ length: count }, (_, i) => ({
      atNs: Math.floor(i / 4) * 5_000_000 + (i % 4) * 20_000,
      captured: 128,
      bytes: tcpFrame({
        tags: [{ vlan: 100, pcp: 7 }],
        dscp: 56,
        ipId: i,
        sequence: i * 1400,
        payload: payload(1400, i),
      }),
    })),
  )
}

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function replay(device: string, ...args: string[]) {
  const child = startInside(
    pair.left,
    process.execPath,
    programFile,
    'replay',
    '--dev',
    device,
    '--json',
    ...args,
  )
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = once(child, 'close').then(([code]): Ended => ({ code, stdout, stderr }))
  return { child, ended }
}

/** What arrives at the other side while `action` runs. */
async function seenWhile(t: TestContext, action: () => Promise<void>): Promise<CaptureSummary> {
  const capture = await startCapture({
    file: join(temporaryDirectory(t), 'seen.pcap'),
    taps: [{ device: pair.right.device, prefix: ['ip', 'netns', 'exec', pair.right.namespace] }],
    snapLength: 128,
  })
  await action()
  return capture.stop()
}

interface Seen {
  readonly id: number
  readonly timeNs: number
  readonly mark: string
  readonly length: number
}

async function framesOf(file: string): Promise<Seen[]> {
  const reader = await openCapture(file, new TimeBase())
  const seen: Seen[] = []
  do {
    while (reader.next()) {
      const { frame } = reader
      decode(frame)
      if (!frame.tcp) continue
      const { ipId: id, timeNs, wireLength: length } = frame
      seen.push({ id, timeNs, mark: `${frame.vlan} ${frame.pcp} ${frame.dscp}`, length })
    }
  } while (await reader.fill())
  await reader.close()
  return seen
}

test('a capture arrives again: same frames, same order, same distances', { skip: withoutRoot }, async (t) => {
  const file = join(temporaryDirectory(t), 'a.pcap')
  writeFileSync(file, burstyCapture(800))
  let ended: Ended | undefined
  const { file: seenFile } = await seenWhile(t, async () => {
    ended = await replay('v0', file).ended
  })
  assert.equal(ended?.code, 0, ended?.stderr)
  const { result } = JSON.parse(ended?.stdout ?? '')
  assert.deepEqual([result.frames_sent, result.frames_failed, result.frames_not_sent], [800, 0, 0])
  const [before, arrived] = [await framesOf(file), await framesOf(seenFile)]
  const what = ({ id, mark, length }: Seen): string => `${id} ${mark} ${length}`
  assert.deepEqual(arrived.map(what), before.map(what))
  const errors = arrived
    .slice(1)
    .map(({ timeNs }, i) =>
      Math.abs(timeNs - arrived[i]!.timeNs - (before[i + 1]!.timeNs - before[i]!.timeNs)),
    )
    .toSorted((a, b) => a - b)
  const medianNs = errors[Math.floor(errors.length / 2)]!
  t.diagnostic(`distances differ by ${(medianNs / 1e3).toFixed(1)} us at the median`)
  assert.ok(medianNs < 1e6, `${medianNs} ns`)
})

test('re-marked, in two passes, at a rate', { skip: withoutRoot }, async (t) => {
  const file = join(temporaryDirectory(t), 'a.pcap')
  writeFileSync(file, burstyCapture(200))
  const marks = ['--vlan', '200', '--pcp', '1', '--dscp', 'LE']
  const { file: seenFile } = await seenWhile(t, async () => {
    const { code } = await replay('v0', file, '--loop', '2', '--mbps', '5', ...marks).ended
    assert.equal(code, 0)
  })
  const arrived = await framesOf(seenFile)
  assert.deepEqual([...new Set(arrived.map(({ mark }) => mark))], ['200 1 1'])
  assert.deepEqual(
    arrived.map(({ id }) => id),
    Array.from({ length: 400 }, (_, i) => i % 200),
  )
  const seconds = (arrived.at(-1)!.timeNs - arrived[0]!.timeNs) / 1e9
  const bits = arrived.slice(1).reduce((sum, { length }) => sum + length * 8, 0)
  assert.ok(Math.abs(bits / seconds / 5e6 - 1) < 0.15, `${bits / seconds / 1e6} Mbit/s`)
})

test('frames that the interface cannot send are counted, and the exit code says so', {
  skip: withoutRoot,
}, async (t) => {
  const file = join(temporaryDirectory(t), 'a.pcap')
  writeFileSync(
    file,
    pcapFile(
      [1400, 1500, 1460, 9000].map((length, i) => ({
        atNs: i * 1000,
        bytes: tcpFrame({ payload: payload(length) }),
      })),
    ),
  )
  const { code, stdout } = await replay('v0', file).ended
  assert.equal(code, 1)
  const document = JSON.parse(stdout)
  assert.deepEqual(document.not_sendable, { too_long: 2, too_short: 0, not_ethernet: 0 })
  assert.deepEqual([document.result.frames_sent, document.result.frames_not_sent], [2, 2])
})

test('an interface that goes away ends it with exact counts', { skip: withoutRoot }, async (t) => {
  const ip = (...args: string[]): void => {
    execFileSync('ip', ['-n', pair.left.namespace, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  ip('link', 'add', 'gone0', 'type', 'veth', 'peer', 'gone1')
  for (const device of ['gone0', 'gone1']) ip('link', 'set', device, 'up')
  const file = join(temporaryDirectory(t), 'a.pcap')
  writeFileSync(file, burstyCapture(4000))
  const { ended } = replay('gone0', file)
  await until(() => sentBy('gone0') > 100)
  ip('link', 'delete', 'gone0')
  const { code, stdout, stderr } = await ended
  assert.equal(code, 1)
  assert.match(stderr, /interface gone0 went down or disappeared/)
  const { result } = JSON.parse(stdout)
  assert.ok(result.frames_sent > 100 && result.frames_sent < 4000)
  assert.equal(result.frames_not_sent, 4000 - result.frames_sent)
})

test('an interrupt stops it and keeps the counts', { skip: withoutRoot }, async (t) => {
  const file = join(temporaryDirectory(t), 'a.pcap')
  writeFileSync(file, burstyCapture(4000))
  const before = sentBy('v0')
  const { child, ended } = replay('v0', file)
  await until(() => sentBy('v0') > before + 100)
  child.kill('SIGINT')
  const { code, stdout } = await ended
  assert.equal(code, 130)
  const { result } = JSON.parse(stdout)
  assert.ok(result.frames_sent > 100 && result.frames_sent < 4000)
})

function sentBy(device: string): number {
  const text = execFileSync('ip', ['-n', pair.left.namespace, '-s', '-j', 'link', 'show', 'dev', device], {
    encoding: 'utf8',
  })
  return JSON.parse(text)[0].stats64.tx.packets
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.ok(condition())
}
