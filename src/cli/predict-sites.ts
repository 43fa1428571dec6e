/** `pagewire predict --sites`: where replicas of the disk should be, and where the guest runs as prices change. */

import type { Command } from 'commander'
import type { Scenario } from '../experiment/scenario.js'
import { readSiteFile } from '../experiment/site-file.js'
import { planSites, type SitePlan } from '../experiment/site-plan.js'
import { formatBytes } from '../support/units.js'
import { columns } from './columns.js'
import { globalOptions } from './globals.js'
import { readText } from './input.js'
import { printJson, printText } from './output.js'

export async function printSites(scenario: Scenario, file: string, command: Command): Promise<void> {
  const plan = await planSites(readSiteFile(readText(file), file), scenario)
  if (globalOptions(command).json) printJson(plan)
  else printText(sitesText(scenario.name, plan))
}

function sitesText(name: string, plan: SitePlan): string {
  const { image_bytes, memory_bytes, sync_bytes, cost } = plan
  return [
    `${name} (predicted; our reconstruction of CloudSpider)`,
    `An image of ${formatBytes(image_bytes)} and ${formatBytes(memory_bytes)} of memory; ${formatBytes(sync_bytes)} keep the replicas up to date.`,
    '',
    placesText(plan),
    '',
    plan.moves.length === 0 ? 'The guest stays where it is.' : movesText(plan),
    '',
    `Cost ${figure(cost.planned)}, against ${figure(cost.staying)} for a guest that stays.`,
  ].join('\n')
}

function placesText({ sites }: SitePlan): string {
  return columns(
    [
      { title: 'site', align: 'left' },
      { title: '', align: 'left' },
      { title: 'first sync', align: 'right' },
      { title: 'stored more', align: 'right' },
    ],
    sites.map((site) => [
      site.name,
      site.primary ? 'primary' : site.replica ? 'replica' : site.feasible ? '-' : 'too far from the users',
      site.replica ? formatBytes(site.first_sync_bytes) : '-',
      site.replica ? formatBytes(site.extra_storage_bytes) : '-',
    ]),
  )
}

function movesText({ moves }: SitePlan): string {
  const right = ['unsynced', 'sent', 'time', 'downtime', 'without replica']
  return columns(
    [
      { title: 'at h', align: 'right' },
      { title: 'from', align: 'left' },
      { title: 'to', align: 'left' },
      ...right.map((title) => ({ title, align: 'right' as const })),
    ],
    moves.map((move) => [
      figure(move.at_h),
      move.from,
      move.to,
      formatBytes(move.unsynced_bytes),
      formatBytes(move.payload_bytes),
      seconds(move.total_time_ms),
      move.downtime_ms === null ? move.outcome : `${move.downtime_ms.toFixed(1)} ms`,
      seconds(move.without_replica_total_time_ms),
    ]),
  )
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}

function figure(value: number): string {
  return String(Number(value.toFixed(3)))
}
