/** How many frames `monitor` misses at 500 Mbit/s of MTU frames, against the interface's own counters. */

import { prepareCrossTraffic } from '../agent/traffic/cross-traffic.js'
import { type MeterInterval, startMeter } from '../capture/meter.js'
import { trafficAgent } from '../experiment/agent-process.js'
import { bestEffortName, defaultTable, trafficClass } from '../marking/traffic-class.js'
import { assert } from '../support/assert.js'
import { type Lab, labUp } from '../topology/lab.js'
import { resolveDataplane } from '../topology/requirements.js'

const rateBps = 500e6
const loadMs = 5_000
const intervalMs = 500

export interface MonitorMeasurement {
  /** Share of the frames that the interface counted and the monitor did not see. */
  readonly monitor_missed_ratio_500: number
  /** What really went past it meanwhile. */
  readonly offered_mbps: number
  readonly frames: number
}

/** Needs root. Builds an unshaped lab of its own and takes it away. */
export async function measureMonitor(): Promise<MonitorMeasurement> {
  const lab = await labUp({
    runId: `bm${process.pid % 100_000}`,
    link: { rateBps: null, discipline: 'strict', queuePackets: 1000, mtuBytes: 1500 },
    marking: defaultTable,
    dataplane: await resolveDataplane('auto', 'lab'),
    congestionControl: 'cubic',
    offloads: false,
  })
  try {
    return await measureIn(lab)
  } finally {
    await lab.down()
  }
}

async function measureIn(lab: Lab): Promise<MonitorMeasurement> {
  const intervals: MeterInterval[] = []
  const meter = await startMeter({
    inside: lab.inside('destination'),
    device: lab.uplink,
    intervalMs,
    onInterval: (interval) => intervals.push(interval),
  })
  const offeredMbps = await load(lab)
  // What is still on its way counts too.
  await sleep(2 * intervalMs)
  meter.stop()
  await meter.ended
  const seen = sum(intervals, (interval) => interval.frames)
  const onInterface = sum(intervals, (interval) => interval.frames_on_interface)
  assert(onInterface > 0, 'the load passed the interface')
  return {
    monitor_missed_ratio_500: Math.max(0, onInterface - seen) / onInterface,
    offered_mbps: offeredMbps,
    frames: onInterface,
  }
}

async function load(lab: Lab): Promise<number> {
  const failures: Error[] = []
  const host = (name: 'neighbour' | 'source' | 'destination') => ({
    inside: lab.inside(name),
    address: lab.address(name, 'tenants'),
  })
  const traffic = await prepareCrossTraffic({
    streams: [
      {
        kind: 'udp-cbr',
        rateBps,
        packetBytes: lab.spec.link.mtuBytes,
        flows: 1,
        trafficClass: trafficClass(defaultTable, bestEffortName),
        from: 'neighbour',
        startNs: 0,
      },
    ],
    hosts: { neighbour: host('neighbour'), source: host('source'), destination: host('destination') },
    agent: trafficAgent,
    congestionControl: 'cubic',
    onError: (error) => failures.push(error),
  })
  try {
    await traffic.start()
    await sleep(loadMs)
    const { rows } = await traffic.stop()
    if (failures[0]) throw failures[0]
    return rows[0]?.offered_mbps ?? 0
  } finally {
    await traffic.close()
  }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
