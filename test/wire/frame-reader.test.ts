import assert from 'node:assert/strict'
import { test } from 'node:test'
import { random } from '../../src/support/random.js'
import { FrameType, frame, headerBytes, payloadLimit, viewOf, writeHeader } from '../../src/wire/frame.js'
import { FrameReader } from '../../src/wire/frame-reader.js'
import { testSeeds } from '../support/seeds.js'

interface Seen {
  readonly type: number
  readonly encoding: number
  readonly a: number
  readonly b: number
  readonly payload: string
}

const pageBytes = 4096

/** Puts bytes into a reader as a socket does: into the space that it offered after the last time. */
class Feeder {
  readonly seen: Seen[] = []
  readonly reader: FrameReader
  #space: Buffer

  constructor(size = pageBytes, onMessage: (reader: FrameReader, type: number) => void = () => {}) {
    this.reader = new FrameReader(
      {
        page: (encoding, page, version, bytes, at, length) => {
          const payload = bytes.toString('hex', at, at + length)
          this.seen.push({ type: FrameType.page, encoding, a: page, b: version, payload })
        },
        message: (type, a, b, payload) => {
          this.seen.push({ type, encoding: 0, a, b, payload: payload.toString('hex') })
          onMessage(this.reader, type)
        },
      },
      size,
    )
    this.#space = this.reader.space()
  }

