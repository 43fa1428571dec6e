import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { decode } from '../../src/capture/decode.js'
import { absent } from '../../src/capture/frame.js'
import { openCapture } from '../../src/capture/read.js'
import { TimeBase } from '../../src/capture/record-scanner.js'
import { baseSeconds, PcapngBuilder } from '../support/pcap-builder.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'
import { tsharkFields, withoutTshark } from '../support/tshark.js'
import { zoo } from '../support/zoo.js'

/** What both decoders say about a frame. */
interface Row {
  readonly time: string
  readonly length: string
  readonly captured: string
  readonly vlan: string
  readonly pcp: string
  readonly dscp: string
  readonly protocol: string
  readonly ports: string
  readonly sequence: string
  readonly payload: string
}

async function ours(
  file: string,
): Promise<{ rows: Row[]; problem: unknown; format: string; dropped: unknown }> {
  const timeBase = new TimeBase()
  const reader = await openCapture(file, timeBase)
  const { frame } = reader
  const rows: Row[] = []
  const text = (value: number): string => (value === absent ? '' : String(value))
  do {
    while (reader.next()) {
      decode(frame)
      const seconds = Math.floor(frame.timeNs / 1e9)
      rows.push({
        time: `${(timeBase.seconds ?? 0) + seconds}.${String(frame.timeNs - seconds * 1e9).padStart(9, '0')}`,
        length: String(frame.wireLength),
        captured: String(frame.capLength),
        vlan: text(frame.vlan),
        pcp: text(frame.pcp),
        dscp: text(frame.dscp),
        protocol: text(frame.protocol),
        ports: frame.sourcePort === absent ? '' : `${frame.sourcePort} ${frame.destinationPort}`,
        sequence: frame.tcp ? String(frame.sequence >>> 0) : '',
        payload: frame.tcp ? String(frame.payloadLength) : '',
      })
    }
  } while (await reader.fill())
  await reader.close()
  return { rows, problem: reader.problem, format: reader.format, dropped: reader.dropped }
}

const fields = [
  'frame.time_epoch',
  'frame.len',
  'frame.cap_len',
  'vlan.id',
  'vlan.priority',
  'ieee8021ad.id',
  'ieee8021ad.priority',
  'ip.dsfield.dscp',
  'ipv6.tclass.dscp',
  'ip.proto',
  'ipv6.nxt',
  'ipv6.hopopts.nxt',
  'ipv6.fraghdr.nxt',
  'tcp.srcport',
  'tcp.dstport',
  'udp.srcport',
  'udp.dstport',
  'tcp.seq_raw',
  'tcp.len',
]

function theirs(file: string): Row[] {
  return tsharkFields(file, fields, ['-o', 'ip.defragment:FALSE', '-o', 'ipv6.defragment:FALSE']).map(
    (row) => {
      const value = (name: string): string => row[fields.indexOf(name)]?.split(',')[0] ?? ''
      const protocol = ['ipv6.fraghdr.nxt', 'ipv6.hopopts.nxt', 'ipv6.nxt', 'ip.proto']
        .map(value)
        .find((one) => one)
      const source = value('tcp.srcport') || value('udp.srcport')
      return {
        time: value('frame.time_epoch'),
        length: value('frame.len'),
        captured: value('frame.cap_len'),
        vlan: value('vlan.id') || value('ieee8021ad.id'),
        pcp: value('vlan.priority') || value('ieee8021ad.priority'),
        dscp: value('ip.dsfield.dscp') || value('ipv6.tclass.dscp'),
        protocol: protocol ?? '',
        ports: source && `${source} ${value('tcp.dstport') || value('udp.dstport')}`,
        sequence: value('tcp.seq_raw'),
        payload: value('tcp.len'),
      }
    },
  )
}

