/** The Wireshark dissector: its tables are the program's, and tshark sees with it what `analyze` sees. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Encoding } from '../../src/memory/encoding.js'
import { FrameType } from '../../src/wire/frame.js'
import { payload, pcapFile } from '../support/pcap-builder.js'
import { connection, PagewireLane } from '../support/streams.js'
import { temporaryFile } from '../support/temporary.js'
import { tsharkFields, withoutTshark } from '../support/tshark.js'
import { capturesDirectory, readExpected } from './expected.js'

const script = join(capturesDirectory, 'pagewire.lua')
const withScript = ['-X', `lua_script:${script}`]
const whole = join(capturesDirectory, 'whole.pcap.gz')

function dissected(file: string, fields: readonly string[], filter = 'pagewire'): string[][] {
  return tsharkFields(file, fields, [...withScript, '-Y', filter])
}

test('its tables are those of the protocol', () => {
  const tables = [
    ['types', Object.entries(FrameType), (code: number) => `0x${code.toString(16).padStart(2, '0')}`],
    ['encodings', Object.entries(Encoding), String],
  ] as const
  let text = readFileSync(script, 'utf8')
  for (const [name, entries, written] of tables) {
    const rows = entries.map(([word, code]) => `  [${written(code)}] = "${word}",\n`).join('')
    const table = new RegExp(`(local ${name} = \\{\n)[^}]*(\\}\n)`)
    const right = text.replace(table, `$1${rows}$2`)
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(script, right)
    else assert.equal(text, right, 'UPDATE_GOLDEN=1 npm test -- captures/dissector writes the table anew')
    text = right
  }
})

test('pages and rounds are those of analyze', { skip: withoutTshark }, () => {
  const rounds = new Map<string, number>()
  for (const [names, numbers] of dissected(whole, ['pagewire.name', 'pagewire.round'], 'pagewire.page')) {
    const round = numbers?.split(',') ?? []
    for (const name of names?.split(',') ?? []) {
      if (name !== 'page' && name !== 'flush') continue
      const number = round.shift() ?? ''
      if (name === 'page') rounds.set(number, (rounds.get(number) ?? 0) + 1)
    }
  }
  const { migration } = readExpected()['whole.pcap.gz'] ?? {}
  assert.deepEqual(
    [...rounds],
    migration?.rounds.map(({ pages }, i) => [String(i + 1), pages]),
  )
})

test('the handshake of each lane, and the end of the session', { skip: withoutTshark }, () => {
  const shakes = dissected(whole, ['tcp.stream', 'pagewire.handshake', 'pagewire.lane', 'pagewire.status'])
  const handshakes = shakes.filter(([, kind]) => kind)
  for (const lane of ['0', '1']) {
    assert.deepEqual(
      handshakes.filter(([stream]) => stream === lane).map(([, kind, number]) => [kind, number]),
      [
        ['challenge', ''],
        ['claim', lane],
        ['verdict', ''],
      ],
    )
  }
  const names = dissected(whole, ['pagewire.name'])
    .flatMap(([name]) => name?.split(',') ?? [])
    .filter(Boolean)
  for (const once of ['config', 'configOk', 'handover', 'resumed', 'auditResult']) {
    assert.equal(names.filter((name) => name === once).length, 1, once)
  }
  assert.equal(names.at(-1), 'bye')
  assert.deepEqual(dissected(whole, ['pagewire.differing'], 'pagewire.differing'), [['0']])
})

test('a frame type of the future is named as such, and what follows it is read', {
  skip: withoutTshark,
}, (t) => {
  const lane = new PagewireLane(0).config(4).page(1)
  lane.frame(0xee, 0, 7, 8, payload(3000, 1)).page(2).flush()
  const frames = connection(lane.bytes(), [{ atNs: 0, bytes: lane.back.bytes() }], { seed: 2, port: 4444 })
  const file = temporaryFile(t, 'future.pcap', pcapFile(frames))
  const names = dissected(file, ['pagewire.name']).flatMap(([name]) => name?.split(',') ?? [])
  assert.deepEqual(names.filter(Boolean), ['config', 'page', 'unknown (0xee)', 'page', 'flush'])
  assert.equal(dissected(file, ['frame.number'], 'pagewire.type.unknown').length, 1)
})

test('damaged streams break neither tshark nor the script', { skip: withoutTshark }, (t) => {
  const lane = new PagewireLane(0).config(4).page(1).page(2)
  const bytes = Uint8Array.from(lane.bytes())
  bytes.set([0xff, 0xff, 0xff, 0xff], 72 + 4)
  for (const [i, stream] of [bytes, lane.bytes().subarray(72), lane.bytes().subarray(0, 90)].entries()) {
    const file = temporaryFile(t, `${i}.pcap`, pcapFile(connection(stream, [], { seed: 3, port: 4444 })))
    const text = execFileSync('tshark', [...withScript, '-r', file, '-V'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    assert.doesNotMatch(text, /Lua Error/)
  }
})
