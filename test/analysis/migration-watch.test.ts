import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { MigrationDocument } from '../../src/analysis/migration-watch.js'
import { encodingNames } from '../../src/analysis/pagewire-stream.js'
import { Encoding } from '../../src/memory/encoding.js'
import { FrameType } from '../../src/wire/frame.js'
import { passOver } from '../support/analysed.js'
import { be16, be32, type CapturedFrame, join, payload, pcapFile } from '../support/pcap-builder.js'
import { connection, PagewireLane, QemuStream } from '../support/streams.js'
import { temporaryFile } from '../support/temporary.js'

async function migrations(t: TestContext, frames: readonly CapturedFrame[]): Promise<MigrationDocument[]> {
  const pass = await passOver(temporaryFile(t, 'stream.pcap', pcapFile(frames)))
  return pass.migrations.result()
}

const guestPages = 300
const blocks = [
  ['pc.ram', guestPages * 4096],
  ['pc.bios', 4 * 4096],
] as const

/** Three sweeps of RAM: all pages (a third of them zero), every fifth, then twelve in the stop phase. */
function preCopy(): Uint8Array {
  const stream = new QemuStream().start(blocks).section(2)
  for (let page = 0; page < guestPages; page++) page % 3 === 0 ? stream.zero(page) : stream.raw(page)
  stream.endSection().section(2)
  for (let page = 0; page < 4; page++) stream.raw(page, 'pc.bios')
  stream.endSection().section(2)
  for (let page = 0; page < guestPages; page += 5) page % 2 === 0 ? stream.xbzrle(page, 40) : stream.raw(page)
  stream.endSection().section(3)
  for (let page = 7; page < 19; page++) stream.raw(page)
  return stream.endSection().device(2000).bytes()
}

test("QEMU's pre-copy is told sweep by sweep, whatever the segments and their order", async (t) => {
  for (const seed of [1, 2, 3]) {
    const frames = connection(preCopy(), [], { seed, port: 45_454, disorder: 0.1 })
    const [found, ...others] = await migrations(t, frames)
    assert.equal(others.length, 0)
    assert.equal(found?.protocol, 'qemu')
    assert.equal(found.source, '10.0.0.1')
    assert.equal(found.unseen_bytes, 0, `seed ${seed}`)
    assert.equal(found.pages_total, guestPages + 4)
    assert.deepEqual(
      found.rounds.map((round) => [round.phase, round.pages, round.zero_pages, round.repeated_pages]),
      [
        ['pre-copy', 304, 100, 0],
        ['pre-copy', 60, 0, 60],
        ['stop', 12, 0, 12],
      ],
    )
    assert.equal(found.pages.unique, 304)
    assert.equal(found.pages.by_class['zero']?.pages, 100)
    assert.equal(found.pages.by_class['xbzrle']?.pages, 30)
    assert.equal(found.device_bytes, 2000)
    const [, second] = found.rounds
    assert.ok(Math.abs(second!.dirty_pages_per_s! - (60 * 1000) / found.rounds[0]!.duration_ms) < 1e-6)
    assert.ok(found.downtime_ms! > found.stop_and_copy_ms!)
    const name = 1 + 'pc.ram'.length
    assert.equal(found.rounds[2]!.bytes, 12 * 4104 + name)
  }
})

test("QEMU's post-copy shows requests, and pages after the device state are its phase", async (t) => {
  const stream = new QemuStream().start(blocks).command(1).section(2)
  for (let page = 0; page < 50; page++) stream.raw(page)
  stream.endSection().command(6, payload(60)).packaged(3000).section(2)
  for (const page of [200, 60, 199, 61]) stream.raw(page)
  const bytes = stream.endSection().section(3).endSection().add(Uint8Array.of(0)).bytes()
  const request = (page: number): Uint8Array =>
    join(be16(4), be16(12), be32(0), be32(page * 4096), be32(4096))
  const back = [
    { atNs: 30e6, bytes: join(be16(2), be16(4), be32(7)) },
    { atNs: 40e6, bytes: request(200) },
    { atNs: 41e6, bytes: request(199) },
  ]
  const [found] = await migrations(t, connection(bytes, back, { seed: 4, port: 4444, nsPerByte: 100 }))
  assert.ok(found)
  assert.equal(found.page_requests, 2)
  assert.equal(found.device_bytes, 3000)
  assert.deepEqual(
    found.rounds.map((round) => [round.phase, round.pages]),
    [
      ['pre-copy', 50],
      ['post-copy', 4],
    ],
  )
  assert.ok(found.marks.some(({ what }) => what === 'packaged device state'))
  assert.ok(found.downtime_ms! > 0 && found.downtime_ms! < 40)
})

