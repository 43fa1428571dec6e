/** The papers' figures, drawn again from a reproduction: each a picture of its own. */

import * as Plot from '@observablehq/plot'
import type { MoslehiFigures, MoslehiReproduction, MoslehiRow } from '../experiment/reproduce-moslehi.js'
import type { StordReproduction, StordRow } from '../experiment/reproduce-stord.js'
import { type FigureSpec, look } from './figure.js'

const sources: readonly { readonly name: string; readonly of: (row: StordRow) => number | undefined }[] = [
  { name: 'closed form', of: (row) => row.closed_form_saving },
  { name: 'model', of: (row) => row.model_saving },
  { name: 'emulator', of: (row) => row.emulator_saving },
  { name: 'paper', of: (row) => row.paper_saving },
]

/** Figures 4, 5 and 6 of Cha et al. */
export function stordFigures(reproduction: StordReproduction): readonly FigureSpec[] {
  return [downtimeFigure(reproduction), savingBySplit(reproduction), savingByRatio(reproduction)]
}

function downtimeFigure({ downtime, paper }: StordReproduction): FigureSpec {
  const splits = [...new Set(downtime.map(({ k }) => k))]
  const points = downtime.map((point) => ({ ...point, i: splits.indexOf(point.k) }))
  return {
    id: 'figure-4-downtime',
    title: 'Downtime if the migration stopped now (figure 4)',
    caption: `Seconds that the guest would be down against seconds since the start, at dirty ratio 0.9, for 4 GB at 120 MB/s; from the model, scaled to the paper's size. ${paper}.`,
    key: splits.map((k, i) => ({ name: k === 1 ? 'pre-copy' : `STORD, k = ${k}`, ...look(i) })),
    heads: ['k', 'dirty_ratio', 'time_s', 'downtime_s'],
    rows: downtime.map(({ k, dirty_ratio, time_s, downtime_s }) => [k, dirty_ratio, time_s, downtime_s]),
    plot: () => ({
      x: { label: 'total migration time (s)' },
      y: { label: 'downtime (s)', grid: true },
      marks: [
        Plot.ruleY([0]),
        Plot.line(points, {
          x: 'time_s',
          y: 'downtime_s',
          z: 'k',
          stroke: ({ i }: (typeof points)[number]) => look(i).colour,
          strokeWidth: 2,
        }),
      ],
    }),
  }
}

const shownRatios = [0.2, 0.5, 0.9]
const shownSplits = [2, 5, 10]

function savingBySplit({ rows, paper }: StordReproduction): FigureSpec {
  return savings(
    rows.filter(({ dirty_ratio }) => shownRatios.includes(dirty_ratio)),
    {
      id: 'figure-5-saving-by-split',
      title: 'Saving of total time by the number of pieces (figure 5)',
      caption: `Percent of pre-copy's total time; one panel per dirty ratio. ${paper}.`,
      x: { of: ({ k }) => k, label: 'pieces k' },
      panel: ({ dirty_ratio }) => `dirty ratio ${dirty_ratio}`,
    },
  )
}

function savingByRatio({ rows, paper }: StordReproduction): FigureSpec {
  return savings(
    rows.filter(({ k }) => shownSplits.includes(k)),
    {
      id: 'figure-6-saving-by-ratio',
      title: 'Saving of total time by dirty ratio (figure 6)',
      caption: `Percent of pre-copy's total time; one panel per number of pieces. The paper's curve of MECOM has no rule to be drawn from. ${paper}.`,
      x: { of: ({ dirty_ratio }) => dirty_ratio, label: 'dirty ratio' },
      panel: ({ k }) => `k = ${k}`,
    },
  )
}

interface Panels {
  readonly id: string
  readonly title: string
  readonly caption: string
  readonly x: { readonly of: (row: StordRow) => number; readonly label: string }
  readonly panel: (row: StordRow) => string
}

