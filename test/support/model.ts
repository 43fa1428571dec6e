/** Migrations on the model for tests: a logical clock on which a page takes a whole number of nanoseconds. */

import assert from 'node:assert/strict'
import type { ContentSpec } from '../../src/memory/content.js'
import { migrate } from '../../src/migration/engine.js'
import { silentJournal } from '../../src/migration/journal.js'
import type { MigrationRecord } from '../../src/migration/metrics.js'
import type { Intent, Strategy, View } from '../../src/migration/strategy.js'
import { type LinkSpec, logicalLink } from '../../src/model/link.js'
import { type ModelSpec, ModelTestbed } from '../../src/model/testbed.js'
import { strategyNamed } from '../../src/strategies/index.js'
import type { DiskSpec } from '../../src/workload/disk.js'
import type { InputSpec } from '../../src/workload/inputs.js'
import type { WorkloadSpec } from '../../src/workload/workload.js'

export const pageBytes = 4096
/** A page takes 1000 ns. */
export const pageNs = 1000
export const logical: LinkSpec = logicalLink((pageBytes * 8e9) / pageNs)

/** A fifth of a block is written in the time of a page. */
const disk: DiskSpec = {
  totalBlocks: 256,
  blockBytes: 4096,
  writesPerSecond: (0.2 * 1e9) / pageNs,
  workingSetBlocks: 64,
  replicaShare: 0.75,
}

export interface Setting {
  readonly pages?: number
  /** Page writes for each page sent. */
  readonly ratio?: number
  readonly workload?: Partial<WorkloadSpec>
  readonly seed?: number
  readonly deviceBytes?: number
  readonly link?: LinkSpec
  readonly readsPerWrite?: number
  readonly inputs?: InputSpec
  readonly freePages?: number
  readonly balloonedPages?: number
  readonly content?: ContentSpec
  readonly disk?: Partial<DiskSpec>
}

export function modelSpec(setting: Setting): ModelSpec {
  const totalPages = setting.pages ?? 4096
  const ratio = setting.ratio ?? 0.5
  return {
    guest: {
      totalPages,
      pageBytes,
      seed: setting.seed ?? 1,
      readsPerWrite: setting.readsPerWrite ?? 0,
      freePages: setting.freePages ?? 0,
      balloonedPages: setting.balloonedPages ?? 0,
      ...(setting.inputs === undefined ? {} : { inputs: setting.inputs }),
      workload: {
        kind: ratio === 0 ? 'idle' : 'cycle',
        writesPerSecond: (ratio * 1e9) / pageNs,
        workingSetPages: totalPages - (setting.freePages ?? 0),
        hotShare: 0.9,
        ...setting.workload,
      },
      ...(setting.disk === undefined ? {} : { disk: { ...disk, ...setting.disk } }),
    },
    ...(setting.content === undefined ? {} : { content: setting.content }),
    deviceBytes: setting.deviceBytes ?? 0,
    link: setting.link ?? logical,
    lanes: { bulk: 7, final: 7 },
  }
}

export interface Run {
  readonly record: MigrationRecord
  readonly testbed: ModelTestbed
  /** Pages of the last round, as a share of memory. */
  readonly finalShare: number
  /** Pages sent, as a multiple of memory. */
  readonly totalShare: number
}

/** Runs a scheme by name, or a strategy. A completed run must have moved the memory of the moment of suspend. */
export async function run(
  scheme: string | Strategy,
  options: Readonly<Record<string, unknown>>,
  setting: Setting,
  testbed = new ModelTestbed(modelSpec(setting)),
): Promise<Run> {
  const strategy = typeof scheme === 'string' ? strategyNamed(scheme).create(options) : scheme
  const record = await migrate(strategy, testbed, { maxTotalNs: 3600e9 }, silentJournal)
  if (record.outcome === 'completed') {
    assert.equal(testbed.differingPages(), 0, 'memory arrived as it was')
    if (testbed.disk !== undefined) assert.equal(testbed.disk.differingBlocks, 0, 'the disk too')
  }
  const suspended = record.rounds.filter((round) => round.phase === 'suspended')
  const finalPages = suspended.reduce((sum, round) => sum + round.pagesSent, 0)
  return {
    record,
    testbed,
    finalShare: finalPages / testbed.totalPages,
    totalShare: record.pagesSent / testbed.totalPages,
  }
}

/** Asserts that two numbers differ by at most `tolerance`. */
export function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(
    Math.abs(actual - expected) <= tolerance,
    `${what}: ${actual}, expected ${expected} +- ${tolerance}`,
  )
}

/** The same scheme, with somebody who looks at every view that it gets and at what it makes of it. */
export function watched(strategy: Strategy, look: (view: View, next: Intent | undefined) => void): Strategy {
  function* decide(first: View): Generator<Intent, void, View> {
    const decisions = strategy.decide(first)
    let view = first
    for (let next = decisions.next(); ; next = decisions.next(view)) {
      look(view, next.done ? undefined : next.value)
      if (next.done) return
      view = yield next.value
    }
  }
  return { info: strategy.info, decide }
}