  feed(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      assert.ok(this.#space.length > 0, 'there is room to read into')
      const taken = bytes.copy(this.#space, 0, at)
      at += taken
      this.reader.received(taken)
      this.#space = this.reader.space()
    }
  }
}

function pageFrame(page: number, version: number, payload: Buffer, encoding = 0): Buffer {
  const head = Buffer.alloc(headerBytes)
  writeHeader(viewOf(head), 0, FrameType.page, encoding, payload.length, page, version)
  return Buffer.concat([head, payload])
}

function seenOf(stream: Buffer, size = pageBytes): Seen[] {
  const feeder = new Feeder(size)
  feeder.feed(stream)
  assert.ok(feeder.reader.atBoundary)
  return feeder.seen
}

const stream = Buffer.concat([
  frame(FrameType.config, 1, 2, Buffer.from('{"a":1}')),
  pageFrame(5, 6, Buffer.alloc(40, 0xab)),
  frame(FrameType.flush, 1),
  pageFrame(0xffffffff, 0xffffffff, Buffer.alloc(0), 1),
  pageFrame(7, 8, Buffer.from('version 8 of page 7'), 3),
  frame(FrameType.bye),
])
const whole = seenOf(stream)

test('what was framed comes out as it went in', () => {
  assert.deepEqual(
    whole.map(({ type, encoding, a, b }) => [type, encoding, a, b]),
    [
      [FrameType.config, 0, 1, 2],
      [FrameType.page, 0, 5, 6],
      [FrameType.flush, 0, 1, 0],
      [FrameType.page, 1, 0xffffffff, 0xffffffff],
      [FrameType.page, 3, 7, 8],
      [FrameType.bye, 0, 0, 0],
    ],
  )
  assert.equal(whole[0]!.payload, Buffer.from('{"a":1}').toString('hex'))
  assert.equal(whole[4]!.payload, Buffer.from('version 8 of page 7').toString('hex'))
})

test('it does not matter where the stream is cut into reads', () => {
  for (let first = 1; first < stream.length; first++) {
    for (const second of [first, Math.min(stream.length, first + 17)]) {
      const feeder = new Feeder()
      for (const [from, to] of [
        [0, first],
        [first, second],
        [second, stream.length],
      ] as const) {
        if (to > from) feeder.feed(stream.subarray(from, to))
      }
      assert.deepEqual(feeder.seen, whole, `cut at ${first} and ${second}`)
    }
  }
})

test('byte by byte is enough', () => {
  const feeder = new Feeder()
  for (const byte of stream) feeder.feed(Buffer.of(byte))
  assert.deepEqual(feeder.seen, whole)
})

test('a truncated stream yields its whole frames, waits for the rest, and knows that it is cut', () => {
  const ends: number[] = []
  for (let at = 0, i = 0; i < whole.length; i++) {
    at += headerBytes + whole[i]!.payload.length / 2
    ends.push(at)
  }
  for (let length = 0; length < stream.length; length++) {
    const feeder = new Feeder()
    if (length > 0) feeder.feed(stream.subarray(0, length))
    const complete = ends.filter((end) => end <= length).length
    assert.deepEqual(feeder.seen, whole.slice(0, complete), `${length} bytes`)
    assert.equal(feeder.reader.atBoundary, length === 0 || ends.includes(length), `${length} bytes`)
  }
})

test('a frame of a type that does not exist is refused by its header', () => {
  const known = new Set<number>(Object.values(FrameType))
  for (let type = 0; type < 256; type++) {
    const head = Buffer.alloc(headerBytes)
    head[0] = type
    if (known.has(type)) continue
    assert.throws(() => new Feeder().feed(head), { code: 'protocol' }, `type ${type}`)
  }
})

test('a length beyond the limit is refused by the header alone, and the limit itself is not', () => {
  for (const type of Object.values(FrameType)) {
    const limit = payloadLimit(type, pageBytes)!
    for (const length of [limit + 1, 2 ** 31, 2 ** 32 - 1]) {
      const head = Buffer.alloc(headerBytes)
      writeHeader(viewOf(head), 0, type, 0, length, 0, 0)
      assert.throws(() => new Feeder().feed(head), { code: 'protocol' }, `type ${type}, ${length} bytes`)
    }
    const head = Buffer.alloc(headerBytes)
    writeHeader(viewOf(head), 0, type, 0, limit, 0, 0)
    const feeder = new Feeder()
    feeder.feed(Buffer.concat([head, Buffer.alloc(limit)]))
    assert.equal(feeder.seen.length, 1)
  }
})

test('a reserved bit that is set is refused; only a page has an encoding', () => {
  for (const type of Object.values(FrameType)) {
    for (let bit = 0; bit < 24; bit++) {
      const head = Buffer.alloc(headerBytes)
      head.writeUInt32BE(((type << 24) | (1 << bit)) >>> 0)
      const isEncoding = type === FrameType.page && bit >= 16
      if (isEncoding) new Feeder().feed(head)
      else assert.throws(() => new Feeder().feed(head), { code: 'protocol' }, `type ${type}, bit ${bit}`)
    }
  }
})

test('before the session is described a page may have no bytes', () => {
  assert.throws(() => new Feeder(0).feed(pageFrame(1, 1, Buffer.alloc(1))), { code: 'protocol' })
})

test('after an error of the handler no further frame is handed on', () => {
  let calls = 0
  const reader = new FrameReader(
    {
      page: () => {},
      message: () => {
        calls++
        throw new Error('enough')
      },
    },
    pageBytes,
  )
  const two = Buffer.concat([frame(FrameType.flush, 1), frame(FrameType.flush, 2)])
  const bytes = two.copy(reader.space())
  assert.throws(() => reader.received(bytes), /enough/)
  assert.equal(calls, 1)
})

testSeeds('random frames in random reads come out the same, with pages of up to 2 MiB', 12, (seed) => {
  const numbers = random(seed)
  const size = 4096 << numbers.below(10)
  const frames: Buffer[] = []
  for (let i = 0, bytes = 0; i < 200 && bytes < 6 * 2 ** 20; i++) {
    const length = numbers.below(3) === 0 ? size : numbers.below(Math.min(size, 5000))
    const payload = Buffer.alloc(length, numbers.below(256))
    const next =
      numbers.below(4) === 0
        ? frame(FrameType.device, i, 0, payload.subarray(0, 65536))
        : pageFrame(numbers.uint32(), numbers.uint32(), payload, numbers.below(8))
    bytes += next.length
    frames.push(next)
  }
  const all = Buffer.concat(frames)
  const feeder = new Feeder(size)
  for (let at = 0; at < all.length; ) {
    const length = 1 + numbers.below(numbers.below(2) === 0 ? 64 : 2 ** 18)
    feeder.feed(all.subarray(at, at + length))
    at += length
  }
  assert.equal(feeder.seen.length, frames.length)
  for (const [i, seen] of feeder.seen.entries()) {
    assert.equal(seen.payload, frames[i]!.toString('hex', headerBytes), `frame ${i}`)
    assert.equal(seen.a, frames[i]!.readUInt32BE(8))
  }
})

test('a page size that becomes known while a read is under way does not lose what that read brings', () => {
  const size = 2 ** 21
  const feeder = new Feeder(0)
  // Lane 0 learns the size from its own session frame; another lane is told while its socket holds the old space.
  feeder.reader.setPageBytes(size)
  const page = pageFrame(3, 4, Buffer.alloc(size, 0x5a))
  feeder.feed(Buffer.concat([page, frame(FrameType.flush, 1)]))
  assert.deepEqual(
    feeder.seen.map(({ type, a }) => [type, a]),
    [
      [FrameType.page, 3],
      [FrameType.flush, 1],
    ],
  )
  assert.ok(/^(5a)+$/.test(feeder.seen[0]!.payload))

  const own = new Feeder(0, (reader) => reader.setPageBytes(size))
  own.feed(Buffer.concat([frame(FrameType.config, 0, 0, Buffer.from('{}')), page]))
  assert.equal(own.seen.length, 2)
})
