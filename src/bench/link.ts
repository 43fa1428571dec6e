/** How far the congested port's rate is off, as a capture behind it shows it, and what `monitor` misses. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCapture } from '../capture/read.js'
import { startCapture } from '../capture/record.js'
import { defaultTable } from '../marking/traffic-class.js'
import { assert } from '../support/assert.js'
import { labUp } from '../topology/lab.js'
import { fillPath } from './iperf3.js'
import { measureMonitor } from './monitor.js'

export interface LinkBench {
  readonly rate_error_percent: Readonly<Record<string, number>>
  readonly monitor_missed_ratio_500: number
}

const ratesMbps = [20, 50, 200, 1000]
const seconds = 4
/** The port is full from here on, and still is so long before the end. */
const settledNs = 1e9
/** More than this a generator here cannot flood; TCP then fills the port. */
const udpAtMostMbps = 300

export async function benchLink(): Promise<LinkBench> {
  const errors: Record<string, number> = {}
  for (const mbps of ratesMbps) {
    const measured = await portBps(mbps * 1e6)
    errors[String(mbps)] = Math.round((100 * (measured - mbps * 1e6)) / (mbps * 1e4)) / 100
  }
  const { monitor_missed_ratio_500 } = await measureMonitor()
  return { rate_error_percent: errors, monitor_missed_ratio_500 }
}

/** Bits of whole frames per second that leave a full port. */
async function portBps(rateBps: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'pagewire-bench-'))
  const lab = await labUp({
    runId: `bl${process.pid % 100_000}`,
    link: { rateBps, discipline: 'strict', queuePackets: 256, mtuBytes: 1500 },
    marking: defaultTable,
    dataplane: 'tc-bpf',
    congestionControl: 'cubic',
    offloads: false,
  })
  try {
    const point = lab.capturePoints.find((one) => one.point === 'switch-out')
    assert(point !== undefined, 'a lab has a point behind its port')
    const prefix = ['ip', 'netns', 'exec', point.namespace]
    const file = join(directory, 'port.pcap')
    const capture = await startCapture({
      file,
      taps: point.taps.map((tap) => ({ ...tap, prefix })),
      snapLength: 64,
    })
    const udpBps = rateBps <= udpAtMostMbps * 1e6 ? 1.3 * rateBps : undefined
    const address = lab.address('destination', 'tenants')
    await fillPath(lab.inside('neighbour'), lab.inside('destination'), address, seconds, udpBps)
    const { droppedByKernel } = await capture.stop()
    assert(droppedByKernel === 0, 'the capture holds every frame')
    return await settledRate(file)
  } finally {
    await lab.down()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Bytes over time between two moments at which the port was full. */
async function settledRate(file: string): Promise<number> {
  const reader = await openCapture(file)
  let firstNs: number | undefined
  let from: number | undefined
  let lastNs = 0
  let bytes = 0
  do {
    while (reader.next()) {
      const { timeNs, wireLength } = reader.frame
      firstNs ??= timeNs
      if (timeNs < firstNs + settledNs || timeNs > firstNs + (seconds - 0.5) * 1e9) continue
      if (from === undefined) from = timeNs
      else bytes += wireLength
      lastNs = timeNs
    }
  } while (await reader.fill())
  await reader.close()
  assert(from !== undefined && lastNs > from, 'the port was full for some time')
  return (bytes * 8e9) / (lastNs - from)
}