function savings(rows: readonly StordRow[], { id, title, caption, x, panel }: Panels): FigureSpec {
  const points = sources.flatMap(({ name, of }, i) =>
    rows.flatMap((row) => {
      const saving = of(row)
      return saving === undefined
        ? []
        : [
            {
              name,
              i,
              x: x.of(row),
              panel: panel(row),
              saving: 100 * saving,
              k: row.k,
              ratio: row.dirty_ratio,
            },
          ]
    }),
  )
  type Point = (typeof points)[number]
  const drawnThrough = ({ name }: Point): boolean => name === 'closed form' || name === 'model'
  const present = sources.filter(({ name }) => points.some((point) => point.name === name))
  return {
    id,
    title,
    caption,
    key: present.map(({ name }) => ({ name, ...look(sources.findIndex((source) => source.name === name)) })),
    heads: ['k', 'dirty_ratio', 'source', 'saving_percent'],
    rows: points.map(({ k, ratio, name, saving }) => [k, ratio, name, saving]),
    plot: () => ({
      fx: { label: null },
      x: { label: x.label },
      y: { label: 'saving (%)', grid: true },
      marks: [
        Plot.frame({ stroke: 'var(--line)' }),
        Plot.line(points.filter(drawnThrough), {
          fx: 'panel',
          x: 'x',
          y: 'saving',
          z: 'name',
          stroke: ({ i }: Point) => look(i).colour,
          strokeWidth: 2,
        }),
        Plot.dot(points, {
          fx: 'panel',
          x: 'x',
          y: 'saving',
          fill: ({ i }: Point) => look(i).colour,
          r: (point: Point) => (drawnThrough(point) ? 2 : 5),
        }),
      ],
    }),
  }
}

/** Figures 4, 5 and 6 of Moslehi & Mohebbi: time, pages and downtime of each scheme. */
export function moslehiFigures({
  rows,
  paper,
  setting,
  emulator,
}: MoslehiReproduction): readonly FigureSpec[] {
  const of = (row: MoslehiRow): MoslehiFigures => row.emulator ?? row
  const where = emulator === undefined ? `On the model: ${setting}` : `On real frames: ${emulator.setting}`
  return [
    perScheme(
      rows,
      'figure-4-total-time',
      'Total migration time (figure 4)',
      'seconds',
      (row) => of(row).total_time_ms / 1000,
    ),
    perScheme(rows, 'figure-5-pages', 'Pages sent (figure 5)', 'pages', (row) => of(row).pages_sent),
    perScheme(rows, 'figure-6-downtime', 'Downtime (figure 6)', 'milliseconds', (row) => of(row).downtime_ms),
  ].map((spec) => ({ ...spec, caption: `${spec.caption} ${where}. ${paper}.` }))
}

const schemes: readonly MoslehiRow['scheme'][] = ['xen', 'cache', 'priority', 'cache+priority']

function perScheme(
  rows: readonly MoslehiRow[],
  id: string,
  title: string,
  unit: string,
  value: (row: MoslehiRow) => number | null,
): FigureSpec {
  const points = rows.flatMap((row) => {
    const height = value(row)
    const panel = `${row.workload}, ${row.cross_traffic ? 'cross-traffic' : 'idle network'}`
    return height === null ? [] : [{ panel, scheme: row.scheme, height, i: schemes.indexOf(row.scheme) }]
  })
  return {
    id,
    title,
    caption: `${unit} of each scheme, one panel per workload and network; logarithmic.`,
    key: schemes.map((name, i) => ({ name, colour: look(i).colour, area: true as const })),
    heads: ['panel', 'scheme', unit],
    rows: points.map(({ panel, scheme, height }) => [panel, scheme, height]),
    plot: () => ({
      fx: { label: null, domain: [...new Set(points.map(({ panel }) => panel))] },
      x: { axis: null, domain: [...schemes] },
      y: { label: unit, grid: true, type: 'log' },
      marks: [
        Plot.frame({ stroke: 'var(--line)' }),
        Plot.dot(points, {
          fx: 'panel',
          x: 'scheme',
          y: 'height',
          fill: ({ i }: (typeof points)[number]) => look(i).colour,
          r: 6,
        }),
      ],
    }),
  }
}
