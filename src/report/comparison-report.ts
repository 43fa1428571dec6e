/** The report of a comparison: every run as a point, means as a heat map over two axes, small multiples of the others. */

import * as Plot from '@observablehq/plot'
import type { Comparison, Row } from '../experiment/comparison.js'
import { type FigureSpec, figure } from './figure.js'
import { type Cell, definitions, number, page, table } from './html.js'
import { metricDefinitions } from './words.js'

const figures = [
  { key: 'total_time_ms', title: 'Total time', unit: 'ms' },
  { key: 'downtime_ms', title: 'Downtime', unit: 'ms' },
  { key: 'goodput_mbps', title: 'Goodput', unit: 'Mbit/s' },
  { key: 'others_mbps', title: 'Throughput of the others', unit: 'Mbit/s' },
] as const

type Figure = (typeof figures)[number]

export function comparisonReport(comparison: Comparison): string {
  const { name, rows, axes, invalid_rows, complete } = comparison
  const shown = figures.filter(({ key }) => rows.some((row) => row.valid && row[key] !== null))
  const several = axes.filter(({ labels }) => labels.length > 1)
  return page({
    title: `Comparison: ${name}`,
    lead: `<p>${rows.length} runs of ${new Set(rows.map(({ cell }) => cell)).size} cells over ${axes.length} axes; ${invalid_rows} INVALID and left out of every figure${complete ? '' : '; NOT COMPLETE'}.</p>`,
    sections: [
      ...(several.length < 2
        ? []
        : [
            {
              id: 'maps',
              title: 'Means over the axes',
              body: shown.map((one) => heatMap(comparison, one)).join('\n'),
            },
          ]),
      { id: 'points', title: 'Every run', body: shown.map(({ key }) => figure(dots(rows, key))).join('\n') },
      { id: 'all', title: 'All rows', body: rowTable(comparison) },
      { id: 'words', title: 'What the words mean', body: definitions(metricDefinitions) },
    ],
    stamp:
      rows.length > 0 && invalid_rows === rows.length
        ? 'INVALID'
        : comparison.origin === 'predicted'
          ? 'predicted'
          : 'measured',
  })
}

interface Mean {
  readonly x: string
  readonly y: string
  readonly facet: string
  readonly n: number
  readonly mean: number
}

/** The axis with the most values goes along, the next one down, and what is left makes small multiples. */
function heatMap({ rows, axes }: Comparison, { key, title, unit }: Figure): string {
  const [along, down, ...rest] = axes.toSorted((a, b) => b.labels.length - a.labels.length)
  if (along === undefined || down === undefined) return ''
  const groups = new Map<string, { readonly place: Omit<Mean, 'n' | 'mean'>; readonly values: number[] }>()
  for (const row of rows) {
    const value = row[key]
    if (!row.valid || value === null) continue
    const place = {
      x: row.labels[along.name] ?? '',
      y: row.labels[down.name] ?? '',
      facet: rest.map((axis) => `${axis.name} ${row.labels[axis.name]}`).join(', '),
    }
    const group = groups.get(JSON.stringify(place)) ?? { place, values: [] }
    group.values.push(value)
    groups.set(JSON.stringify(place), group)
  }
  const means = [...groups.values()].map(
    ({ place, values }): Mean => ({
      ...place,
      n: values.length,
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    }),
  )
  const facets = [...new Set(means.map(({ facet }) => facet))].toSorted()
  const most = Math.max(...means.map(({ mean }) => mean))
  const text = ({ mean }: Mean): string => number(Number(mean.toPrecision(3)))
  return figure({
    id: `map-${key}`,
    title: `Mean ${title.toLowerCase()}`,
    caption: `Mean of the valid runs in ${unit}; the number is written in each cell, and the stronger its colour the larger. ${along.name} along, ${down.name} down${rest.length === 0 ? '' : `, one picture per ${rest.map(({ name }) => name).join(' and ')}`}; n in the tool tip and the data. Runs that were cut off count with what they had come to.`,
    heads: [along.name, down.name, 'others', `mean ${unit}`, 'n'],
    rows: means.map(({ x, y, facet, mean, n }) => [x, y, facet, mean, n]),
    plot: (size) => ({
      height: 80 + facets.length * (30 + 44 * down.labels.length),
      marginLeft: size === 'wide' ? 140 : 84,
      marginTop: facets.length > 1 ? 30 : 20,
      fy: { axis: null, padding: 0.25, domain: facets },
      x: {
        label: along.name,
        domain: along.labels,
        padding: 0.03,
        ...(size === 'narrow' ? { tickRotate: -20 } : {}),
      },
      y: { label: down.name, domain: down.labels, padding: 0.05 },
      marks: [
        Plot.cell(means, {
          x: 'x',
          y: 'y',
          fy: 'facet',
          fill: 'var(--c0)',
          fillOpacity: ({ mean }: Mean) => 0.08 + 0.5 * (mean / most),
          title: (one: Mean) => `${one.x}, ${one.y}: ${number(one.mean)} ${unit}, n = ${one.n}`,
        }),
        Plot.text(means, { x: 'x', y: 'y', fy: 'facet', text, fill: 'currentColor' }),
        ...(facets.length > 1
          ? [
              Plot.text(
                facets.map((facet) => ({ facet })),
                { fy: 'facet', text: 'facet', frameAnchor: 'top-left', dy: -14, fill: 'currentColor' },
              ),
            ]
          : []),
      ],
    }),
  })
}

