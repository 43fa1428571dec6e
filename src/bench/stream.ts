/** How fast pages move, beside iperf3's single stream in the same lab and minute. Interleaved, medians. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SourceResult } from '../agent/source.js'
import { MigrationPair } from '../experiment/migration-pair.js'
import { mbps } from '../experiment/result.js'
import { parseScenario } from '../experiment/scenario.js'
import { defaultTable } from '../marking/traffic-class.js'
import { failure } from '../support/errors.js'
import { median } from '../support/median.js'
import { type Lab, labUp } from '../topology/lab.js'
import { iperf3Bps } from './iperf3.js'

export interface StreamBench {
  readonly shaped_vs_iperf3: number
  readonly unshaped_vs_iperf3: number
  readonly unshaped_no_offload_vs_iperf3: number
  readonly goodput_mbps: Readonly<Record<string, number>>
  readonly iperf3_mbps: Readonly<Record<string, number>>
  readonly source_rss_16gib_mib: number
}

interface Setting {
  readonly name: string
  readonly rateBps: number | null
  readonly offloads: boolean
  readonly guestMib: number
  readonly seconds: number
}

const settings: readonly Setting[] = [
  { name: 'shaped', rateBps: 200e6, offloads: false, guestMib: 96, seconds: 4 },
  { name: 'unshaped', rateBps: null, offloads: true, guestMib: 4096, seconds: 4 },
  { name: 'unshaped_no_offload', rateBps: null, offloads: false, guestMib: 1536, seconds: 4 },
]

export async function benchStream(rounds = 3): Promise<StreamBench> {
  const ours: Record<string, number> = {}
  const theirs: Record<string, number> = {}
  const ratio: Record<string, number> = {}
  for (const setting of settings) {
    const { goodputs, peers } = await measure(setting, rounds)
    ours[setting.name] = mbps(median(goodputs))
    theirs[setting.name] = mbps(median(peers))
    ratio[setting.name] = median(goodputs.map((goodput, i) => goodput / peers[i]!))
  }
  return {
    shaped_vs_iperf3: rounded(ratio['shaped']),
    unshaped_vs_iperf3: rounded(ratio['unshaped']),
    unshaped_no_offload_vs_iperf3: rounded(ratio['unshaped_no_offload']),
    goodput_mbps: ours,
    iperf3_mbps: theirs,
    source_rss_16gib_mib: await residentMemory(),
  }
}

async function measure(setting: Setting, rounds: number): Promise<{ goodputs: number[]; peers: number[] }> {
  return inLab(setting.rateBps, setting.offloads, async (lab, directory) => {
    const goodputs: number[] = []
    const peers: number[] = []
    for (let round = 0; round < rounds; round++) {
      peers.push(
        await iperf3Bps(
          lab.inside('source'),
          lab.inside('destination'),
          lab.address('destination', 'migration'),
          setting.seconds,
        ),
      )
      const result = await migrateOnce(lab, directory, setting.guestMib)
      goodputs.push(result.record.goodputBps)
    }
    return { goodputs, peers }
  })
}

/** Peak resident memory of the source agent with a 16 GiB guest, in MiB. */
async function residentMemory(): Promise<number> {
  return inLab(null, true, async (lab, directory) => {
    const result = await migrateOnce(lab, directory, 16 * 1024)
    return Math.round(result.peakRssBytes / 2 ** 20)
  })
}

async function migrateOnce(lab: Lab, directory: string, guestMib: number): Promise<SourceResult> {
  const text = `name: bench
guest: { memory: ${guestMib}MiB, workload: { kind: idle } }
migration: { strategy: stop-and-copy, options: {}, marking: { bulk: CS7, final: CS7 }, max_total_time: 120s }
`
  const pair = await MigrationPair.start(parseScenario(text, 'benchmark'), {
    insideSource: lab.inside('source'),
    insideDestination: lab.inside('destination'),
    destinationAddress: lab.address('destination', 'migration'),
    storage: { inside: lab.inside('neighbour'), address: lab.address('neighbour', 'migration') },
    logFile: (agent) => join(directory, `${agent}.log`),
  })
  try {
    const { source } = await pair.migrate()
    if (!source.verified) {
      throw failure(`the benchmark's migration was not verified: ${source.record.reason}`, { code: 'bench' })
    }
    return source
  } finally {
    await pair.end()
  }
}

async function inLab<T>(
  rateBps: number | null,
  offloads: boolean,
  use: (lab: Lab, directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'pagewire-bench-'))
  const lab = await labUp({
    runId: `bench${process.pid % 100_000}`,
    link: { rateBps, discipline: 'strict', queuePackets: 256, mtuBytes: 1500 },
    marking: defaultTable,
    dataplane: 'tc-bpf',
    congestionControl: 'cubic',
    offloads,
  })
  try {
    return await use(lab, directory)
  } finally {
    await lab.down()
    rmSync(directory, { recursive: true, force: true })
  }
}

function rounded(value: number | undefined): number {
  return Math.round((value ?? Number.NaN) * 1000) / 1000
}
