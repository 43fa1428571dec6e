import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ContentSpec } from '../../src/memory/content.js'
import { migrate } from '../../src/migration/engine.js'
import { silentJournal } from '../../src/migration/journal.js'
import type { MigrationRecord } from '../../src/migration/metrics.js'
import type { ModelTestbed } from '../../src/model/testbed.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { random } from '../../src/support/random.js'
import type { WorkloadSpec } from '../../src/workload/workload.js'
import { modelSpec, pageBytes, pageNs, run, type Setting } from '../support/model.js'
import { testSeeds } from '../support/seeds.js'
import { cases, nameOf } from './cases.js'
import { type Hazards, HostileTestbed } from './hostile-testbed.js'

/** Schemes that really encode every page get a smaller guest, so that the suite stays quick. */
const pagesFor = (scheme: string): number => (['xbzrle', 'mecom'].includes(scheme) ? 128 : 512)
const workloads: readonly Partial<WorkloadSpec>[] = [
  { kind: 'cycle' },
  { kind: 'cycle', workingSetPages: 40 },
  { kind: 'iid' },
  { kind: 'hot', workingSetPages: 60 },
  { kind: 'nested' },
  { kind: 'scan' },
  { kind: 'phase', workingSetPages: 60, periodNs: 300 * pageNs },
]
const ratios = [0.2, 0.9, 1.7]

/** What every ended migration owes, whatever the scheme (U3, U4 and U8 of the literature table). */
function checkRecord(record: MigrationRecord, testbed: ModelTestbed): void {
  const sum = (pick: (round: MigrationRecord['rounds'][number]) => number): number =>
    record.rounds.reduce((total, round) => total + pick(round), 0)
  assert.equal(
    sum((round) => round.pagesSent),
    record.pagesSent,
  )
  assert.equal(
    sum((round) => round.payloadBytes),
    record.payloadBytes,
  )
  assert.equal(
    sum((round) => round.durationNs),
    record.totalNs,
  )
  if (record.outcome === 'completed') {
    assert.equal(testbed.differingPages(), 0, 'the destination holds what the source held at its suspend')
    if (testbed.disk !== undefined) assert.equal(testbed.disk.differingBlocks, 0, 'and its disk too')
    assert.ok(record.downtimeNs! <= record.totalNs)
    assert.equal(record.pagesUnique, testbed.totalPages)
  } else if (record.downtimeNs !== undefined) {
    assert.match(record.reason ?? '', /lacks \d+ pages/, 'a guest that was handed over cannot go back')
  } else {
    assert.ok(testbed.guest.running, 'the guest runs on at the source')
    assert.equal(testbed.guest.withheld, 0, 'at full speed')
  }
}

/** QEMU suspends a guest, even a silent one, while the rest fits its downtime limit: the tail of the sweep goes last. */
const stopsWithRest = ['qemu', 'xbzrle']
/** The destination executes what it is behind while the guest is suspended. */
const stopsBehind = ['cr-tr']

const contents: readonly ContentSpec[] = [
  { kind: 'random' },
  { kind: 'mix', shares: { zero: 1, regular: 1, pointer: 1, random: 1, 'sparse-update': 2 } },
]

for (const one of cases) {
  const pages = pagesFor(one.scheme)
  const strategy = strategyNamed(one.scheme).create(one.options)
  const disk = strategy.lanes?.includes('disk') ? { disk: {} } : {}

  testSeeds(`${nameOf(one)}: memory arrives as it was, over workloads and seeds`, 50, async (seed) => {
    const workload = workloads[seed % workloads.length]!
    const ratio = ratios[Math.floor(seed / workloads.length) % ratios.length]!
    const content = contents[seed % contents.length]!
    const setting: Setting = { pages, ratio, workload, seed, content, deviceBytes: 3 * pageBytes, ...disk }
    const { record, testbed } = await run(strategy, {}, setting)
    assert.equal(record.outcome, 'completed')
    checkRecord(record, testbed)
  })

  test(`${nameOf(one)}: the same seed gives the same migration, to the nanosecond`, async () => {
    const setting: Setting = {
      pages,
      ratio: 0.9,
      workload: { kind: 'hot', workingSetPages: 60 },
      seed: 5,
      ...disk,
    }
    assert.deepEqual((await run(strategy, {}, setting)).record, (await run(strategy, {}, setting)).record)
  })

  test(`${nameOf(one)}: a silent guest is sent once, and stands still for its device state only`, async () => {
    const { record } = await run(
      strategy,
      {},
      {
        pages,
        ratio: 0,
        deviceBytes: 3 * pageBytes,
        ...('disk' in disk ? { disk: { writesPerSecond: 0 } } : {}),
      },
    )
    assert.equal(record.pagesSent, pages)
    if (['stop-and-copy', ...stopsWithRest, ...stopsBehind].includes(one.scheme)) return
    // Memory that must be there before the guest can run is part of its downtime, wherever it comes from.
    if ('nonpageable' in one.options || one.scheme === 'shared-storage') return
    assert.equal(record.downtimeNs, 3 * pageNs)
  })

  testSeeds(`${nameOf(one)}: a hostile world costs time, never memory`, 50, async (seed) => {
    const numbers = random(seed, 0x68617a)
    const hazards: Hazards = {
      cutShort: numbers.unit(),
      nothing: numbers.unit() / 2,
      burst: numbers.unit() / 3,
      ...(seed % 5 === 0 ? { cancelAfter: 1 + numbers.below(12) } : {}),
    }
    const workload = workloads[seed % workloads.length]!
    const testbed = new HostileTestbed(
      modelSpec({ pages, ratio: ratios[seed % ratios.length]!, workload, seed, ...disk }),
      hazards,
      seed,
    )
    const limits = { maxTotalNs: (2 + numbers.below(60)) * pages * pageNs }
    const record = await migrate(strategy, testbed, limits, silentJournal)
    assert.ok(record.outcome !== 'failed')
    checkRecord(record, testbed)
  })
}
