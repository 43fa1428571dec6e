/** Several runs side by side: their figures in one table, and each figure as a picture with one point a run. */

import * as Plot from '@observablehq/plot'
import type { RunResult } from '../experiment/result.js'
import { figure } from './figure.js'
import { definitions, number, page, table } from './html.js'
import { metricDefinitions } from './words.js'

export interface NamedRun {
  readonly name: string
  readonly result: RunResult
}

interface Row {
  readonly name: string
  readonly state: 'measured' | 'predicted' | 'INVALID'
  readonly outcome: string
  readonly strategy: string
  readonly total_time_ms: number | null
  readonly downtime_ms: number | null
  readonly goodput_mbps: number | null
  readonly pages_sent: number | null
}

const figures = [
  { key: 'total_time_ms', title: 'Total time', unit: 'ms' },
  { key: 'downtime_ms', title: 'Downtime', unit: 'ms' },
  { key: 'goodput_mbps', title: 'Goodput', unit: 'Mbit/s' },
  { key: 'pages_sent', title: 'Pages sent', unit: 'pages' },
] as const

export function runsReport(runs: readonly NamedRun[]): string {
  const rows = runs.map(rowOf)
  return page({
    title: `${runs.length} runs side by side`,
    lead: `<p>${counted(rows)}</p>`,
    sections: [
      { id: 'figures', title: 'Figures', body: figures.map((one) => dots(rows, one)).join('\n') },
      { id: 'all', title: 'All runs', body: runTable(rows) },
      { id: 'words', title: 'What the words mean', body: definitions(metricDefinitions) },
    ],
    stamp: rows.every(({ state }) => state === 'predicted')
      ? 'predicted'
      : rows.every(({ state }) => state === 'INVALID')
        ? 'INVALID'
        : 'measured',
  })
}

function rowOf({ name, result }: NamedRun): Row {
  const { migration } = result
  return {
    name,
    state: result.origin === 'predicted' ? 'predicted' : result.fidelity.valid ? 'measured' : 'INVALID',
    outcome: result.outcome,
    strategy: migration?.strategy ?? '–',
    total_time_ms: migration?.total_time_ms ?? null,
    downtime_ms: migration?.downtime_ms ?? null,
    goodput_mbps: migration?.goodput_mbps ?? null,
    pages_sent: migration?.pages_sent ?? null,
  }
}

function counted(rows: readonly Row[]): string {
  const of = (state: Row['state']): number => rows.filter((row) => row.state === state).length
  return `${of('measured')} measured, ${of('predicted')} predicted, ${of('INVALID')} INVALID.`
}

const symbols = { measured: 'circle', predicted: 'diamond', INVALID: 'times' } as const
const inks = { measured: 'var(--c0)', predicted: 'var(--c3)', INVALID: 'var(--bad)' } as const

function dots(rows: readonly Row[], { key, title, unit }: (typeof figures)[number]): string {
  const shown = rows.filter((row) => row[key] !== null)
  if (shown.length === 0) return ''
  return figure({
    id: key,
    title,
    caption: `${title} of each run in ${unit}, n = ${shown.length}. Circles are measured, diamonds predicted, crosses INVALID.`,
    heads: ['run', 'state', 'outcome', unit],
    rows: shown.map((row) => [row.name, row.state, row.outcome, row[key]]),
    plot: (size) => ({
      height: 60 + 26 * rows.length,
      marginLeft: size === 'wide' ? 320 : 130,
      x: { label: `${title.toLowerCase()} (${unit})`, grid: true, zero: true },
      y: {
        label: null,
        domain: rows.map(({ name }) => name),
        tickFormat: (name: string) => shortened(name, size),
      },
      marks: [
        Plot.ruleX([0]),
        Plot.dot(shown, {
          x: key,
          y: 'name',
          symbol: ({ state }: Row) => symbols[state],
          stroke: ({ state }: Row) => inks[state],
          strokeWidth: 2,
          r: 5,
          title: (row: Row) => `${row.name}: ${number(row[key] ?? 0)} ${unit}, ${row.state}, ${row.outcome}`,
          ariaDescription: 'runs',
        }),
      ],
    }),
  })
}

/** The end of a path tells runs apart; the beginning is the same. */
function shortened(name: string, size: 'wide' | 'narrow'): string {
  const most = size === 'wide' ? 44 : 18
  return name.length <= most ? name : `…${name.slice(1 - most)}`
}

function runTable(rows: readonly Row[]): string {
  return table(
    ['run', 'state', 'outcome', 'strategy', 'total time ms', 'downtime ms', 'goodput Mbit/s', 'pages sent'],
    rows.map((row) => [
      row.name,
      row.state,
      row.outcome,
      row.strategy,
      row.total_time_ms,
      row.downtime_ms,
      row.goodput_mbps,
      row.pages_sent,
    ]),
    'runs',
    [0, 1, 2, 3],
  )
}
