import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { network } from '../support/network.js'
import { baseSeconds, payload, pcapFile, tcpFrame, udpFrame } from '../support/pcap-builder.js'
import { connection, QemuStream } from '../support/streams.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'
import { zoo } from '../support/zoo.js'
import { pagewire } from './cli.js'

const tags = [{ vlan: 100, pcp: 7 }]
const frames = Array.from({ length: 20 }, (_, i) => ({
  atNs: i * 250_000_000,
  bytes:
    i % 4 === 3
      ? udpFrame({ payload: payload(100, i) })
      : tcpFrame({ tags, dscp: 56, sequence: 1 + i * 1000, payload: payload(1000, i) }),
}))

test('the document has the files, the classes and the flows of every capture', async (t) => {
  const one = temporaryFile(t, 'one.pcap', pcapFile(frames))
  const two = temporaryFile(t, 'two.pcapng', zoo().get('nano.pcapng')!)
  const { code, stdout, stderr } = await pagewire(['analyze', one, two, '--json'])
  assert.equal(code, 0, stderr)
  const document = JSON.parse(stdout)
  assert.equal(document.schema, 'pagewire.analysis/1')
  assert.deepEqual(
    document.files.map((file: { format: string; packets: number }) => [file.format, file.packets]),
    [
      ['pcap-ns', 20],
      ['pcapng', 21],
    ],
  )
  assert.equal(document.files[0].first_ns, baseSeconds * 1e9)
  assert.equal(document.files[0].last_time, '2023-11-14T22:13:24.750000000Z')
  const [bulk, rest] = document.classes
  assert.deepEqual(
    { vlan: bulk.vlan, pcp: bulk.pcp, dscp: bulk.dscp, packets: bulk.packets, bytes: bulk.bytes },
    { vlan: 100, pcp: 7, dscp: 56, packets: 15, bytes: 15 * 1058 },
  )
  assert.deepEqual([rest.vlan, rest.pcp, rest.dscp, rest.packets], [null, null, 0, 5])
  assert.ok(Math.abs(bulk.throughput_mbps - (15 * 1058 * 8) / 4.75e6) < 1e-9)
  assert.equal(document.flows[0].a, '10.0.0.1:40000')
  assert.equal(document.flows[0].a_to_b.payload_bytes, 15_000)
})

test('a cut capture is analysed up to the cut, says where, and exits with 2', async (t) => {
  const whole = pcapFile(frames)
  const file = temporaryFile(t, 'cut.pcap', whole.subarray(0, whole.length - 10))
  const { code, stdout, stderr } = await pagewire(['analyze', file, '--json'])
  assert.equal(code, 2)
  const document = JSON.parse(stdout)
  const lastRecord = whole.length - 16 - frames.at(-1)!.bytes.length
  assert.equal(document.files[0].packets, 19)
  assert.equal(document.files[0].truncated_at, lastRecord)
  assert.match(stderr, new RegExp(`byte ${lastRecord}`))
})

test('standard input is read, plain and compressed, and a cut pipe is noticed', async () => {
  const animals = zoo()
  const piped = async (name: string, cut = 0): Promise<{ code: number | null; packets: number }> => {
    const bytes = animals.get(name)!
    const text = Buffer.from(bytes.subarray(0, bytes.length - cut))
    const { code, stdout } = await pagewire(['analyze', '-', '--json'], text)
    return { code, packets: JSON.parse(stdout).files[0].packets }
  }
  assert.deepEqual(await piped('micro-little.pcap'), { code: 0, packets: 21 })
  assert.deepEqual(await piped('micro-big.pcap'), { code: 0, packets: 21 })
  assert.deepEqual(await piped('nano-little.pcap'), { code: 0, packets: 21 })
  assert.deepEqual(await piped('nano-little.pcap.gz'), { code: 0, packets: 21 })
  assert.deepEqual(await piped('micro-little.pcap', 1), { code: 2, packets: 20 })
})

test('filter, time range and series select the same frames', async (t) => {
  const file = temporaryFile(t, 'one.pcap', pcapFile(frames))
  const csv = join(temporaryDirectory(t), 'series.csv')
  const selection = ['-Y', 'pcp==7 && tcp', '--from', '1s', '--to', '3s', '--interval', '500ms']
  const { code, stdout, stderr } = await pagewire(['analyze', file, ...selection, '--csv', csv, '--json'])
  assert.equal(code, 0, stderr)
  const document = JSON.parse(stdout)
  assert.equal(document.files[0].packets, 6)
  assert.equal(document.classes.length, 1)
  // Times count from the first frame of the file, which does not pass.
  assert.deepEqual(document.series[0].points, [
    [1, 2 * 1058, 2],
    [1.5, 1058, 1],
    [2, 2 * 1058, 2],
    [2.5, 1058, 1],
  ])
  assert.equal(document.flows[0].start_s, 1)
  const lines = readFileSync(csv, 'utf8').trim().split('\n')
  assert.equal(lines.length, 5)
  assert.match(lines[1] ?? '', /,100,7,56,1,0\.5,2116,2,/)
  const flows = await pagewire(['analyze', file, '--csv', '-', '--by', 'flow'])
  assert.match(flows.stdout, /^file,protocol,source,destination,time_s/)
  assert.match(flows.stdout, /,tcp,10\.0\.0\.1:40000,10\.0\.0\.2:5000,0,1,3174,3,/)
})

