import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { analyseRun, type RunAnalysisInput } from '../../src/analysis/run-analysis.js'
import type { ExpectedFlow } from '../../src/analysis/run-flows.js'
import {
  baseSeconds,
  be32,
  type CapturedFrame,
  ethernet,
  payload,
  pcapFile,
  type TcpFields,
  tcpFrame,
  udpFrame,
} from '../support/pcap-builder.js'
import { temporaryFile } from '../support/temporary.js'

const sourceMac = '02:00:00:00:00:01'
const destinationMac = '02:00:00:00:00:02'
const neighbourMac = '02:00:00:00:00:03'
const bulk: ExpectedFlow = {
  role: 'migration bulk',
  protocol: 'tcp',
  serverAddress: '10.0.0.2',
  serverPort: 5000,
  vlan: 100,
  dscp: 56,
  pcp: 7,
}
const flood: ExpectedFlow = {
  role: 'cross-traffic 0 udp-cbr',
  protocol: 'udp',
  serverAddress: '10.0.1.2',
  serverPort: 6000,
  vlan: 200,
  dscp: 0,
  pcp: 0,
}

/** A run on paper: what passes is written down at each point it passes. */
class Lab {
  readonly points = {
    source: [] as CapturedFrame[],
    'switch-in': [] as CapturedFrame[],
    'switch-out': [] as CapturedFrame[],
    destination: [] as CapturedFrame[],
  }

  /** From the source host, or the neighbour, through the congested port; `waitNs` in its queue. */
  forward(
    bytes: Uint8Array,
    atNs: number,
    waitNs: number,
    options: { lost?: boolean; from?: string } = {},
  ): void {
    if (options.from !== 'neighbour') this.points.source.push({ atNs, bytes })
    this.points['switch-in'].push({ atNs: atNs + 1000, bytes })
    if (options.lost) return
    this.points['switch-out'].push({ atNs: atNs + 1000 + waitNs, bytes })
    this.points.destination.push({ atNs: atNs + 2000 + waitNs, bytes })
  }

  /** From the destination host back to the source. */
  back(bytes: Uint8Array, atNs: number): void {
    this.points.destination.push({ atNs, bytes })
    this.points.source.push({ atNs: atNs + 1000, bytes })
  }

  analyse(t: TestContext, more: Partial<RunAnalysisInput> = {}): ReturnType<typeof analyseRun> {
    const file = (point: keyof Lab['points']): string => {
      const frames = this.points[point].toSorted((a, b) => a.atNs - b.atNs)
      return temporaryFile(t, `${point}.pcap`, pcapFile(frames, { snapLength: 128 }))
    }
    return analyseRun({
      captures: {
        source: file('source'),
        'switch-in': file('switch-in'),
        'switch-out': file('switch-out'),
        destination: file('destination'),
      },
      flows: [bulk, flood],
      destinationMac,
      queues: [],
      ...more,
    })
  }
}

function segment(fields: TcpFields): Uint8Array {
  return tcpFrame({ tags: [{ vlan: 100, pcp: 7 }], dscp: 56, sourceMac, destinationMac, ...fields })
}

function acknowledgement(number: number, fields: TcpFields = {}): Uint8Array {
  return segment({
    source: '10.0.0.2',
    destination: '10.0.0.1',
    sourcePort: 5000,
    destinationPort: 40_000,
    acknowledgement: number,
    sourceMac: destinationMac,
    destinationMac: sourceMac,
    ...fields,
  })
}

function datagram(number: number, fields: TcpFields = {}): Uint8Array {
  return udpFrame({
    tags: [{ vlan: 200, pcp: 0 }],
    source: '10.0.1.3',
    destination: '10.0.1.2',
    destinationPort: 6000,
    sourceMac: neighbourMac,
    destinationMac,
    payload: Uint8Array.of(...be32(number), ...payload(900, number)),
    ...fields,
  })
}

const length = 1000

