/**
 * The flood test of a box: 150 % of a small link offered as UDP must lose a third at the switch and nothing at the
 * sender. On a box where frames in the switch's queue hold their sender back, loss and queueing mean nothing
 * (ARCHITECTURE.md, orphaning). Done once for each dataplane, kernel and boot; the answer is kept beside the labs.
 */

import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { prepareCrossTraffic } from '../agent/traffic/cross-traffic.js'
import { classOfDscp, defaultTable } from '../marking/traffic-class.js'
import { assert } from '../support/assert.js'
import { oncePerBoot } from '../topology/boot-memory.js'
import { type Lab, labUp } from '../topology/lab.js'
import type { DataplaneName } from '../topology/spec.js'

export interface FloodOutcome {
  /** Share of the frames that reached the switch and were dropped at its congested port. */
  readonly lossAtSwitch: number
  /** Frames that left the sender's program and never reached the switch. */
  readonly lostAtSender: number
}

/** Small enough for a guest kernel with one processor. */
const linkBps = 20e6
const floodMs = 1500

/** The outcome of this boot's flood test, made now if there is none yet. `agent`: the argv of `agent traffic`. */
export async function floodOutcome(
  dataplane: DataplaneName,
  agent: readonly string[],
): Promise<FloodOutcome> {
  return oncePerBoot(`flood-${dataplane}`, () => flood(dataplane, agent))
}

async function flood(dataplane: DataplaneName, agent: readonly string[]): Promise<FloodOutcome> {
  const lab = await labUp({
    runId: `f${randomBytes(4).toString('hex')}`,
    link: { rateBps: linkBps, discipline: 'strict', queuePackets: 64, mtuBytes: 1500 },
    marking: defaultTable,
    dataplane,
    congestionControl: 'cubic',
    offloads: false,
  })
  try {
    return await measure(lab, agent)
  } finally {
    await lab.down()
  }
}

async function measure(lab: Lab, agent: readonly string[]): Promise<FloodOutcome> {
  const host = (name: 'source' | 'neighbour' | 'destination') => ({
    inside: lab.inside(name),
    address: lab.address(name, 'tenants'),
  })
  let failed: Error | undefined
  const traffic = await prepareCrossTraffic({
    streams: [
      {
        kind: 'udp-cbr',
        rateBps: 1.5 * linkBps,
        packetBytes: 1500,
        flows: 1,
        trafficClass: classOfDscp(defaultTable, 0),
        from: 'neighbour',
        startNs: 0,
      },
    ],
    hosts: { source: host('source'), neighbour: host('neighbour'), destination: host('destination') },
    agent,
    congestionControl: 'cubic',
    onError: (error) => {
      failed ??= error
    },
  })
  try {
    await traffic.start()
    await delay(floodMs)
    const { rows } = await traffic.stop()
    if (failed !== undefined) throw failed
    const [row] = rows
    const port = (await lab.boundary()).find((one) => one.host === 'neighbour')
    assert(row !== undefined && port !== undefined, 'the flood has a row and its sender a port')
    const dropped = (await lab.counters()).reduce((sum, queue) => sum + queue.dropped, 0)
    return {
      lossAtSwitch: dropped / Math.max(1, row.packets_sent),
      lostAtSender: Math.max(0, row.packets_sent - port.portReceivedPackets),
    }
  } finally {
    await traffic.close()
  }
}
