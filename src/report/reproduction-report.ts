/** The report of a reproduction: what a paper says, what its equations give and what the model gives, side by side. */

import * as Plot from '@observablehq/plot'
import type { MoslehiReproduction } from '../experiment/reproduce-moslehi.js'
import type { StordReproduction, StordRow } from '../experiment/reproduce-stord.js'
import { figure, look } from './figure.js'
import { page, table } from './html.js'
import { moslehiFigures } from './reproduction-figures.js'

const kinds: readonly { readonly name: string; readonly of: (row: StordRow) => number | undefined }[] = [
  { name: 'closed form', of: (row) => row.closed_form_saving },
  { name: 'model', of: (row) => row.model_saving },
  { name: 'emulator', of: (row) => row.emulator_saving },
  { name: 'paper', of: (row) => row.paper_saving },
]

export function reproductionReport(reproduction: StordReproduction | MoslehiReproduction): string {
  const { paper, claims } = reproduction
  return page({
    title: `Reproduction: ${paper}`,
    lead: `<p>${claims.length} claims of the paper; ${claims.filter(({ verdict }) => verdict === 'holds').length} hold.</p>`,
    sections: [
      {
        id: 'claims',
        title: 'What the paper claims',
        body: table(
          ['claim', 'verdict', 'because'],
          claims.map(({ claim, verdict, because }) => [claim, verdict, because]),
          'claims',
          [0, 1, 2],
        ),
      },
      'table2' in reproduction
        ? { id: 'figures', title: 'Figures', body: moslehiFigures(reproduction).map(figure).join('\n') }
        : { id: 'savings', title: 'Savings', body: savingsFigure(reproduction.rows, paper) },
    ],
    stamp: reproduction.emulator === undefined ? 'predicted' : 'measured',
  })
}

function savingsFigure(rows: readonly StordRow[], paper: string): string {
  const ks = [...new Set(rows.map(({ k }) => k))]
  const points = kinds.flatMap(({ name, of }, i) =>
    rows.flatMap((row) => {
      const saving = of(row)
      return saving === undefined ? [] : [{ name, i, k: row.k, ratio: row.dirty_ratio, saving: 100 * saving }]
    }),
  )
  const present = kinds.filter(({ name }) => points.some((point) => point.name === name))
  return figure({
    id: 'saving-by-ratio',
    title: 'Saving of total time against pre-copy',
    caption: `Percent of pre-copy's total time, over the dirty ratio, one small picture per number of pieces k (n = ${rows.length} settings). ${paper}.`,
    key: present.map(({ name }) => ({ name, ...look(kinds.findIndex((kind) => kind.name === name)) })),
    heads: ['k', 'dirty_ratio', 'source', 'saving_percent'],
    rows: points.map(({ k, ratio, name, saving }) => [k, ratio, name, saving]),
    plot: (size) => {
      const columns = size === 'wide' ? 5 : 2
      const place = (k: number): number => ks.indexOf(k)
      const facet = {
        fx: ({ k }: { k: number }) => place(k) % columns,
        fy: ({ k }: { k: number }) => Math.floor(place(k) / columns),
      }
      return {
        height: Math.ceil(ks.length / columns) * 170,
        fx: { axis: null },
        fy: { axis: null },
        x: { label: 'dirty ratio', ticks: [0.2, 0.5, 0.8] },
        y: { label: 'saving (%)', grid: true, ticks: 4 },
        marks: [
          Plot.frame({ stroke: 'var(--line)' }),
          Plot.line(points, {
            ...facet,
            x: 'ratio',
            y: 'saving',
            z: 'name',
            stroke: ({ i }: (typeof points)[number]) => look(i).colour,
            strokeWidth: 2,
            ariaDescription: 'savings',
          }),
          Plot.dot(points, {
            ...facet,
            x: 'ratio',
            y: 'saving',
            fill: ({ i }: (typeof points)[number]) => look(i).colour,
            r: ({ name }: (typeof points)[number]) => (name === 'paper' ? 5 : 2),
            title: ({ name, k, ratio, saving }: (typeof points)[number]) =>
              `${name}, k = ${k}, dirty ratio ${ratio}: ${saving.toFixed(1)} %`,
            ariaDescription: 'settings',
          }),
          Plot.text(
            ks.map((k) => ({ k })),
            {
              ...facet,
              frameAnchor: 'top-left',
              dx: 4,
              dy: 4,
              text: ({ k }: { k: number }) => `k = ${k}`,
              fill: 'currentColor',
            },
          ),
        ],
      }
    },
  })
}
