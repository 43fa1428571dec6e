/** `pagewire predict --goal`: the schemes and options that reach a goal, and their price. */

import type { Command } from 'commander'
import { type Candidate, type Plan, parseGoal, searchPlan } from '../experiment/goal.js'
import type { Scenario } from '../experiment/scenario.js'
import { strategies } from '../strategies/index.js'
import { exitCode } from '../support/errors.js'
import { formatBytes } from '../support/units.js'
import { columns } from './columns.js'
import { globalOptions } from './globals.js'
import { printJson, printText } from './output.js'

/** Searches, prints, and returns the exit code. */
export async function printPlan(
  scenario: Scenario,
  options: { readonly goal: readonly string[]; readonly best: number },
  command: Command,
): Promise<number> {
  const { json, quiet } = globalOptions(command)
  const chatty = !json && !quiet && process.stderr.isTTY === true
  const plan = await searchPlan(scenario, strategies, parseGoal(options.goal), options.best, (count, of) => {
    if (chatty) process.stderr.write(`\rtried ${count} of ${of}`)
  })
  if (chatty) process.stderr.write('\r\x1b[K')
  if (json) printJson(plan)
  else printText(planText(scenario, plan, options.goal))
  return plan.reached ? exitCode.ok : exitCode.verdictFail
}

function planText(scenario: Scenario, { best, reached, searched }: Plan, goal: readonly string[]): string {
  const wanted = goal.join(' and ')
  const [first] = best
  const left = (title: string) => ({ title, align: 'left' as const })
  const right = (title: string) => ({ title, align: 'right' as const })
  const table = columns(
    [
      left('scheme'),
      left('options'),
      left('marks'),
      ...['total', 'downtime', 'guest stall', 'on the wire', 'others lose'].map(right),
    ],
    best.map((one) => [
      one.strategy,
      optionsText(one.options),
      one.marking,
      duration(one.total_time_ms),
      one.downtime_ms === null ? one.outcome : duration(one.downtime_ms),
      duration(one.guest_stall_ms),
      formatBytes(one.wire_bytes),
      one.others_loss_ratio === null ? '-' : `${(100 * one.others_loss_ratio).toFixed(1)} %`,
    ]),
  )
  return [
    reached
      ? `${scenario.name}: ${wanted} (predicted; ${searched} combinations tried)`
      : `${scenario.name}: none of ${searched} combinations reaches ${wanted}; the nearest (predicted):`,
    '',
    table,
    ...(first === undefined ? [] : ['', 'To measure the first:', `  sudo pagewire run ${settings(first)}`]),
  ].join('\n')
}

function optionsText(options: Candidate['options']): string {
  const given = Object.entries(options).map(([name, value]) => `${name}=${String(value)}`)
  return given.length === 0 ? 'defaults' : given.join(' ')
}

function settings({ strategy, options, marking }: Candidate): string {
  const unmarked = ['bulk', 'final', 'faults'].map((lane) => `migration.marking.${lane}=best-effort`)
  return [
    `migration.strategy=${strategy}`,
    `'migration.options=${JSON.stringify(options)}'`,
    ...(marking === 'none' ? unmarked : []),
  ]
    .map((setting) => `--set ${setting}`)
    .join(' ')
}

function duration(ms: number): string {
  if (ms < 1000) return `${ms.toFixed(ms < 100 ? 1 : 0)} ms`
  return `${(ms / 1000).toFixed(2)} s`
}
