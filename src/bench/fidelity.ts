/**
 * `npm run fidelity`: the model against the emulator, every scheme in one lab. Prints the table and the medians, or
 * with `--json` one document; `--only WORD` takes the workloads and schemes of that name. Needs root.
 */

import { cpus, release } from 'node:os'
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
import { requireLab } from '../topology/requirements.js'
import { median } from './median.js'

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
  const words = args.filter((arg) => !arg.startsWith('--'))
  const names = [...workloadNames, ...strategies.map(({ info }) => info.name)]
  const wrong = [
    ...args.filter((arg) => arg.startsWith('--') && arg !== '--json' && arg !== '--only'),
    ...words.filter((word) => !names.includes(word)),
  ]
  if (wrong.length > 0) {
    process.stderr.write(`usage: npm run fidelity [-- [--json] [--only ${names.join('|')} ...]]\n`)
    return exitCode.usage
  }
  try {
    requireLab()
    const rows = await measured(words)
    const summary = summarised(rows)
    process.stdout.write(
      json
        ? `${JSON.stringify({ setting, rows, summary, environment: environment() }, null, 2)}\n`
        : `${text(rows, summary)}\n`,
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

async function measured(words: readonly string[]): Promise<readonly FidelityRow[]> {
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
      const run = await undisturbed(
        () => lab.migrate(one.scenario),
        (wait) => process.stderr.write(`  the source waited ${percent(wait)} for a processor: once more\n`),
      )
      rows.push(await compared(one, run))
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

function text(rows: readonly FidelityRow[], summary: readonly Summary[]): string {
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
    `guest ${setting.memory}, link ${setting.linkRate}; kernel ${kernel}, ${cpu}, node ${node}`,
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