/** Fields that tshark shows although the header they are in is cut off, or the other way round. */
function comparable(row: Row, file: string): Partial<Row> {
  const { time, ...rest } = row
  // A simple packet block has no time of its own; tshark shows none, we go on with the last.
  const timed = file.includes('everything') ? rest : { time, ...rest }
  if (!file.includes('snaplen')) return timed
  const { ports: _, sequence: __, payload: ___, protocol: ____, ...whole } = timed
  return whole
}

/** Of a mark whose header is cut off behind it, tshark shows nothing; here each field is read that is there. */
function onlyWhere(shown: Partial<Row>, row: Partial<Row>, file: string): Partial<Row> {
  if (!file.includes('snaplen')) return row
  const hidden = (['vlan', 'pcp', 'dscp'] as const).filter((field) => shown[field] === '')
  return { ...row, ...Object.fromEntries(hidden.map((field) => [field, ''])) }
}

for (const [name, bytes] of zoo()) {
  test(`${name}: every frame as tshark sees it`, { skip: withoutTshark }, async (t) => {
    const file = temporaryFile(t, name, bytes)
    const { rows, problem } = await ours(file)
    assert.equal(problem, undefined)
    const expected = theirs(file)
    assert.equal(rows.length, expected.length)
    for (const [i, row] of rows.entries()) {
      const shown = comparable(expected[i]!, name)
      assert.deepEqual(onlyWhere(shown, comparable(row, name), name), shown, `frame ${i + 1}`)
    }
  })
}

test('pcapng times are exact in every resolution, with offsets and in both byte orders', async (t) => {
  const { rows, dropped } = await ours(temporaryFile(t, 'x.pcapng', zoo().get('everything.pcapng')!))
  const times = rows.slice(0, 3).map((row) => row.time)
  assert.deepEqual(times, [
    `${baseSeconds}.123456789`,
    `${baseSeconds}.123456001`,
    `${baseSeconds}.123456000`,
  ])
  assert.equal(dropped, 7)
})

test('custom blocks are no frames (tshark lists them as if they were)', async (t) => {
  const frame = { atNs: 5, bytes: zoo().get('empty.pcap')! }
  const builder = new PcapngBuilder().section().describe().block(0xbad, frame.bytes).packet(frame)
  const { rows, problem } = await ours(temporaryFile(t, 'x.pcapng', builder.bytes()))
  assert.equal(problem, undefined)
  assert.equal(rows.length, 1)
})

test('compressed captures are told by their content, and a cut one yields what was good', async (t) => {
  const directory = temporaryDirectory(t)
  const plain = join(directory, 'plain')
  const whole = zoo().get('nano-little.pcap')!
  writeFileSync(plain, whole)
  const expected = await ours(plain)
  const compressors = [
    ['gzip', ['-c', plain]],
    ['zstd', ['-q', '-c', plain]],
  ] as const
  for (const [tool, args] of compressors) {
    if (spawnSync(tool, ['--version']).status !== 0) {
      t.diagnostic(`${tool} is not installed: not tested`)
      continue
    }
    const file = join(directory, `compressed-${tool}`)
    const packed = execFileSync(tool, args)
    writeFileSync(file, packed)
    const result = await ours(file)
    assert.deepEqual(result.rows, expected.rows)
    assert.equal(result.format, `pcap-ns+${tool}`)
    writeFileSync(file, packed.subarray(0, packed.length - 30))
    const cut = await ours(file).catch((error: unknown) => error)
    const exit = cut instanceof Error && 'exit' in cut ? cut.exit : undefined
    assert.ok(exit === 2 || (cut !== null && typeof cut === 'object' && 'problem' in cut && cut.problem))
  }
})

test('a pcapng file cut anywhere never throws and never shows a frame that is not there', async (t) => {
  const whole = zoo().get('everything.pcapng')!
  const { rows } = await ours(temporaryFile(t, 'whole', whole))
  for (let length = 28; length < whole.length; length += 97) {
    const cut = await ours(temporaryFile(t, 'cut', whole.subarray(0, length)))
    assert.deepEqual(cut.rows, rows.slice(0, cut.rows.length), `cut at ${length}`)
  }
})
