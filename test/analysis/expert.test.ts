import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CapturePass } from '../../src/analysis/capture-pass.js'
import type { RareCounter } from '../../src/analysis/tcp-table.js'
import { passOver } from '../support/analysed.js'
import { type CapturedFrame, payload, pcapFile, stampOptions, tcpFrame } from '../support/pcap-builder.js'
import { tcpChaos } from '../support/tcp-chaos.js'
import { temporaryFile } from '../support/temporary.js'
import { tsharkFields, withoutTshark } from '../support/tshark.js'

/** Fields of tshark, and what they are called here. */
const counterpart: Readonly<Record<string, readonly RareCounter[]>> = {
  'tcp.analysis.retransmission': ['retransmissions', 'fast_retransmissions', 'spurious_retransmissions'],
  'tcp.analysis.fast_retransmission': ['fast_retransmissions'],
  'tcp.analysis.spurious_retransmission': ['spurious_retransmissions'],
  'tcp.analysis.out_of_order': ['out_of_order'],
  'tcp.analysis.duplicate_ack': ['duplicate_acks'],
  'tcp.analysis.lost_segment': ['lost_segments'],
  'tcp.analysis.ack_lost_segment': ['acked_unseen'],
  'tcp.analysis.keep_alive': ['keep_alives'],
  'tcp.analysis.zero_window': ['zero_windows'],
  'tcp.analysis.zero_window_probe': ['zero_window_probes'],
  'tcp.analysis.window_full': ['window_full'],
}

function total(pass: CapturePass, names: readonly RareCounter[]): number {
  let sum = 0
  for (let row = 0; row < 2 * pass.flows.count; row++) {
    const { rare } = pass.directions.counts(row)
    for (const name of names) sum += rare[name]
  }
  return sum
}

const seeds = [1, 2, 3, 4, 5, 6]
for (const seed of seeds) {
  test(`expert counts equal tshark's on a bad network, seed ${seed}`, { skip: withoutTshark }, async (t) => {
    const file = temporaryFile(t, 'chaos.pcap', pcapFile(tcpChaos(seed, 12, 150)))
    const fields = Object.keys(counterpart)
    const rows = tsharkFields(file, ['frame.number', ...fields])
    const pass = await passOver(file)
    for (const [i, field] of fields.entries()) {
      const theirs = rows.filter((row) => row[i + 1] !== '').length
      assert.equal(total(pass, counterpart[field] ?? []), theirs, field)
    }
  })
}

const mss = 1000

function segments(list: readonly { readonly at: number; readonly number: number }[]): CapturedFrame[] {
  return list.map(({ at, number }) => ({
    atNs: at,
    bytes: tcpFrame({ sequence: 1 + number * mss, ipId: at & 0xffff, payload: payload(mss, number) }),
  }))
}

test('on purpose not as tshark: a hole that is filled is no repeated segment, whatever the expert calls it', async (t) => {
  // Segment 1 was lost before this capture; its retransmission is the first time it is seen here.
  const file = temporaryFile(
    t,
    'hole.pcap',
    pcapFile(segments([0, 2, 3, 4, 1].map((number, i) => ({ at: i * 50e6, number })))),
  )
  const pass = await passOver(file)
  assert.equal(total(pass, ['retransmissions']), 1)
  assert.equal(total(pass, ['repeated_segments']), 0)
})

test('on purpose not as tshark: a repeated segment counts as such even when it looks reordered', async (t) => {
  const order = [0, 1, 2, 3, 1, 4]
  const file = temporaryFile(
    t,
    'repeat.pcap',
    pcapFile(segments(order.map((number, i) => ({ at: i * 10_000, number })))),
  )
  const pass = await passOver(file)
  assert.equal(total(pass, ['out_of_order']), 1)
  assert.equal(total(pass, ['repeated_segments']), 1)
  assert.equal(pass.directions.counts(0).repeatedBytes, mss)
})

test('repeated bytes are exact through holes, overlaps and the wrap of the sequence space', async (t) => {
  const start = 0xffff_fff0
  const parts = [
    [0, 100],
    [200, 100],
    [100, 100],
    [50, 100],
    [300, 100],
    [250, 200],
  ] as const
  const frames = parts.map(([from, length], i) => ({
    atNs: i * 1e6,
    bytes: tcpFrame({ sequence: (start + from) >>> 0, ipId: i, payload: payload(length, i) }),
  }))
  const pass = await passOver(temporaryFile(t, 'overlap.pcap', pcapFile(frames)))
  const counts = pass.directions.counts(0)
  assert.equal(counts.repeatedBytes, 100 + 150)
  assert.equal(counts.rare.repeated_segments, 2)
  assert.equal(counts.payloadBytes, 700)
})

test('handshake, window scale, round trips from acknowledgements and from time stamps', async (t) => {
  const scale = Uint8Array.of(1, 3, 3, 7)
  const back = { source: '10.0.0.2', destination: '10.0.0.1', sourcePort: 5000, destinationPort: 40_000 }
  const frames = [
    { atNs: 0, bytes: tcpFrame({ sequence: 0, acknowledgement: 0, flags: 2, options: scale }) },
    { atNs: 3e6, bytes: tcpFrame({ ...back, sequence: 0, acknowledgement: 1, flags: 18, options: scale }) },
    { atNs: 4e6, bytes: tcpFrame({ options: stampOptions(1, 0) }) },
    { atNs: 10e6, bytes: tcpFrame({ options: stampOptions(7, 1), payload: payload(mss) }) },
    { atNs: 15e6, bytes: tcpFrame({ ...back, acknowledgement: 1 + mss, options: stampOptions(9, 7) }) },
  ]
  const pass = await passOver(temporaryFile(t, 'rtt.pcap', pcapFile(frames)))
  const counts = pass.directions.counts(0)
  assert.equal(counts.handshakeNs, 4e6)
  assert.equal(counts.windowScale, 7)
  assert.equal(counts.roundTripNs?.min, 5e6)
  assert.equal(counts.roundTripNs?.mean, 5e6)
  assert.ok(Math.abs((counts.roundTripNs?.p50 ?? 0) / 5e6 - 1) < 0.07)
  assert.equal(counts.maxInFlightBytes, mss)
  assert.equal(counts.stampedRoundTripNs?.min, 11e6)
})

test('ten thousand flows are kept apart, and a reused port is another flow', async (t) => {
  const frames: CapturedFrame[] = []
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10_000; i++) {
      const fields = { source: `10.0.${i >> 8}.${i & 255}`, sourcePort: 1000 + i, sequence: 1 + round * 10 }
      frames.push({ atNs: frames.length * 1000, bytes: tcpFrame({ ...fields, payload: payload(10, i) }) })
    }
  }
  frames.push({
    atNs: 40e6,
    bytes: tcpFrame({ source: '10.0.0.7', sourcePort: 1007, sequence: 99, flags: 2 }),
  })
  const pass = await passOver(temporaryFile(t, 'many.pcap', pcapFile(frames)))
  assert.equal(pass.flows.count, 10_001)
  for (let flow = 0; flow < 10_000; flow++) {
    assert.equal(pass.directions.counts(2 * flow).packets, 3)
    assert.equal(pass.directions.counts(2 * flow).repeatedBytes, 0)
  }
  assert.equal(pass.flows.name(10_000).aAddress, '10.0.0.7')
  assert.equal(pass.directions.counts(20_000).rare.syns, 1)
})
