/** Cross-traffic between two namespaces, through the real process: rate, marks, loss, and that nobody stays behind. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import {
  type CrossStream,
  type CrossTraffic,
  type CrossTrafficRow,
  prepareCrossTraffic,
} from '../../src/agent/traffic/cross-traffic.js'
import { programFile } from '../../src/experiment/agent-process.js'
import { bestEffortName, defaultTable, trafficClass } from '../../src/marking/traffic-class.js'
import { ethernet, payload, pcapFile, tcpFrame, udpFrame } from '../support/pcap-builder.js'
import { temporaryFile } from '../support/temporary.js'
import { capture, inside, makePair, type Pair, type Side, startInside, withoutRoot } from './pair.js'

const agent = [process.execPath, programFile, 'agent', 'traffic']
let pair: Pair

if (!withoutRoot) {
  before(() => {
    pair = makePair()
  })
  after(() => pair.remove())
}

const classOf = (name: string): CrossStream['trafficClass'] => trafficClass(defaultTable, name)
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The left side is both the neighbour and the source, the right side the destination. */
async function prepare(streams: readonly Partial<CrossStream>[]): Promise<CrossTraffic> {
  const host = (side: Side) => ({
    inside: ['ip', 'netns', 'exec', side.namespace],
    address: side.address,
    card: { device: side.device, mac: macOf(side), mtuBytes: 1500, vlan: 200 },
  })
  return await prepareCrossTraffic({
    streams: streams.map((stream) => ({
      kind: 'udp-cbr',
      flows: 1,
      trafficClass: classOf(bestEffortName),
      from: 'neighbour',
      startNs: 0,
      ...(stream.kind === undefined && { packetBytes: 1500 }),
      ...stream,
    })),
    hosts: { neighbour: host(pair.left), source: host(pair.left), destination: host(pair.right) },
    agent,
    congestionControl: 'cubic',
    onError: (error) => assert.fail(error),
  })
}

async function run(
  streams: readonly Partial<CrossStream>[],
  ms: number,
): Promise<readonly CrossTrafficRow[]> {
  const traffic = await prepare(streams)
  try {
    await traffic.start()
    await sleep(ms)
    return (await traffic.stop()).rows
  } finally {
    await traffic.close()
  }
}

function tc(side: Side, ...args: string[]): string {
  return inside(side, 'tc', ...args)
}

function processesIn(side: Side): string {
  return execFileSync('ip', ['netns', 'pids', side.namespace], { encoding: 'utf8' }).trim()
}

function macOf(side: Side): string {
  return inside(side, 'cat', `/sys/class/net/${side.device}/address`).trim()
}

/** Within 1 %, unless the process itself says that it was held off: then the shortfall is what it gave up. */
function assertRate(row: CrossTrafficRow, askedMbps: number): void {
  const reachable = askedMbps * (row.packets_sent / (row.packets_sent + row.skipped))
  const error = Math.abs(row.offered_mbps - reachable) / askedMbps
  assert(error < 0.01, `${row.offered_mbps} of ${askedMbps} Mbit/s, ${row.skipped} frames skipped`)
}

for (const rateMbps of [10, 120, 300]) {
  test(`udp-cbr of ${rateMbps} Mbit/s arrives as sent on an idle path`, { skip: withoutRoot }, async () => {
    const [row] = await run([{ rateBps: rateMbps * 1e6, trafficClass: classOf('EF') }], 2000)
    assert(row)
    assertRate(row, rateMbps)
    assert.equal(row.packets_received, row.packets_sent)
    assert.equal(row.loss_ratio, 0)
    assert.equal(row.duplicates, 0)
    assert.equal(row.reordered, 0)
    assert.equal(row.class, 'EF')
    assert(row.delay_ms !== null && row.delay_ms.p50 > 0 && row.delay_ms.p50 <= row.delay_ms.max)
  })
}

test('a capture is replayed to nobody, marked anew, and counted frame by frame', {
  skip: withoutRoot,
}, async (t) => {
  const frames = Array.from({ length: 50 }, (_, i) => ({
    atNs: i * 1_000_000,
    bytes: i % 5 === 0 ? ethernet({}, 0x0806, payload(28)) : udpFrame({ payload: payload(500, i), dscp: 46 }),
  }))
  const capture = { file: temporaryFile(t, 'a.pcap', pcapFile(frames)), speed: 1, loop: false }
  const marks = { trafficClass: classOf('AF11') }
  const [once, round] = await run(
    [
      { kind: 'pcap', capture, ...marks },
      { kind: 'pcap', capture: { ...capture, loop: true }, rateBps: 4e6, ...marks },
    ],
    1000,
  )
  assert(once && round)
  assert.deepEqual([once.packets_sent, once.packets_received, once.loss_ratio], [40, 40, 0])
  assert.equal(once.class, 'AF11')
  assert(round.packets_sent > 200, `${round.packets_sent} frames`)
  assert.equal(round.packets_received, round.packets_sent)
  assert.equal(processesIn(pair.left), '')
})

test('a capture that cannot be replayed is refused before anything is sent', {
  skip: withoutRoot,
}, async (t) => {
  const bytes = tcpFrame({ payload: payload(2000) })
  const file = temporaryFile(t, 'a.pcap', pcapFile([{ atNs: 0, bytes }]))
  for (const [name, message] of [
    [file, /longer than link\.mtu \(1500\)/],
    ['nonesuch.pcap', /nonesuch\.pcap/],
  ] as const) {
    const capture = { file: name, speed: 1, loop: false }
    await assert.rejects(prepare([{ kind: 'pcap', capture }]), message)
  }
  assert.equal(processesIn(pair.left) + processesIn(pair.right), '')
})

