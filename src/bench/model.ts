/** How long the model takes, on one core: a large guest that hardly converges, and many small ones. */

import { migrate } from '../migration/engine.js'
import { silentJournal } from '../migration/journal.js'
import { idlePageRate, logicalLink } from '../model/link.js'
import { ModelTestbed } from '../model/testbed.js'
import { strategyNamed } from '../strategies/index.js'
import { assert } from '../support/assert.js'
import { median } from '../support/median.js'

export interface ModelBench {
  /** Milliseconds for a 4 GiB guest, xen42, dirty ratio 0.9: the median of the runs. */
  readonly xen42_4gib_ms: number
  /** Seconds for 1,000 runs of a 256 MiB guest. */
  readonly runs_1000_256mib_s: number
}

const pageBytes = 4096
const gib = 2 ** 30
/** The first two or three are slower, until the loops are compiled: the median is none of them. */
const largeRuns = 9

export async function benchModel(): Promise<ModelBench> {
  const large: number[] = []
  for (let run = 0; run < largeRuns; run++) large.push(await timedMs(() => xen42Run(4 * gib, run)))
  const small = await timedMs(async () => {
    for (let run = 0; run < 1000; run++) await xen42Run(gib / 4, run)
  })
  return { xen42_4gib_ms: median(large), runs_1000_256mib_s: small / 1000 }
}

async function xen42Run(memoryBytes: number, seed: number): Promise<void> {
  const link = logicalLink(1e9)
  const totalPages = memoryBytes / pageBytes
  const testbed = new ModelTestbed({
    guest: {
      totalPages,
      pageBytes,
      seed,
      workload: {
        kind: 'cycle',
        writesPerSecond: 0.9 * idlePageRate(link, pageBytes),
        workingSetPages: totalPages,
        hotShare: 0,
      },
    },
    deviceBytes: 0,
    link,
    lanes: { bulk: 7, final: 7 },
  })
  const strategy = strategyNamed('pre-copy').create({ profile: 'xen42' })
  const record = await migrate(strategy, testbed, { maxTotalNs: 3600e9 }, silentJournal)
  assert(record.outcome === 'completed' && testbed.differingPages() === 0, 'the run was a real one')
}

async function timedMs(work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
