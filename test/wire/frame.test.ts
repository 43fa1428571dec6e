import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameType, frame, headerBytes, payloadLimit, viewOf, writeHeader } from '../../src/wire/frame.js'

/** Every frame of protocol version 1 with sample fields, and the bytes that it must be. */
const samples: readonly { name: string; bytes: Buffer; hex: string }[] = [
  {
    name: 'config',
    bytes: frame(FrameType.config, 0, 0, Buffer.from('{}')),
    hex: '01000000 00000002 00000000 00000000 7b7d',
  },
  { name: 'configOk', bytes: frame(FrameType.configOk), hex: '02000000 00000000 00000000 00000000' },
  {
    name: 'trace',
    bytes: frame(FrameType.trace, 5461, 0, Buffer.from('3ff000000000000000000007', 'hex')),
    hex: '03000000 0000000c 00001555 00000000 3ff0000000000000 00000007',
  },
  {
    name: 'flush',
    bytes: frame(FrameType.flush, 0x01020304),
    hex: '11000000 00000000 01020304 00000000',
  },
  {
    name: 'confirm',
    bytes: frame(FrameType.confirm, 9, 0xfffffffe),
    hex: '12000000 00000000 00000009 fffffffe',
  },
  {
    name: 'device',
    bytes: frame(FrameType.device, 65536, 0, Buffer.from('abc')),
    hex: '20000000 00000003 00010000 00000000 616263',
  },
  {
    name: 'handover',
    bytes: frame(FrameType.handover, 262144, 2, Buffer.from('0000000100000002', 'hex')),
    hex: '21000000 00000008 00040000 00000002 00000001 00000002',
  },
  {
    name: 'resumed',
    bytes: frame(FrameType.resumed, 0, 0, Buffer.from('00000000000000010000000000000002', 'hex')),
    hex: '22000000 00000010 00000000 00000000 0000000000000001 0000000000000002',
  },
  {
    name: 'missing',
    bytes: frame(FrameType.missing, 524288, 0, Buffer.from('8001', 'hex')),
    hex: '23000000 00000002 00080000 00000000 8001',
  },
  {
    name: 'position',
    bytes: frame(FrameType.position, 0, 0, Buffer.from('3ff00000000000000000000000000002', 'hex')),
    hex: '24000000 00000010 00000000 00000000 3ff0000000000000 0000000000000002',
  },
  { name: 'fault', bytes: frame(FrameType.fault, 12), hex: '25000000 00000000 0000000c 00000000' },
  { name: 'report', bytes: frame(FrameType.report), hex: '26000000 00000000 00000000 00000000' },
  {
    name: 'reported',
    bytes: frame(FrameType.reported, 4, 1, Buffer.from('3ff0000000000000', 'hex')),
    hex: '27000000 00000008 00000004 00000001 3ff0000000000000',
  },
  {
    name: 'audit',
    bytes: frame(FrameType.audit, 8192, 0, Buffer.from('00000005deadbeef', 'hex')),
    hex: '30000000 00000008 00002000 00000000 00000005 deadbeef',
  },
  { name: 'auditEnd', bytes: frame(FrameType.auditEnd), hex: '31000000 00000000 00000000 00000000' },
  {
    name: 'auditResult',
    bytes: frame(FrameType.auditResult, 3, 77),
    hex: '32000000 00000000 00000003 0000004d',
  },
  { name: 'fetch', bytes: frame(FrameType.fetch, 9, 2), hex: '44000000 00000000 00000009 00000002' },
  {
    name: 'fetched',
    bytes: frame(FrameType.fetched, 9, 2, Buffer.of(1, 2)),
    hex: '45000000 00000002 00000009 00000002 0102',
  },
  {
    name: 'block',
    bytes: frame(FrameType.block, 12, 3, Buffer.of(7)),
    hex: '46000000 00000001 0000000c 00000003 07',
  },
  {
    name: 'delta',
    bytes: frame(FrameType.delta, 4, 0, Buffer.from('0000000c0000000307', 'hex')),
    hex: '47000000 00000009 00000004 00000000 0000000c 00000003 07',
  },
  {
    name: 'diskHashes',
    bytes: frame(FrameType.diskHashes, 8, 0, Buffer.alloc(20, 2)),
    hex: `48000000 00000014 00000008 00000000 ${'02'.repeat(20)}`,
  },
  {
    name: 'diskUnknown',
    bytes: frame(FrameType.diskUnknown, 8, 0, Buffer.of(0x81)),
    hex: '49000000 00000001 00000008 00000000 81',
  },
  {
    name: 'diskAudit',
    bytes: frame(FrameType.diskAudit, 8, 0, Buffer.from('00000003deadbeef', 'hex')),
    hex: '4a000000 00000008 00000008 00000000 00000003 deadbeef',
  },
  { name: 'diskAuditEnd', bytes: frame(FrameType.diskAuditEnd), hex: '4b000000 00000000 00000000 00000000' },
  {
    name: 'diskAudited',
    bytes: frame(FrameType.diskAudited, 2, 9),
    hex: '4c000000 00000000 00000002 00000009',
  },
  {
    name: 'abort',
    bytes: frame(FrameType.abort, 0, 0, Buffer.from('stop')),
    hex: '40000000 00000004 00000000 00000000 73746f70',
  },
  { name: 'aborted', bytes: frame(FrameType.aborted), hex: '41000000 00000000 00000000 00000000' },
  {
    name: 'error',
    bytes: frame(FrameType.error, 0, 0, Buffer.from('{}')),
    hex: '42000000 00000002 00000000 00000000 7b7d',
  },
  { name: 'bye', bytes: frame(FrameType.bye), hex: '43000000 00000000 00000000 00000000' },
  {
    name: 'checkpoint',
    bytes: frame(FrameType.checkpoint, 0, 0, Buffer.alloc(24, 1)),
    hex: `50000000 00000018 00000000 00000000 ${'01'.repeat(24)}`,
  },
  {
    name: 'log',
    bytes: frame(FrameType.log, 5, 0, Buffer.of(9, 8)),
    hex: '51000000 00000002 00000005 00000000 0908',
  },
  {
    name: 'logMark',
    bytes: frame(FrameType.logMark, 6, 1, Buffer.alloc(16)),
    hex: `52000000 00000010 00000006 00000001 ${'00'.repeat(16)}`,
  },
  {
    name: 'replayed',
    bytes: frame(FrameType.replayed, 0, 1, Buffer.alloc(16)),
    hex: `53000000 00000010 00000000 00000001 ${'00'.repeat(16)}`,
  },
]