test('loss, retransmission, queueing delay, round trip and ledger of a known run are exact', async (t) => {
  const lab = new Lab()
  // 100 segments, 1 ms apart; 40 is lost and sent again after 95, and 10 is sent again although it arrived.
  for (let i = 0; i < 100; i++) {
    const frame = segment({ sequence: 1 + i * length, ipId: i, payload: payload(length, i) })
    lab.forward(frame, i * 1e6, 50_000, { lost: i === 40 })
    if (i < 40) lab.back(acknowledgement(1 + (i + 1) * length), i * 1e6 + 500_000)
  }
  for (const [i, ipId] of [
    [40, 200],
    [10, 201],
  ] as const) {
    const frame = segment({ sequence: 1 + i * length, ipId, payload: payload(length, i) })
    lab.forward(frame, 100e6 + ipId * 1000, 50_000)
  }
  lab.back(acknowledgement(1 + 100 * length), 200e6)
  // 90 datagrams of the neighbour, every third lost; number 1 is duplicated behind the port.
  for (let i = 0; i < 90; i++)
    lab.forward(datagram(i), i * 1e6 + 300, 2e6, { lost: i % 3 === 2, from: 'neighbour' })

  const result = await lab.analyse(t, {
    flows: [{ ...bulk, applicationBytes: { clientToServer: 100 * length, serverToClient: 0 } }, flood],
    queues: [
      { pcp: 7, packets: 101, bytes: 0, dropped: 1 },
      { pcp: 0, packets: 60, bytes: 0, dropped: 30 },
    ],
  })
  assert.equal(result.classes.length, 2)
  const [tcp, udp] = result.classes
  assert.deepEqual(
    { ...tcp, throughput_mbps: 0, rtt_ms_p50: 0, rtt_ms_p99: 0 },
    {
      role: 'migration bulk',
      direction: 'client-to-server',
      vlan: 100,
      pcp: 7,
      dscp: 56,
      entry: 'switch-in',
      exit: 'switch-out',
      packets: 102,
      bytes: 102 * 1058,
      packets_delivered: 101,
      bytes_delivered: 101 * 1058,
      throughput_mbps: 0,
      packets_lost: 1,
      loss_ratio: 1 / 102,
      retransmits: 2,
      rtt_ms_p50: 0,
      rtt_ms_p99: 0,
      queue_delay_ms_p50: 0.05,
      queue_delay_ms_p99: 0.05,
    },
  )
  assert.ok(Math.abs(tcp!.rtt_ms_p50! - 0.501) < 0.002, `round trip ${tcp!.rtt_ms_p50}`)
  assert.equal(udp?.packets, 90)
  assert.equal(udp?.packets_lost, 30)
  assert.equal(udp?.queue_delay_ms_p99, 2)
  assert.deepEqual(result.ledger.flows[0], {
    role: 'migration bulk',
    direction: 'client-to-server',
    application_bytes: 100 * length,
    tcp_payload_bytes: 101 * length,
    retransmitted_bytes: length,
    difference: 0,
  })
  assert.deepEqual(result.ledger.frames, [
    { pcp: 7, frames_in: 102, frames_out: 101, dropped: 1, difference: 0 },
    { pcp: 0, frames_in: 90, frames_out: 60, dropped: 30, difference: 0 },
  ])
  assert.equal(result.ledger.balanced, true)
  assert.equal(result.marks.frames_wrong, 0)
  assert.equal(result.marks.frames_checked, 102 * 2 + 101 * 2 + 41 * 2 + 90 + 60 * 2)
})

test('one unmarked socket is found at every point, with role, place and what was expected', async (t) => {
  const lab = new Lab()
  lab.forward(segment({ sequence: 1, payload: payload(10) }), 0, 0)
  lab.back(acknowledgement(11, { dscp: 0, tags: [{ vlan: 100, pcp: 0 }] }), 1e6)
  lab.back(acknowledgement(11, { dscp: 56, tags: [] }), 2e6)
  const { marks } = await lab.analyse(t)
  assert.equal(marks.frames_checked, 8)
  assert.equal(marks.frames_wrong, 4)
  assert.deepEqual(marks.wrong_by_role, { 'migration bulk': 4 })
  assert.deepEqual(marks.examples[0], {
    point: 'destination',
    frame: 2,
    time_ns: 1e6,
    flow: 'migration bulk: 10.0.0.2:5000 > 10.0.0.1:40000',
    expected: { vlan: 100, pcp: 7, dscp: 56 },
    seen: { vlan: 100, pcp: 0, dscp: 0 },
  })
  assert.deepEqual(marks.examples.at(-1)?.seen, { vlan: null, pcp: null, dscp: 56 })
})

