/** Frames as a replay sends them: marks as asked, everything else as captured, checksums that tshark finds good. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Rewrite } from '../../src/replay/rewrite.js'
import { eachFrame } from '../../src/replay/source.js'
import {
  be16,
  be32,
  type CapturedFrame,
  ethernet,
  type FrameFields,
  ipv4Frame,
  join,
  payload,
  pcapFile,
  tcpFrame,
  udpFrame,
} from '../support/pcap-builder.js'
import { temporaryDirectory } from '../support/temporary.js'
import { tsharkFields, withoutTshark } from '../support/tshark.js'

function ipv6Frame(fields: FrameFields, protocol: number, body: Uint8Array): Uint8Array {
  const trafficClass = ((fields.dscp ?? 0) << 2) | (fields.ecn ?? 0)
  const address = (last: number): Uint8Array => join(be32(0x2001_0db8), be32(0), be32(0), be32(last))
  const header = join(
    be32(0x6000_0000 | (trafficClass << 20) | 0x12345),
    be16(body.length),
    Uint8Array.of(protocol, 64),
    address(1),
    address(2),
  )
  return ethernet(fields, 0x86dd, join(header, body))
}

const udpBody = (length: number): Uint8Array =>
  join(be16(1000), be16(2000), be16(8 + length), be16(0x1234), payload(length, 3))

/** A checksum of 0 in UDP means that there is none; the others are wrong until they are mended. */
const frames: readonly Uint8Array[] = [
  tcpFrame({ payload: payload(1000, 1), dscp: 10, ecn: 1 }),
  tcpFrame({ tags: [{ vlan: 100, pcp: 7 }], payload: payload(333, 2), options: join(be32(0x01010101)) }),
  ipv4Frame(
    {
      tags: [
        { vlan: 5, pcp: 1, type: 0x88a8 },
        { vlan: 6, pcp: 2 },
      ],
    },
    17,
    udpBody(77),
  ),
  ipv4Frame({ dscp: 46 }, 1, join(Uint8Array.of(8, 0, 9, 9), be32(1), payload(31, 4))),
  ipv6Frame({ dscp: 8, ecn: 2 }, 17, udpBody(100)),
  // A hop-by-hop header in front.
  ipv6Frame({}, 0, join(Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0), udpBody(11))),
  udpFrame({ payload: payload(50, 5) }),
  ethernet({}, 0x0806, payload(28, 6)),
]
const records = (captured?: number): CapturedFrame[] =>
  frames.map((bytes, i) => ({
    atNs: i * 1000,
    bytes,
    ...(captured === undefined ? {} : { captured: Math.min(captured, bytes.length) }),
  }))

/** Rewrites a capture into another one, as a replay would put it on the wire. */
async function rewritten(
  t: TestContext,
  rewrite: Rewrite,
  capture = records(),
): Promise<{ readonly file: string; readonly frames: readonly Buffer[] }> {
  const directory = temporaryDirectory(t)
  const input = joinPath(directory, 'in.pcap')
  writeFileSync(input, pcapFile(capture))
  const sent: Buffer[] = []
  await eachFrame({ file: input, rewrite }, (_, bytes, length) => {
    sent.push(Buffer.from(bytes.subarray(0, length)))
    return true
  })
  const file = joinPath(directory, 'out.pcap')
  writeFileSync(file, pcapFile(sent.map((bytes, i) => ({ atNs: i, bytes }))))
  return { file, frames: sent }
}

const checksums = ['ip.checksum.status', 'tcp.checksum.status', 'udp.checksum.status', 'icmp.checksum.status']
const verify = ['ip', 'tcp', 'udp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`])
/** tshark's word for each checksum: 1 is good, 3 is not there. */
function checksumRows(file: string): string[][] {
  return tsharkFields(file, checksums, verify)
}

const good = [
  ['1', '1', '', ''],
  ['1', '1', '', ''],
  ['1', '', '1', ''],
  ['1', '', '', '1'],
  ['', '', '1', ''],
  ['', '', '1', ''],
  ['1', '', '3', ''],
  ['', '', '', ''],
]

test('a frame that is neither re-marked nor cut is sent byte by byte', async (t) => {
  const { frames: sent } = await rewritten(t, {})
  assert.deepEqual(
    sent,
    frames.map((bytes) => Buffer.from(bytes)),
  )
})

test('a DSCP is set in both IP versions, the ECN bits stay', { skip: withoutTshark }, async (t) => {
  const { file } = await rewritten(t, { dscp: 56 })
  const rows = tsharkFields(file, [
    'ip.dsfield.dscp',
    'ip.dsfield.ecn',
    'ipv6.tclass.dscp',
    'ipv6.tclass.ecn',
    'ipv6.flow',
  ])
  assert.deepEqual(rows[0], ['56', '1', '', '', ''])
  assert.deepEqual(rows[4], ['', '', '56', '2', '0x012345'])
  assert.equal(rows.filter((row) => row[0] === '56' || row[2] === '56').length, 7)
  assert.deepEqual(checksumRows(file), good)
})

test('a tag is put on, changed where it names the class, and taken off', {
  skip: withoutTshark,
}, async (t) => {
  const marks = (file: string): string[][] =>
    tsharkFields(file, ['vlan.id', 'vlan.priority', 'ieee8021ad.id', 'ieee8021ad.priority'])
  const tagged = marks((await rewritten(t, { vlan: 200, pcp: 3 })).file)
  assert.deepEqual(tagged[0], ['200', '3', '', ''])
  assert.deepEqual(tagged[1], ['200', '3', '', ''])
  assert.deepEqual(tagged[2], ['200', '3', '5', '1'])
  assert.deepEqual(tagged[7], ['200', '3', '', ''])
  const onlyPcp = marks((await rewritten(t, { pcp: 4 })).file)
  assert.deepEqual(
    [onlyPcp[0]?.slice(0, 2), onlyPcp[1]?.slice(0, 2)],
    [
      ['0', '4'],
      ['100', '4'],
    ],
  )
  const onlyVlan = marks((await rewritten(t, { vlan: 9 })).file)
  assert.deepEqual(
    [onlyVlan[0]?.slice(0, 2), onlyVlan[1]?.slice(0, 2)],
    [
      ['9', '0'],
      ['9', '7'],
    ],
  )
  const none = await rewritten(t, { vlan: 'none' })
  assert.deepEqual(marks(none.file).flat().filter(Boolean), [])
  assert.deepEqual(none.frames[7], Buffer.from(frames[7]!))
  assert.deepEqual(checksumRows(none.file), good)
})

test('a frame that the snaplen cut has its length again, and checksums over zeros', {
  skip: withoutTshark,
}, async (t) => {
  const { file, frames: sent } = await rewritten(t, {}, records(70))
  assert.deepEqual(
    sent.map((bytes) => bytes.length),
    frames.map((bytes) => bytes.length),
  )
  assert.deepEqual(checksumRows(file), good)
  assert.ok(sent[0]!.subarray(70).every((byte) => byte === 0))
})

test('a fragment keeps the checksum of its datagram', async (t) => {
  const first = Buffer.from(ipv4Frame({}, 17, udpBody(64)))
  first.writeUInt16BE(0x2000, 14 + 6)
  const { frames: sent } = await rewritten(t, { dscp: 46 }, [{ atNs: 0, bytes: first }])
  assert.equal(sent[0]!.readUInt16BE(14 + 20 + 6), 0x1234)
})

test('what has no Ethernet header cannot be sent', async (t) => {
  const { frames: sent } = await rewritten(t, {}, records(13))
  assert.ok(sent.every((bytes) => bytes.length === 0))
})
