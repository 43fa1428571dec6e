/** `npm run demo`: the default scenario alone, marked and unmarked, side by side. Not a command: a guided tour of `run`. */

import { join } from 'node:path'
import type { ClassResult } from '../analysis/run-classes.js'
import type { RunResult } from '../experiment/result.js'
import { sudoCaller } from '../experiment/run-directory.js'
import { readScenario } from '../experiment/scenario.js'
import { defaultScenarioText } from '../experiment/scenario-default.js'
import { exitCode, messageOf, PagewireError } from '../support/errors.js'
import { requireLab } from '../topology/requirements.js'
import { columns } from './columns.js'
import { interrupts } from './interrupts.js'
import { exitOf, measuredRun } from './measured-run.js'

interface Scene {
  readonly name: string
  readonly says: string
  readonly set: readonly string[]
}

const unmarked = ['migration.marking.bulk=best-effort', 'migration.marking.final=best-effort']

const scenes: readonly Scene[] = [
  { name: 'alone', says: 'marked, and nobody else on the link', set: ['cross_traffic=[]'] },
  { name: 'marked', says: 'marked CS7 / PCP 7, against the cross-traffic', set: [] },
  {
    name: 'unmarked',
    says: 'unmarked, against the same cross-traffic (takes a minute or two)',
    set: unmarked,
  },
]

const introduction = `Pagewire migrates a 64 MiB guest over a 200 Mbit/s switch port, three times:
real TCP, real 802.1Q frames, a real queue. Cross-traffic: 120 Mbit/s UDP and two bulk TCP flows, best effort.
`

process.exitCode = await demo()

async function demo(): Promise<number> {
  const signals = interrupts()
  try {
    requireLab(['tcpdump'])
    process.stdout.write(introduction)
    const out = join('pagewire-runs', `demo-${new Date().toISOString().replace(/[-:T]/g, '').slice(0, 14)}`)
    const results: RunResult[] = []
    for (const scene of scenes) {
      process.stdout.write(`\n  ${scene.name}: ${scene.says}\n`)
      const read = readScenario(defaultScenarioText, 'default scenario', scene.set)
      const where = join(out, scene.name)
      const result = await measuredRun({ read, out: where, hooks: {}, showProgress: true, signals })
      const code = exitOf(result, signals.exitCode)
      if (code !== exitCode.ok) return stopped(scene, result, code)
      results.push(result)
    }
    process.stdout.write(`\n${sideBySide(results)}\n\n${closing(results, out)}\n`)
    return exitCode.ok
  } catch (error) {
    if (!(error instanceof PagewireError)) throw error
    process.stderr.write(
      `pagewire: ${messageOf(error)}\n${error.next === undefined ? '' : `${error.next}\n`}`,
    )
    return error.exit
  } finally {
    signals.close()
  }
}

/** A run that did not count: the reason, and no comparison made of the others. */
function stopped(scene: Scene, result: RunResult, code: number): number {
  const broken = result.fidelity.checks.filter((check) => !check.ok)
  const why = broken.map(
    (check) => `${check.name} is ${check.value}, the limit is ${check.limit}. ${check.advice}`,
  )
  const verdict = broken.length > 0 ? 'is invalid' : `was ${result.outcome}: ${result.reason ?? 'unknown'}`
  process.stderr.write(
    `pagewire: the run '${scene.name}' ${verdict}\n` +
      `${why.map((line) => `${line}\n`).join('')}See ${result.run_dir}.\n`,
  )
  return code
}

function sideBySide(results: readonly RunResult[]): string {
  const heads = [
    { title: '', align: 'left' } as const,
    ...scenes.map(({ name }) => ({ title: name, align: 'right' }) as const),
  ]
  const line = (title: string, of: (result: RunResult) => string): string[] => [title, ...results.map(of)]
  return columns(heads, [
    line('goodput of the migration, Mbit/s', (result) => number(result.migration?.goodput_mbps)),
    line('total time, s', (result) => number((result.migration?.total_time_ms ?? 0) / 1000)),
    line('downtime, ms', (result) => number(result.migration?.downtime_ms ?? undefined)),
    line('rounds', (result) => String(result.migration?.rounds.length ?? '-')),
    line('memory sent / guest memory', (result) => number(resent(result), 2)),
    line('migration frames lost at the port', (result) => ofRole(result, 'migration', lossText)),
    line('UDP cross-traffic delivered, Mbit/s', (result) => ofRole(result, 'udp-cbr', throughputText)),
    line('UDP cross-traffic lost at the port', (result) => ofRole(result, 'udp-cbr', lossText)),
    line('TCP cross-traffic delivered, Mbit/s', (result) => ofRole(result, 'tcp-bulk', throughputText)),
    line('frames with a wrong mark', (result) => marksText(result)),
    line('every page verified', (result) => (result.migration?.verified ? 'yes' : 'no')),
  ])
}

function closing(results: readonly RunResult[], out: string): string {
  const [alone, marked, plain] = results.map((result) => result.migration?.goodput_mbps ?? 0)
  const share = (goodput = 0): string => `${((100 * goodput) / (alone || 1)).toFixed(0)} %`
  const owner = sudoCaller() === undefined ? '' : ' (yours, not root’s)'
  return [
    `Under contention the marked migration kept ${share(marked)} of the goodput it has alone, the unmarked one ${share(plain)}.`,
    'The price is in the table too: what the others lost while the marked migration ran.',
    `Captures, results and logs: ${out}/{${scenes.map(({ name }) => name).join(',')}}${owner}`,
  ].join('\n')
}

function resent(result: RunResult): number {
  const migration = result.migration
  return migration === null ? Number.NaN : migration.pages_sent / migration.pages_total
}

function ofRole(result: RunResult, word: string, text: (rows: readonly ClassResult[]) => string): string {
  const rows = (result.classes as readonly ClassResult[]).filter(
    (row) => row.role.includes(word) && row.direction !== 'server-to-client',
  )
  return rows.length === 0 ? '-' : text(rows)
}

function throughputText(rows: readonly ClassResult[]): string {
  return number(rows.reduce((sum, row) => sum + row.throughput_mbps, 0))
}

function lossText(rows: readonly ClassResult[]): string {
  const lost = rows.reduce((sum, row) => sum + (row.packets_lost ?? 0), 0)
  const all = rows.reduce((sum, row) => sum + row.packets, 0)
  return `${((100 * lost) / Math.max(1, all)).toFixed(2)} %`
}

function marksText(result: RunResult): string {
  const marks = result.marks as { frames_checked: number; frames_wrong: number }
  return `${marks.frames_wrong} of ${marks.frames_checked}`
}

function number(value: number | undefined, digits = 1): string {
  return value === undefined || Number.isNaN(value) ? '-' : value.toFixed(digits)
}