test('traffic that nobody announced is its own row, and its PCP must fit its DSCP', async (t) => {
  const lab = new Lab()
  const stray = (dscp: number, pcp: number): Uint8Array =>
    datagram(1, { destinationPort: 9, dscp, tags: [{ vlan: 200, pcp }] })
  lab.forward(stray(46, 5), 0, 0)
  lab.forward(stray(46, 0), 10, 0)
  lab.forward(stray(10, 1), 20, 0) // AF11 goes with best effort, not below it
  const { classes, marks } = await lab.analyse(t)
  assert.deepEqual(
    classes.map(({ role, pcp, dscp, packets }) => ({ role, pcp, dscp, packets })),
    [
      { role: 'other', pcp: 5, dscp: 46, packets: 1 },
      { role: 'other', pcp: 0, dscp: 46, packets: 1 },
      { role: 'other', pcp: 1, dscp: 10, packets: 1 },
    ],
  )
  assert.equal(marks.frames_wrong, 8)
  assert.deepEqual(marks.wrong_by_role, { other: 8 })
})

test('a replayed capture is known by its address, and may keep its own marks', async (t) => {
  const lab = new Lab()
  const replayed: ExpectedFlow = {
    role: 'cross-traffic 0 pcap',
    protocol: 'ip',
    serverAddress: '10.0.1.128',
    serverPort: 0,
    vlan: 200,
  }
  const frame = (i: number, pcp: number): Uint8Array =>
    tcpFrame({
      ...{ sourceMac: neighbourMac, destinationMac, destination: '10.0.1.128', dscp: 46, ipId: i },
      ...{ tags: [{ vlan: 200, pcp }], sourcePort: i, destinationPort: 7 * i, payload: payload(100, i) },
    })
  for (let i = 1; i <= 5; i++) lab.forward(frame(i, 5), i * 1000, 10, { from: 'neighbour', lost: i === 4 })
  lab.forward(frame(6, 0), 6000, 10, { from: 'neighbour' })
  const { classes, marks } = await lab.analyse(t, { flows: [replayed] })
  assert.deepEqual(
    classes.map(({ role, pcp, packets, packets_lost }) => [role, pcp, packets, packets_lost]),
    [
      ['cross-traffic 0 pcap', 5, 5, 1],
      ['cross-traffic 0 pcap', 0, 1, 0],
    ],
  )
  assert.deepEqual(marks.wrong_by_role, { 'cross-traffic 0 pcap': 3 })
  assert.deepEqual(marks.examples[0]?.expected, { vlan: 200, pcp: 5, dscp: 46 })
})

test('frames to others do not count as lost; floods and frames to the guest do', async (t) => {
  const lab = new Lab()
  const guestMac = '02:00:00:00:00:99'
  const arp = ethernet({ destinationMac: 'ff:ff:ff:ff:ff:ff', sourceMac }, 0x0806, payload(28))
  lab.forward(datagram(1, { destinationMac: sourceMac }), 0, 0, { lost: true })
  lab.forward(arp, 10, 0, { lost: true })
  lab.forward(datagram(3, { destinationMac: guestMac }), 3e9, 0, { lost: true })
  const { classes, ledger } = await lab.analyse(t, {
    guestMac,
    queues: [{ pcp: 'all', packets: 0, bytes: 0, dropped: 2 }],
  })
  assert.equal(classes.find((row) => row.role === flood.role)?.packets_lost, 1)
  assert.deepEqual(ledger.frames, [{ pcp: 'all', frames_in: 2, frames_out: 0, dropped: 2, difference: 0 }])
})

test('throughput counts whole frames inside the window', async (t) => {
  const lab = new Lab()
  for (let i = 0; i < 100; i++) lab.forward(datagram(i), i * 10e6, 0)
  const window = [(baseSeconds + 0.2) * 1e9, (baseSeconds + 0.7) * 1e9] as const
  const { classes } = await lab.analyse(t, { windowUnixNs: window })
  const frameBytes = 14 + 4 + 20 + 8 + 904
  assert.ok(Math.abs(classes[0]!.throughput_mbps - (50 * frameBytes * 8) / 0.5e6) < 0.01)
})

