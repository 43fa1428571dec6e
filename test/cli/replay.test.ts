/** `replay` as far as it goes without root: what it would send, and what it refuses. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { payload, pcapFile, tcpFrame, udpFrame } from '../support/pcap-builder.js'
import { temporaryFile } from '../support/temporary.js'
import { pagewire } from './cli.js'

const frames = Array.from({ length: 11 }, (_, i) => ({
  atNs: i * 10_000_000,
  bytes:
    i % 2 === 0
      ? tcpFrame({ tags: [{ vlan: 100, pcp: 7 }], dscp: 56, payload: payload(942, i) })
      : udpFrame({ payload: payload(458, i) }),
  ...(i < 3 ? { captured: 100 } : {}),
}))
const capture = pcapFile(frames)
const dry = (
  file: string,
  ...more: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> =>
  pagewire(['replay', file, '--dev', 'lo', '--dry-run', ...more])

test('a dry run says what would be sent', async (t) => {
  const file = temporaryFile(t, 'a.pcap', capture)
  const { code, stdout } = await dry(
    file,
    '--json',
    '--loop',
    '2',
    '--speed',
    '2',
    '--dscp',
    'LE',
    '--pcp',
    '1',
  )
  assert.equal(code, 0)
  const document = JSON.parse(stdout)
  assert.equal(document.schema, 'pagewire.replay/1')
  assert.equal(document.cut_by_snaplen, 3)
  const { planned } = document
  const bytes = 6 * 1000 + 5 * 504
  assert.deepEqual(planned.classes, [
    { vlan: 100, pcp: 1, dscp: 1, frames: 6, bytes: 6000 },
    { vlan: 0, pcp: 1, dscp: 1, frames: 5, bytes: 5 * 504 },
  ])
  assert.deepEqual([planned.frames, planned.bytes], [22, 2 * bytes])
  assert.ok(Math.abs(planned.duration_s - 0.105) < 1e-9)
  assert.equal(document.result, undefined)
  const { stdout: text } = await dry(file)
  assert.match(text, /Would send .*a\.pcap on lo/)
  assert.match(text, /3 frames were cut by the snaplen/)
})

test('a rate and a filter change the plan', async (t) => {
  const file = temporaryFile(t, 'a.pcap', capture)
  const { stdout } = await dry(file, '--json', '--pps', '100', '-Y', 'pcp==7')
  const { planned } = JSON.parse(stdout)
  assert.equal(planned.frames, 6)
  assert.ok(Math.abs(planned.duration_s - 0.05) < 1e-9)
})

test('a cut file is planned up to the cut, and exits with 2', async (t) => {
  const file = temporaryFile(t, 'a.pcap', capture.subarray(0, capture.length - 5))
  const { code, stdout, stderr } = await dry(file, '--json')
  assert.equal(code, 2)
  assert.equal(JSON.parse(stdout).planned.frames, 10)
  assert.match(stderr, /byte \d+ are all there is/)
})

test('frames of another link, and options that contradict each other, are refused', async (t) => {
  const raw = temporaryFile(t, 'raw.pcap', pcapFile(frames, { linkType: 101 }))
  const refused = await dry(raw)
  assert.equal(refused.code, 2)
  assert.match(refused.stdout, /11 frames are not of an Ethernet link: not sent/)
  const file = temporaryFile(t, 'a.pcap', capture)
  for (const [options, message] of [
    [['--speed', '2', '--mbps', '10'], /exclude each other/],
    [['--vlan', 'none', '--pcp', '3'], /leaves no tag/],
    [['--vlan', '4095'], /from 0 to 4094/],
    [['--dscp', 'CS8'], /unknown traffic class/],
    [['--mbps', '0'], /above 0/],
    [['--loop', '0'], /from 1 to/],
    [['-Y', 'nonesuch'], /nonesuch/],
  ] as const) {
    const { code, stderr } = await dry(file, ...options)
    assert.equal(code, 2, options.join(' '))
    assert.match(stderr, message)
  }
  const nowhere = await pagewire(['replay', file, '--dev', 'nonesuch0'])
  assert.equal(nowhere.code, 2)
  assert.match(nowhere.stderr, /no interface 'nonesuch0'/)
})