/** Every valid run as a point, by cell. */
export function dots(rows: readonly Row[], key: Figure['key']): FigureSpec {
  const { title, unit } = figures.find((one) => one.key === key) ?? figures[0]
  const shown = rows.filter((row) => row.valid && row[key] !== null)
  const cells = [...new Set(rows.map(({ cell }) => cell))]
  return {
    id: `points-${key}`,
    title,
    caption: `${title} of every valid run in ${unit}, n = ${shown.length}; the bar is the mean of the cell; hollow: not completed.`,
    heads: ['cell', 'repetition', 'outcome', unit],
    rows: shown.map((row) => [row.cell, row.repetition, row.outcome, row[key]]),
    plot: (size) => ({
      height: 60 + (size === 'wide' ? 26 : 36) * cells.length,
      marginLeft: size === 'wide' ? 380 : 12,
      x: { label: `${title.toLowerCase()} (${unit})`, grid: true, zero: true },
      y: { label: null, domain: cells, axis: size === 'wide' ? 'left' : null, padding: 0.5 },
      marks: [
        Plot.ruleX([0]),
        Plot.tickX(
          shown,
          Plot.groupY({ x: 'mean' }, { x: key, y: 'cell', stroke: 'var(--c1)', strokeWidth: 3 }),
        ),
        Plot.dot(shown, {
          x: key,
          y: 'cell',
          r: 4,
          stroke: 'var(--c0)',
          fill: ({ outcome }: Row) => (outcome === 'completed' ? 'var(--c0)' : 'var(--ground)'),
          title: (row: Row) =>
            `${row.cell}, repetition ${row.repetition}: ${number(row[key] ?? 0)} ${unit}, ${row.outcome}`,
        }),
        ...(size === 'wide'
          ? []
          : [
              Plot.text(
                cells.map((cell) => ({ cell })),
                { x: () => 0, y: 'cell', text: 'cell', textAnchor: 'start', dy: -13, fill: 'currentColor' },
              ),
            ]),
      ],
    }),
  }
}

function rowTable({ rows, axes }: Comparison): string {
  return table(
    [
      ...axes.map(({ name }) => name),
      'repetition',
      'state',
      'outcome',
      'total time ms',
      'downtime ms',
      'goodput Mbit/s',
      'others Mbit/s',
      'pages sent',
    ],
    rows.map((row): Cell[] => [
      ...axes.map(({ name }) => row.labels[name] ?? ''),
      row.repetition,
      row.valid ? row.origin : 'INVALID',
      row.outcome,
      row.total_time_ms,
      row.downtime_ms,
      row.goodput_mbps,
      row.others_mbps,
      row.pages_sent,
    ]),
    'all rows',
    axes.map((_, i) => i),
  )
}
