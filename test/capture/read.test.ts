import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { openCapture } from '../../src/capture/read.js'
import { TimeBase } from '../../src/capture/record-scanner.js'
import { mergeCaptures } from '../../src/capture/write.js'
import {
  baseSeconds,
  type CapturedFrame,
  type PcapOptions,
  payload,
  pcapFile,
  udpFrame,
} from '../support/pcap-builder.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'

interface Seen {
  readonly timeNs: number
  readonly wireLength: number
  readonly bytes: string
}

async function readAll(path: string): Promise<{ frames: Seen[]; problem: unknown; seconds: unknown }> {
  const timeBase = new TimeBase()
  const reader = await openCapture(path, timeBase)
  const frames: Seen[] = []
  do {
    while (reader.next()) {
      const { frame } = reader
      const bytes = frame.bytes.subarray(frame.start, frame.end)
      frames.push({
        timeNs: frame.timeNs,
        wireLength: frame.wireLength,
        bytes: Buffer.from(bytes).toString('hex'),
      })
    }
  } while (await reader.fill())
  await reader.close()
  return { frames, problem: reader.problem, seconds: timeBase.seconds }
}

const frames: CapturedFrame[] = [
  { atNs: 123_456_789, bytes: udpFrame({ payload: payload(20, 1) }) },
  { atNs: 2_000_000_000, bytes: udpFrame({ payload: payload(300, 2) }), captured: 60 },
  { atNs: 1_999_999_999, bytes: udpFrame({ payload: payload(0, 3) }) },
]

const forms: readonly PcapOptions[] = [
  { nano: true, bigEndian: false },
  { nano: true, bigEndian: true },
  { nano: false, bigEndian: false },
  { nano: false, bigEndian: true },
]
for (const form of forms) {
  test(`reads ${form.nano ? 'nano' : 'micro'}second pcap, ${form.bigEndian ? 'big' : 'little'}-endian`, async (t) => {
    const {
      frames: seen,
      problem,
      seconds,
    } = await readAll(temporaryFile(t, 'a.pcap', pcapFile(frames, form)))
    assert.equal(problem, undefined)
    assert.equal(seconds, baseSeconds)
    const resolution = form.nano ? 1 : 1000
    assert.deepEqual(
      seen,
      frames.map((frame) => ({
        timeNs: Math.floor(frame.atNs / resolution) * resolution,
        wireLength: frame.bytes.length,
        bytes: Buffer.from(frame.bytes.subarray(0, frame.captured ?? frame.bytes.length)).toString('hex'),
      })),
    )
  })
}

test('frames that straddle the chunks of a large file are whole', async (t) => {
  const many = Array.from({ length: 6000 }, (_, i) => ({
    atNs: i * 1000,
    bytes: udpFrame({ payload: payload(500 + (i % 700), i) }),
  }))
  const { frames: seen, problem } = await readAll(temporaryFile(t, 'a.pcap', pcapFile(many)))
  assert.equal(problem, undefined)
  assert.equal(seen.length, many.length)
  for (const [i, frame] of many.entries()) {
    assert.equal(seen[i]?.bytes, Buffer.from(frame.bytes).toString('hex'), `frame ${i}`)
  }
})

test('a file cut anywhere yields its whole records and the offset of the first incomplete one', async (t) => {
  const whole = pcapFile(frames)
  const starts = [24]
  for (const frame of frames) starts.push(starts.at(-1)! + 16 + (frame.captured ?? frame.bytes.length))
  for (let length = 24; length <= whole.length; length++) {
    const { frames: seen, problem } = await readAll(temporaryFile(t, 'a.pcap', whole.subarray(0, length)))
    const complete = starts.filter((start) => start <= length).length - 1
    assert.equal(seen.length, complete, `cut at ${length}`)
    const expected = starts.includes(length) ? undefined : starts[complete]
    assert.equal(problem === undefined ? undefined : offsetOf(problem), expected, `cut at ${length}`)
  }
})

test('an impossible length stops at its record and says where', async (t) => {
  const bytes = pcapFile(frames)
  const second = 24 + 16 + frames[0]!.bytes.length
  new DataView(bytes.buffer).setUint32(second + 8, 0x7fffffff, true)
  const { frames: seen, problem } = await readAll(temporaryFile(t, 'a.pcap', bytes))
  assert.equal(seen.length, 1)
  assert.equal(offsetOf(problem), second)
})

test('what is not a capture is refused with exit code 2', async (t) => {
  const cases: readonly [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(0), /empty/],
    ['text', new TextEncoder().encode('hello, this is no capture at all'), /not a capture/],
    ['short header', pcapFile(frames).subarray(0, 10), /file header/],
    ['modified', Uint8Array.of(0x34, 0xcd, 0xb2, 0xa1, ...new Uint8Array(40)), /Kuznetzov/],
  ]
  for (const [name, bytes, message] of cases) {
    await assert.rejects(readAll(temporaryFile(t, name, bytes)), { exit: 2, message }, name)
  }
  await assert.rejects(readAll('/nonexistent/x.pcap'), { exit: 2, message: /cannot open/ })
})

test('merging keeps every frame and puts them in order of time', async (t: TestContext) => {
  const parts = [0, 1, 2].map((part) =>
    Array.from({ length: 3000 }, (_, i) => ({
      atNs: i * 3_000_000 + part * 1_000_000,
      bytes: udpFrame({ ipId: i, sourcePort: 1000 + part, payload: payload(600, i) }),
    })),
  )
  const directory = temporaryDirectory(t)
  const inputs = parts.map((part, i) => temporaryFile(t, `${i}.pcap`, pcapFile(part)))
  const output = `${directory}/merged.pcap`
  assert.equal(await mergeCaptures(inputs, output), 9000)
  const { frames: seen } = await readAll(output)
  const expected = parts.flat().sort((a, b) => a.atNs - b.atNs)
  assert.deepEqual(
    seen.map((frame) => frame.bytes),
    expected.map((frame) => Buffer.from(frame.bytes).toString('hex')),
  )
  assert.deepEqual(
    seen.map((frame) => frame.timeNs),
    expected.map((frame) => frame.atNs),
  )
})

function offsetOf(problem: unknown): number | undefined {
  if (problem && typeof problem === 'object' && 'offset' in problem) return Number(problem.offset)
  return undefined
}