for (const { name, bytes, hex } of samples) {
  test(`${name} is these bytes`, () => {
    assert.equal(bytes.toString('hex'), hex.replaceAll(' ', ''))
  })
}

test('a page header carries type, encoding, length, page and version', () => {
  const bytes = Buffer.alloc(headerBytes + 4, 0xee)
  writeHeader(viewOf(bytes), 2, FrameType.page, 7, 4096, 0xfedcba98, 0x80000001)
  assert.equal(bytes.toString('hex'), 'eeee' + '10070000' + '00001000' + 'fedcba98' + '80000001' + 'eeee')
})

test('every frame type has a sample here and a limit on its payload', () => {
  const sampled = samples.map(({ name }) => name)
  const known = Object.entries(FrameType).filter(([name]) => name !== 'page')
  assert.deepEqual(
    sampled,
    known.map(([name]) => name),
  )
  for (const [, code] of known) assert.ok(payloadLimit(code, 4096)! <= 64 * 1024)
  assert.equal(payloadLimit(FrameType.page, 4096), 4096)
})

test('numbers that do not exist have no limit, so that nothing is read for them', () => {
  const known = new Set<number>(Object.values(FrameType))
  for (let type = 0; type < 256; type++) {
    if (!known.has(type)) assert.equal(payloadLimit(type, 4096), undefined, `type ${type}`)
  }
})
