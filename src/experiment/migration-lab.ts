/**
 * One lab for a series of migrations, of which only what the agents measure is wanted: no captures and no ledger, so
 * that a migration costs its own time and the start of two processes. A run (runner.ts) proves more of one migration.
 */

import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { SourceResult } from '../agent/source.js'
import { prepareCrossTraffic } from '../agent/traffic/cross-traffic.js'
import { exitCode, PagewireError } from '../support/errors.js'
import { type Lab, labUp, sweep } from '../topology/lab.js'
import { resolveDataplane } from '../topology/requirements.js'
import { dataplaneFor } from '../topology/spec.js'
import { trafficAgent } from './agent-process.js'
import { MigrationPair } from './migration-pair.js'
import type { Scenario } from './scenario.js'
import { trafficHosts } from './traffic-hosts.js'

export interface MigrationLab {
  /** Migrates the scenario's guest under its cross-traffic. Its link is that of the lab. */
  migrate(scenario: Scenario): Promise<SourceResult>
}

/** Cross-traffic runs alone for this long, so that the migration meets queues in their steady state. */
const warmUpMs = 1000

/**
 * Builds the lab that this scenario's link asks for, lends it out and takes it away. Needs root. Once `cancel` is
 * aborted the migration in progress ends soon, and it and every later one rejects.
 */
export async function inMigrationLab<T>(
  scenario: Scenario,
  cancel: AbortSignal,
  use: (lab: MigrationLab) => Promise<T>,
): Promise<T> {
  await sweep()
  const lab = await labUp({
    runId: `m${process.pid.toString(36)}`,
    link: scenario.link,
    marking: scenario.marking,
    dataplane: await resolveDataplane(dataplaneFor(scenario.link, scenario.dataplane), 'lab'),
    congestionControl: scenario.migration.congestionControl,
    offloads: false,
  })
  try {
    return await use({ migrate: (one) => migrateIn(lab, one, cancel) })
  } finally {
    await lab.down()
  }
}

async function migrateIn(lab: Lab, scenario: Scenario, cancel: AbortSignal): Promise<SourceResult> {
  if (cancel.aborted) throw cancelledError()
  const pair = await MigrationPair.start(scenario, {
    insideSource: lab.inside('source'),
    insideDestination: lab.inside('destination'),
    destinationAddress: lab.address('destination', 'migration'),
    pathAddresses: lab.pathAddresses('destination'),
    storage: { inside: lab.inside('neighbour'), address: lab.address('neighbour', 'migration') },
    logFile: (agent) => join(lab.directory, `${agent}.log`),
  })
  const cancelled = (): void => pair.cancel()
  cancel.addEventListener('abort', cancelled, { once: true })
  try {
    const result = await underLoad(lab, scenario, async () => (await pair.migrate()).source)
    if (cancel.aborted) throw cancelledError()
    return result
  } finally {
    cancel.removeEventListener('abort', cancelled)
    await pair.end()
  }
}

function cancelledError(): PagewireError {
  return new PagewireError(exitCode.sigint, 'stopped by the user', { code: 'cancelled' })
}

async function underLoad<T>(lab: Lab, scenario: Scenario, work: () => Promise<T>): Promise<T> {
  if (scenario.crossTraffic.length === 0) return work()
  let broken: Error | undefined
  const traffic = await prepareCrossTraffic({
    streams: scenario.crossTraffic,
    hosts: trafficHosts(lab, scenario.link.mtuBytes),
    agent: trafficAgent,
    congestionControl: scenario.migration.congestionControl,
    onError: (error) => {
      broken ??= error
    },
  })
  try {
    await traffic.start()
    await delay(warmUpMs)
    const result = await work()
    await traffic.stop()
    if (broken !== undefined) throw broken
    return result
  } finally {
    await traffic.close()
  }
}
