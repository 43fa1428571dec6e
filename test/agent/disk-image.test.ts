import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blockHash, DiskImage } from '../../src/agent/disk-image.js'
import { deltaContent } from '../../src/agent/disk-state.js'
import { pageHash } from '../../src/agent/session.js'
import { pageContent } from '../../src/memory/content.js'
import { hashEntryBytes } from '../../src/wire/frame.js'
import { WriteLog } from '../../src/workload/write-log.js'

const spec = { totalBlocks: 8, blockBytes: 512, writesPerSecond: 0, workingSetBlocks: 8, replicaShare: 0.5 }
const content = pageContent({ kind: 'random' }, 512, 3)

function bytes(block: number, version: number): Buffer {
  const made = Buffer.alloc(512)
  content.write(block, version, made, 0)
  return made
}

/** Forwarded writes in their order. */
function deltas(...writes: readonly (readonly [block: number, version: number])[]): Buffer[] {
  const log = new WriteLog()
  for (const [block, version] of writes) log.add(block, version)
  const delta = deltaContent(content, log)
  return writes.map(([, version], place) => {
    const made = Buffer.alloc(delta.pageBytes)
    delta.write(place, version, made, 0)
    return made
  })
}

/** Blocks that differ from these versions. */
function differing(image: DiskImage, versions: readonly number[]): number {
  const list = Buffer.alloc(8 * versions.length)
  for (const [block, version] of versions.entries()) {
    list.writeUInt32BE(version, 8 * block)
    list.writeUInt32BE(pageHash(content, block, version, Buffer.alloc(512)), 8 * block + 4)
  }
  image.audit(0, list)
  return image.auditOutcome().differing
}

test('forwarded writes wait for the bulk copy, and are then applied in order', () => {
  const image = new DiskImage(spec, content, 3)
  const [first, second, third] = deltas([2, 1], [2, 2], [5, 1])
  image.delta(0, first!)
  image.delta(1, second!)
  // Block 2 is read after its first write; block 5 before its own.
  for (let block = 0; block < 8; block++)
    image.block(block, block === 2 ? 1 : 0, bytes(block, block === 2 ? 1 : 0))
  image.delta(2, third!)
  assert.ok(image.settled)
  assert.equal(differing(image, [0, 0, 2, 0, 0, 1, 0, 0]), 0)
})

test('a write that is missing, repeated, out of range or changed is refused', () => {
  const [first, second] = deltas([2, 1], [2, 2])
  const image = new DiskImage(spec, content, 3)
  assert.throws(() => image.delta(1, second!), /write 1 was forwarded, expected 0/)
  image.delta(0, first!)
  assert.throws(() => image.delta(0, first!), /expected 1/)
  const changed = Buffer.from(second!)
  changed[100]! ^= 1
  assert.throws(() => image.delta(1, changed), /wrong bytes/)
  assert.throws(() => image.delta(1, second!.subarray(0, 6)), /without a block/)
  assert.throws(() => image.block(8, 0, bytes(0, 0)), /block 8 does not exist/)
  assert.throws(() => image.block(1, 0, bytes(2, 0)), /wrong bytes/)
  image.block(1, 3, bytes(1, 3))
  assert.throws(() => image.block(1, 2, bytes(1, 2)), /after version 3/)
  assert.ok(!image.settled, 'a write waits for the blocks that have not come')
})

test('a lost block is found at the end', () => {
  const image = new DiskImage(spec, content, 3)
  for (let block = 0; block < 7; block++) image.block(block, 0, bytes(block, 0))
  assert.equal(differing(image, [0, 0, 0, 0, 0, 0, 0, 0]), 1)
})

test('asked by hash, it says which blocks of its replica are not what the source has', () => {
  const image = new DiskImage(spec, content, 3)
  const list = (version: number): Buffer =>
    Buffer.concat(
      Array.from({ length: 8 }, (_, block) => {
        const entry = Buffer.alloc(hashEntryBytes)
        entry.writeUInt32BE(version, 0)
        blockHash(content, block, version, Buffer.alloc(512)).copy(entry, 4)
        return entry
      }),
    )
  const ones = (bitmap: Buffer): number => bitmap[0]!.toString(2).replaceAll('0', '').length
  assert.equal(ones(image.unknown(0, list(0))), 4, 'half of them are there')
  assert.equal(ones(image.unknown(0, list(1))), 8, 'none in a newer version')
  assert.throws(() => image.unknown(8, list(0)), /out of range/)
  assert.throws(() => image.unknown(0, list(0).subarray(1)), /out of range/)
})