test('a stream joined in its middle, or with holes, is told as far as it was seen, and says so', async (t) => {
  const whole = preCopy()
  const [joined] = await migrations(t, connection(whole, [], { seed: 5, port: 4444, fromByte: 300_000 }))
  assert.ok(joined)
  assert.equal(joined.streams[0]?.seen_from, 'middle')
  assert.ok(joined.pages.sent > 130 && joined.pages.sent < 376, `${joined.pages.sent} pages`)
  assert.match(joined.notes.join(' '), /begins in the middle/)
  assert.equal(joined.rounds.at(-1)?.phase, 'stop')

  const [holed] = await migrations(t, connection(whole, [], { seed: 6, port: 4444, holes: 0.02 }))
  assert.ok(holed)
  assert.ok(holed.unseen_bytes > 0)
  assert.ok(holed.pages.sent > 250 && holed.pages.sent < 376, `${holed.pages.sent} pages`)
  assert.match(holed.notes.join(' '), /not captured or not understood/)
})

/** Two lanes: bulk with two rounds, then, on the other, the stop round, device state and, 2 ms later, the resume. */
function pagewire(captured?: number): CapturedFrame[] {
  const bulk = new PagewireLane(0).config(500)
  for (let page = 0; page < 200; page++) bulk.page(page, page % 4 === 0 ? 1 : 0, page % 4 === 0 ? 0 : 4096)
  bulk.flush()
  for (let page = 0; page < 200; page += 10) bulk.page(page)
  bulk.flush()
  const last = new PagewireLane(1)
  const idle = last.length
  for (let page = 5; page < 15; page++) last.page(page, 3, 100)
  last
    .flush()
    .frame(FrameType.device, 0, 0, 0, payload(5000))
    .frame(FrameType.handover, 0, 5000, 2, payload(8))
  last.frame(FrameType.bye, 0, 0, 0)

  const nsPerByte = 40
  const pauseNs = (bulk.length + 1000) * nsPerByte
  const endNs = pauseNs + last.length * nsPerByte
  const greeted = last.back.length
  last.answer(FrameType.resumed, 0, 0, payload(16))
  const greeting = (lane: PagewireLane): { atNs: number; bytes: Uint8Array }[] => [
    { atNs: 900, bytes: lane.back.bytes().subarray(0, 40) },
    { atNs: 1000 + 73 * nsPerByte, bytes: lane.back.bytes().subarray(40, greeted) },
  ]
  const resumed = { atNs: endNs + 2e6, bytes: last.back.bytes().subarray(greeted) }
  const common = { nsPerByte, ...(captured === undefined ? {} : { captured }) }
  return [
    ...connection(bulk.bytes(), greeting(bulk), { seed: 1, port: 7000, ...common }),
    ...connection(last.bytes(), [...greeting(last), resumed], {
      seed: 2,
      port: 7001,
      clientPort: 45_001,
      pause: { atByte: idle, ns: pauseNs },
      ...common,
    }),
  ].toSorted((x, y) => x.atNs - y.atNs)
}

test("Pagewire's lanes are one migration, with rounds, encodings, stop phase and downtime", async (t) => {
  const [found, ...others] = await migrations(t, pagewire())
  assert.ok(found)
  assert.equal(others.length, 0)
  assert.equal(found.protocol, 'pagewire')
  assert.equal(found.unseen_bytes, 0)
  assert.equal(found.pages_total, 500)
  assert.deepEqual(
    found.rounds.map((round) => [round.phase, round.pages, round.zero_pages, round.repeated_pages]),
    [
      ['pre-copy', 200, 50, 0],
      ['pre-copy', 20, 0, 20],
      ['stop', 10, 0, 10],
    ],
  )
  assert.deepEqual(found.pages.by_class['xbzrle'], { pages: 10, bytes: 1160 })
  assert.equal(found.device_bytes, 5000)
  assert.ok(found.downtime_ms! > 2 && found.downtime_ms! < 10, `${found.downtime_ms}`)
})

test('a short rest of a stream is enough to know it by', async (t) => {
  const whole = preCopy()
  const fromByte = whole.length - 32_000
  const [found] = await migrations(t, connection(whole, [], { seed: 5, port: 4444, fromByte }))
  assert.ok(found)
  assert.match(found.notes.join(' '), /begins in the middle/)
  assert.ok(found.pages.sent > 2 && found.pages.sent < 40, `${found.pages.sent} pages`)
})

test('of a capture with a short snaplen only what was kept is told, with the share that was not', async (t) => {
  const [found] = await migrations(t, pagewire(128))
  assert.ok(found)
  assert.ok(found.pages.sent > 0 && found.pages.sent < 230)
  assert.match(found.notes.join(' '), /not captured/)
})

test('other traffic is no migration, even if its bytes begin alike', async (t) => {
  const web = join(payload(50_000, 1), new Uint8Array(60_000), payload(300_000, 2))
  const teaser = join(be32(0x5145564d), be32(9), payload(5000))
  const frames = [
    ...connection(web, [], { seed: 1, port: 80, fromByte: 5000 }),
    ...connection(teaser, [], { seed: 2, port: 81, clientPort: 45_002 }),
  ]
  assert.deepEqual(await migrations(t, frames), [])
})

test('the names of encodings are those of the protocol', () => {
  assert.deepEqual(Object.fromEntries(encodingNames.map((name, i) => [name, i])), { ...Encoding })
})
