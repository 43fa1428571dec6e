/** `analyze --events`: what is told one by one adds up to what is told in sum. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { payload, pcapFile, tcpFrame } from '../support/pcap-builder.js'
import { connection, QemuStream } from '../support/streams.js'
import { tcpChaos } from '../support/tcp-chaos.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'
import { pagewire } from './cli.js'

interface Line {
  readonly file: string
  readonly at_s: number
  readonly event: string
  readonly [field: string]: unknown
}

function parsed(text: string): Line[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

test('every repair of TCP is an event, as often as the flows count it', async (t) => {
  const file = temporaryFile(t, 'chaos.pcap', pcapFile(tcpChaos(5, 8, 120)))
  const path = join(temporaryDirectory(t), 'events.jsonl')
  const { code, stdout, stderr } = await pagewire(['analyze', file, '--json', '--events', path])
  assert.equal(code, 0, stderr)
  const { flows, files } = JSON.parse(stdout)
  const lines = parsed(readFileSync(path, 'utf8'))
  const sum = (counter: string): number =>
    flows
      .flatMap((flow: { a_to_b: unknown; b_to_a: unknown }) => [flow.a_to_b, flow.b_to_a])
      .reduce((total: number, { expert }: { expert: Record<string, number> }) => total + expert[counter]!, 0)
  const told = (event: string): number => lines.filter((line) => line.event === event).length
  for (const [counter, event] of [
    ['retransmissions', 'retransmission'],
    ['fast_retransmissions', 'fast-retransmission'],
    ['spurious_retransmissions', 'spurious-retransmission'],
    ['out_of_order', 'out-of-order'],
    ['lost_segments', 'lost-segment'],
    ['duplicate_acks', 'duplicate-ack'],
  ] as const) {
    assert.equal(told(event), sum(counter), event)
  }
  assert.ok(told('out-of-order') > 0 && told('lost-segment') > 0)
  assert.equal(told('flow-begin'), flows.length)
  assert.equal(told('flow-end'), flows.length)
  assert.ok(lines.every(({ frame }) => typeof frame === 'number' && frame <= files[0].packets))
})

test('marks that change, windows that close, connections that end', async (t) => {
  const tags = [{ vlan: 100, pcp: 7 }]
  const ack = (more: object): Uint8Array =>
    tcpFrame({
      source: '10.0.0.2',
      destination: '10.0.0.1',
      sourcePort: 5000,
      destinationPort: 40_000,
      ...more,
    })
  const frames = [
    tcpFrame({ tags, dscp: 56, sequence: 1, payload: payload(100) }),
    ack({ acknowledgement: 101, window: 0 }),
    ack({ acknowledgement: 101, window: 5000 }),
    tcpFrame({ tags: [{ vlan: 100, pcp: 0 }], dscp: 56, sequence: 101, payload: payload(100) }),
    tcpFrame({ tags: [{ vlan: 100, pcp: 0 }], dscp: 56, sequence: 201, flags: 0x11 }),
    ack({ acknowledgement: 202, flags: 0x11 }),
  ].map((bytes, i) => ({ atNs: i * 250_000_000, bytes }))
  const file = temporaryFile(t, 'a.pcap', pcapFile(frames))
  const { code, stdout, stderr } = await pagewire(['analyze', file, '--events', '-'])
  assert.equal(code, 0, stderr)
  const lines = parsed(stdout)
  assert.deepEqual(
    lines.map(({ event, frame }) => [event, frame]),
    [
      ['flow-begin', 1],
      ['zero-window', 2],
      ['zero-window-end', 3],
      ['mark-change', 4],
      ['flow-end', 6],
    ],
  )
  assert.equal(lines[2]?.['zero_ms'], 250)
  assert.deepEqual(lines[3], {
    ...{ file, at_s: 0.75, event: 'mark-change', frame: 4, flow: 0, from: '10.0.0.1:40000' },
    ...{ before: { vlan: 100, pcp: 7, dscp: 56 }, after: { vlan: 100, pcp: 0, dscp: 56 } },
  })
  assert.equal(lines[4]?.['reason'], 'fin')
  const filtered = parsed((await pagewire(['analyze', file, '-Y', 'pcp==7', '--events', '-'])).stdout)
  assert.deepEqual(
    filtered.map(({ event, frame }) => [event, frame]),
    [
      ['flow-begin', undefined],
      ['flow-end', undefined],
    ],
  )
  assert.equal((await pagewire(['analyze', file, '--json', '--events', '-'])).code, 2)
})

test('the steps of a migration', async (t) => {
  const stream = new QemuStream().start([['pc.ram', 64 * 4096]]).section(2)
  for (let page = 0; page < 64; page++) stream.raw(page)
  for (let page = 0; page < 64; page += 4) stream.raw(page)
  const bytes = stream.endSection().section(3).raw(9).endSection().device(100).bytes()
  const file = temporaryFile(t, 'qemu.pcap', pcapFile(connection(bytes, [], { seed: 1, port: 4444 })))
  const lines = parsed((await pagewire(['analyze', file, '--events', '-'])).stdout)
  const steps = lines.filter(({ migration }) => migration === 0)
  const names = steps.map(({ event }) => event)
  for (const event of ['migration-begin', 'round-begin', 'stop-and-copy', 'migration-end']) {
    assert.ok(names.includes(event), event)
  }
  const ends = steps.filter(({ event }) => event === 'round-end')
  assert.deepEqual(
    ends.map(({ phase, pages }) => [phase, pages]),
    [
      ['pre-copy', 64],
      ['pre-copy', 16],
      ['stop', 1],
    ],
  )
  assert.equal(steps.at(-1)?.['pages'], 81)
})