test('queueing delay and round trip are those of the window, whatever came before and after', async (t) => {
  const lab = new Lab()
  for (let i = 0; i < 100; i++) {
    const within = i >= 20 && i < 70
    lab.forward(datagram(i), i * 10e6, within ? 2e6 : 9e6)
    const sent = segment({ sequence: 1 + i * length, ipId: i, payload: payload(length, i) })
    lab.forward(sent, i * 10e6 + 100, 0)
    lab.back(acknowledgement(1 + (i + 1) * length), i * 10e6 + (within ? 1e6 : 6e6))
  }
  const window = [(baseSeconds + 0.2) * 1e9, (baseSeconds + 0.7) * 1e9] as const
  const { classes } = await lab.analyse(t, { windowUnixNs: window })
  const [udp, tcp] = classes
  assert.equal(udp?.packets, 100, 'frames and losses are those of the whole capture')
  assert.deepEqual([udp?.queue_delay_ms_p50, udp?.queue_delay_ms_p99], [2, 2])
  assert.ok(Math.abs(tcp!.rtt_ms_p99! - 1) < 0.01, `round trip ${tcp!.rtt_ms_p99}`)
  const whole = await lab.analyse(t)
  assert.ok(whole.classes[0]!.queue_delay_ms_p99! > 8.9)
})

test('the curves over time add up to the figures of the classes', async (t) => {
  const lab = new Lab()
  for (let i = 0; i < 100; i++) lab.forward(datagram(i), i * 10e6, 3e6, i % 10 === 0 ? { lost: true } : {})
  const { classes, series } = await lab.analyse(t, {
    windowUnixNs: [baseSeconds * 1e9, (baseSeconds + 2) * 1e9],
    queues: [{ pcp: 'all', packets: 0, bytes: 0, dropped: 10 }],
  })
  const [row] = series.rows
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
  assert.equal(series.bins * series.bin_ms, 2000)
  assert.equal(row?.role, flood.role)
  assert.equal(total(row.packets_lost), 10)
  assert.ok(Math.abs(total(row.throughput_mbps) / series.bins - classes[0]!.throughput_mbps) < 0.01)
  const delays = row.queue_delay_ms_mean.filter((delay) => delay !== null)
  assert.ok(delays.length > 40 && delays.every((delay) => Math.abs(delay - 3) < 0.001))
})

test('a capture that is cut off is an error, not a smaller number', async (t) => {
  const lab = new Lab()
  lab.forward(datagram(1), 0, 0)
  const cut = pcapFile(lab.points.destination).subarray(0, 100)
  const good = temporaryFile(t, 'good.pcap', pcapFile(lab.points['switch-in']))
  const captures = {
    source: good,
    'switch-in': good,
    'switch-out': good,
    destination: temporaryFile(t, 'destination.pcap', cut),
  }
  await assert.rejects(analyseRun({ captures, flows: [], destinationMac, queues: [] }), {
    exit: 1,
    message: /ends inside the record at byte 24/,
  })
})

test('a tunnel of any kind is a flow of its own, on the path that it takes, and has its row', async (t) => {
  const lab = new Lab()
  const tunnel: ExpectedFlow = {
    role: 'tunnel',
    protocol: 'ip',
    serverAddress: '10.0.1.9',
    serverPort: 0,
    vlan: 200,
    dscp: 0,
    pcp: 0,
  }
  for (let number = 0; number < 5; number++) {
    const frame = Buffer.from(datagram(number, { destination: '10.0.1.9' }))
    frame.writeUInt8(4, 18 + 9) // IP in IP (RFC 2003)
    lab.forward(frame, number * 1e6, 1000)
  }
  const { classes, marks } = await lab.analyse(t, { flows: [bulk, flood, tunnel] })
  const row = classes.find(({ role }) => role === 'tunnel')
  assert.deepEqual([row?.packets, row?.packets_delivered, row?.packets_lost], [5, 5, 0])
  assert.equal(marks.frames_wrong, 0)
})