test('two captures of the same traffic are compared, others are not', async (t) => {
  const { a, b, lost } = network({ frames: 2000, seed: 8, lossRatio: 0.2 })
  const [before, after] = [a, b].map((part, i) => temporaryFile(t, `${i}.pcap`, pcapFile(part)))
  assert.ok(before && after)
  const both = await pagewire(['analyze', before, after, '--json'])
  assert.equal(both.code, 0, both.stderr)
  const [pair] = JSON.parse(both.stdout).pairs
  assert.equal(
    pair.classes.reduce((sum: number, row: { lost: number }) => sum + row.lost, 0),
    lost,
  )
  assert.match((await pagewire(['analyze', before, after])).stdout, /a > b +100 +\d/)
  const other = temporaryFile(t, 'other.pcap', pcapFile(frames))
  assert.equal(JSON.parse((await pagewire(['analyze', before, other, '--json'])).stdout).pairs, undefined)
  const forced = await pagewire(['analyze', before, other, '--pair'])
  assert.equal(forced.code, 2)
  assert.match(forced.stderr, /no frame in common/)
})

test('a migration is summed up and drawn, and a capture without one says that there is nothing to draw', async (t) => {
  const stream = new QemuStream().start([['pc.ram', 64 * 4096]]).section(2)
  for (let page = 0; page < 64; page++) stream.raw(page)
  for (let page = 0; page < 64; page += 4) stream.raw(page)
  const bytes = stream.endSection().section(3).raw(9).endSection().device(100).bytes()
  const file = temporaryFile(t, 'qemu.pcap', pcapFile(connection(bytes, [], { seed: 1, port: 4444 })))
  const svg = join(temporaryDirectory(t), 'pages.svg')
  const { code, stdout, stderr } = await pagewire(['analyze', file, '--plot', svg])
  assert.equal(code, 0, stderr)
  assert.match(stdout, /Migration \(qemu\) from 10\.0\.0\.1 to 10\.0\.0\.2/)
  assert.match(stdout, /81 sent of a guest of 64: 64 unique, 17 again/)
  const picture = readFileSync(svg, 'utf8')
  assert.match(picture, /^<svg xmlns/)
  assert.equal(picture.match(/<title>round \d<\/title>/g)?.length, 3)
  const document = JSON.parse((await pagewire(['analyze', file, '--json'])).stdout)
  assert.equal(document.migration.rounds.length, 3)
  const none = await pagewire(['analyze', temporaryFile(t, 'one.pcap', pcapFile(frames)), '--plot', svg])
  assert.equal(none.code, 2)
  assert.match(none.stderr, /no migration was recognised/)
})

test('a summary for people names classes by name, and quiet prints nothing', async (t) => {
  const file = temporaryFile(t, 'one.pcap', pcapFile(frames))
  const { stdout } = await pagewire(['analyze', file])
  assert.match(stdout, /100 +7 +CS7 +15/)
  assert.match(stdout, /tcp +10\.0\.0\.1:40000 +10\.0\.0\.2:5000/)
  assert.equal((await pagewire(['-q', 'analyze', file])).stdout, '')
})

test('bad input and bad options exit with 2 and say why', async (t) => {
  const text = temporaryFile(t, 'notes.txt', new TextEncoder().encode('no capture at all, only words'))
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['/nonexistent.pcap'], /cannot open/],
    [[text], /not a capture/],
    [[text, '-Y', 'foo'], /no field 'foo'/],
    [[text, '--interval', '0s'], /longer than 0/],
    [[text, '--top', 'x'], /not a number of flows/],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await pagewire(['analyze', ...args])
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, message)
  }
  const directory = temporaryDirectory(t)
  writeFileSync(join(directory, 'one.pcap'), pcapFile(frames))
  const { code, stderr } = await pagewire([
    'analyze',
    join(directory, 'one.pcap'),
    '--csv',
    join(directory, 'no/x'),
  ])
  assert.equal(code, 1)
  assert.match(stderr, /cannot write/)
})