test('loss_ratio counts exactly what a shaper dropped', { skip: withoutRoot }, async () => {
  // On the way in, where the sender is no longer charged for the frame: a full queue drops and does not hold back.
  const device = pair.left.device
  tc(
    pair.left,
    'qdisc',
    'add',
    'dev',
    device,
    'root',
    'tbf',
    'rate',
    '20mbit',
    'burst',
    '16kb',
    'limit',
    '30kb',
  )
  try {
    const [row] = await run([{ rateBps: 30e6 }], 2000)
    const [shaper] = JSON.parse(tc(pair.left, '-s', '-j', 'qdisc', 'show', 'dev', device)) as {
      drops: number
    }[]
    assert(row && shaper)
    const lost = row.packets_sent - row.packets_received
    assert.equal(lost, shaper.drops)
    assert.equal(row.loss_ratio, lost / row.packets_sent)
    assert(row.loss_ratio > 0.28 && row.loss_ratio < 0.38, `a third is lost: ${row.loss_ratio}`)
    assert(
      row.achieved_mbps > 19 && row.achieved_mbps < 21,
      `the shaper's rate arrives: ${row.achieved_mbps}`,
    )
  } finally {
    tc(pair.left, 'qdisc', 'delete', 'dev', device, 'root')
  }
})

test('every packet of all kinds carries the mark of its class, both ways', {
  skip: withoutRoot,
}, async () => {
  const watching = await capture(pair.left)
  const rows = await run(
    [
      { rateBps: 1e6, trafficClass: classOf('CS7') },
      { kind: 'tcp-bulk', rateBps: 2e6, flows: 2, trafficClass: classOf('AF41'), from: 'source' },
    ],
    500,
  )
  const packets = await watching.stop((seen) => seen.length > 100)
  const dscps = (protocol: number, source: string): number[] => [
    ...new Set(packets.filter((p) => p.protocol === protocol && p.source === source).map((p) => p.dscp)),
  ]
  assert.deepEqual(dscps(17, pair.left.address), [56])
  assert.deepEqual(dscps(6, pair.left.address), [34])
  assert.deepEqual(dscps(6, pair.right.address), [34])
  assert.deepEqual(
    rows.map((row) => [row.kind, row.from, row.class]),
    [
      ['udp-cbr', 'neighbour', 'CS7'],
      ['tcp-bulk', 'source', 'AF41'],
    ],
  )
})

test('tcp-bulk fills the path without a rate, and keeps to one with it', { skip: withoutRoot }, async () => {
  const device = pair.left.device
  tc(
    pair.left,
    'qdisc',
    'add',
    'dev',
    device,
    'root',
    'tbf',
    'rate',
    '50mbit',
    'burst',
    '16kb',
    'limit',
    '200kb',
  )
  try {
    const [full] = await run([{ kind: 'tcp-bulk', flows: 2 }], 2000)
    assert(full && full.asked_mbps === null)
    assert(full.achieved_mbps > 44 && full.achieved_mbps < 52, `${full.achieved_mbps} of 50 Mbit/s`)
    assert.equal(full.loss_ratio, null)
    const [limited] = await run([{ kind: 'tcp-bulk', flows: 2, rateBps: 20e6 }], 2000)
    assert(limited)
    assert(limited.achieved_mbps > 16 && limited.achieved_mbps < 21, `${limited.achieved_mbps} of 20 Mbit/s`)
  } finally {
    tc(pair.left, 'qdisc', 'delete', 'dev', device, 'root')
  }
})

test('start and stop of a stream count from the start command', { skip: withoutRoot }, async () => {
  const [late, whole] = await run(
    [
      { rateBps: 10e6, startNs: 500e6, stopNs: 1000e6 },
      { rateBps: 10e6, startNs: 0 },
    ],
    1500,
  )
  assert(late && whole)
  const share = late.packets_sent / whole.packets_sent
  assert(share > 0.25 && share < 0.42, `half a second of one and a half: ${share}`)
})

test('a runner that is killed leaves no process', { skip: withoutRoot }, async () => {
  const flow = { id: 'a', kind: 'tcp-bulk', flows: 1, class: 'EF', dscp: 46, pcp: 5 }
  const config = { role: 'receive', flows: [{ ...flow, local: { host: pair.right.address, port: 0 } }] }
  const child = startInside(pair.right, agent[0] ?? '', ...agent.slice(1))
  child.stdin?.write(`${JSON.stringify(config)}\n`)
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  assert(existsSync(`/proc/${child.pid}`))
  const gone = new Promise((resolve) => child.once('exit', resolve))
  // What the kernel does with the pipe when its other end dies.
  child.stdin?.destroy()
  assert.equal(await gone, 0)
  assert.equal(processesIn(pair.right), '')
})

test('a configuration that cannot be carried out is an error, and ends the process', {
  skip: withoutRoot,
}, async () => {
  const traffic = prepareCrossTraffic({
    streams: [
      {
        kind: 'udp-cbr',
        rateBps: 1e6,
        packetBytes: 1500,
        flows: 1,
        trafficClass: classOf('EF'),
        from: 'neighbour',
        startNs: 0,
      },
    ],
    hosts: {
      neighbour: { inside: ['ip', 'netns', 'exec', pair.left.namespace], address: pair.left.address },
      source: { inside: [], address: pair.left.address },
      destination: { inside: ['ip', 'netns', 'exec', pair.right.namespace], address: '192.0.2.1' },
    },
    agent,
    congestionControl: 'cubic',
    onError: () => {},
  })
  await assert.rejects(traffic, /bind failed for 192.0.2.1:0: EADDRNOTAVAIL/)
  assert.equal(processesIn(pair.right), '')
})
