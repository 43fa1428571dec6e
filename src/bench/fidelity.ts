/**
 * `npm run fidelity`: the model against the emulator, every scheme in one lab. Prints the table and the medians, or
 * with `--json` one document; `--only WORD` takes the workloads and schemes of that name, `--runs N` the median of so
 * many runs of each. Needs root.
 */

import { cpus, release } from 'node:os'
import type { SourceResult } from '../agent/source.js'
import { columns } from '../cli/columns.js'
import { interrupts } from '../cli/interrupts.js'
import { inMigrationLab } from '../experiment/migration-lab.js'
import {
  compared,
  errorLimits,
  type FidelityRow,
  fidelityCases,
  type Metric,
  metrics,
  workloadNames,
} from '../experiment/model-fidelity.js'
import { undisturbed } from '../experiment/undisturbed.js'
import { strategies } from '../strategies/index.js'
import { exitCode, messageOf, PagewireError } from '../support/errors.js'
import { median } from '../support/median.js'
import { requireLab } from '../topology/requirements.js'

/** Of each case: more would take hours. */
const runsMax = 9

const setting = { memory: '32MiB', linkRate: '100mbit' } as const

interface Summary {
  readonly metric: Metric
  readonly median_error: number
  readonly limit: number
  readonly ok: boolean
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json')
  const runsAt = args.indexOf('--runs') + 1
  const runs = runsAt === 0 ? 1 : Number(args[runsAt])
  const words = args.filter((arg, i) => !arg.startsWith('--') && (runsAt === 0 || i !== runsAt))
  const names = [...workloadNames, ...strategies.map(({ info }) => info.name)]
  const wrong = [
    ...args.filter((arg) => arg.startsWith('--') && !['--json', '--only', '--runs'].includes(arg)),
    ...words.filter((word) => !names.includes(word)),
    ...(Number.isInteger(runs) && runs >= 1 && runs <= runsMax ? [] : ['--runs']),
  ]
  if (wrong.length > 0) {
    process.stderr.write(
      `usage: npm run fidelity [-- [--json] [--runs 1..${runsMax}] [--only ${names.join('|')} ...]]\n`,
    )
    return exitCode.usage
  }
  try {
    requireLab()
    const rows = await measured(words, runs)
    const summary = summarised(rows)
    process.stdout.write(
      json
        ? `${JSON.stringify({ setting, runs, rows, summary, environment: environment() }, null, 2)}\n`
        : `${text(rows, runs, summary)}\n`,
    )
    return summary.every(({ ok }) => ok) && rows.every(({ verified }) => verified)
      ? exitCode.ok
      : exitCode.verdictFail
  } catch (error) {
    if (!(error instanceof PagewireError)) throw error
    process.stderr.write(`pagewire: ${messageOf(error)}\n${error.next ?? ''}\n`)
    return error.exit
  }
}

async function measured(words: readonly string[], runs: number): Promise<readonly FidelityRow[]> {
  const schemes = words.filter((word) => !workloadNames.includes(word))
  const workloads = words.filter((word) => workloadNames.includes(word))
  const cases = fidelityCases({
    ...setting,
    workloads: workloads.length > 0 ? workloads : workloadNames,
    ...(schemes.length > 0 ? { schemes } : {}),
  })
  const rows: FidelityRow[] = []
  const signals = interrupts()
  await inMigrationLab(cases[0]!.scenario, signals.first, async (lab) => {
    for (const one of cases) {
      process.stderr.write(`${rows.length + 1} of ${cases.length}: ${one.workload} ${one.scheme} ...\n`)
      const results: SourceResult[] = []
      while (results.length < runs) {
        const result = await undisturbed(
          () => lab.migrate(one.scenario),
          (wait) => process.stderr.write(`  the source waited ${percent(wait)} for a processor: once more\n`),
        )
        results.push(result)
      }
      rows.push(await compared(one, results))
    }
  })
  signals.close()
  return rows
}

function summarised(rows: readonly FidelityRow[]): readonly Summary[] {
  return metrics.map((metric) => {
    const error = Math.round(1e4 * median(rows.map((row) => Math.abs(row.error[metric])))) / 1e4
    return { metric, median_error: error, limit: errorLimits[metric], ok: error <= errorLimits[metric] }
  })
}

function text(rows: readonly FidelityRow[], runs: number, summary: readonly Summary[]): string {
  const right = (title: string) => ({ title, align: 'right' as const })
  const heads = [
    { title: 'workload', align: 'left' as const },
    { title: 'scheme', align: 'left' as const },
    { title: 'verified', align: 'left' as const },
    ...[
      'total ms',
      'model',
      'error',
      'pages',
      'model',
      'error',
      'downtime ms',
      'model',
      'error',
      ...(runs > 1 ? ['spread'] : []),
      'waited',
    ].map(right),
  ]
  const table = columns(
    heads,
    rows.map((row) => [
      row.workload,
      row.scheme,
      row.verified ? 'true' : row.outcome,
      ...metrics.flatMap((metric) => [
        shown(row.emulator[metric], metric),
        shown(row.model[metric], metric),
        percent(row.error[metric]),
      ]),
      ...(runs > 1 ? [percent(row.spread.downtime_ms)] : []),
      percent(row.processor_wait),
    ]),
  )
  const { kernel, cpu, node } = environment()
  return [
    table,
    '',
    ...summary.map(
      ({ metric, median_error, limit, ok }) =>
        `median error of ${metric}: ${percent(median_error)} (limit ${percent(limit)}) ${ok ? 'ok' : 'TOO MUCH'}`,
    ),
    `${runs === 1 ? 'one run of each' : `medians of ${runs} runs, spread of the downtime`}; guest ${setting.memory}, link ${setting.linkRate}; kernel ${kernel}, ${cpu}, node ${node}`,
  ].join('\n')
}

function shown(value: number, metric: Metric): string {
  return metric === 'pages_sent' ? String(value) : value.toFixed(1)
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`
}

function environment() {
  return {
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    kernel: release(),
    node: process.version,
  }
}
