/** The convergence map: downtime by colour over dirty rate and bandwidth, with the line where both are equal. */

import * as Plot from '@observablehq/plot'
import type { ConvergenceMap, MapCell } from '../experiment/convergence-map.js'
import type { FigureSpec } from './figure.js'

/** Milliseconds of downtime from which the next colour begins; yellow-green-blue, lightest is best. */
const steps = [30, 100, 300, 1000, 3000, 10_000]
const colours = ['#ffffd9', '#d6efb3', '#9ed8b8', '#5dbcc2', '#3492bf', '#2a5aa5', '#1f2a6b']

export function convergenceFigure(map: ConvergenceMap): FigureSpec {
  const bandwidths = [...new Set(map.cells.map(({ bandwidth_mbps }) => bandwidth_mbps))]
  const rates = [...new Set(map.cells.map(({ dirty_rate_pages_per_s }) => dirty_rate_pages_per_s))]
  const shade = ({ downtime_ms }: MapCell): string =>
    downtime_ms === null ? 'var(--line)' : colours[steps.filter((step) => downtime_ms >= step).length]!
  const dark = ({ downtime_ms }: MapCell): boolean => downtime_ms !== null && downtime_ms >= 1000
  return {
    id: 'convergence',
    title: `Downtime of ${map.strategy} by dirty rate and available bandwidth`,
    caption: `Predicted. Guest of ${Math.round(map.memory_bytes / 2 ** 20)} MiB. In each cell the downtime, below it the total time; a frame where more is dirtied than the bandwidth carries; grey where max_total_time (${map.max_total_ms / 1000} s) ended it.`,
    key: colours.map((colour, i) => ({ name: stepName(i), colour, area: true as const })),
    heads: [
      'bandwidth_mbps',
      'dirty_rate_pages_per_s',
      'dirty_ratio',
      'outcome',
      'total_time_ms',
      'downtime_ms',
      'rounds',
      'volume',
    ],
    rows: map.cells.map((cell) => [
      cell.bandwidth_mbps,
      cell.dirty_rate_pages_per_s,
      cell.dirty_ratio,
      cell.outcome,
      cell.total_time_ms,
      cell.downtime_ms,
      cell.rounds,
      cell.volume,
    ]),
    plot: () => ({
      height: 40 * bandwidths.length + 80,
      marginLeft: 80,
      x: { type: 'band', domain: rates, label: 'dirty rate (pages per second)', tickFormat: whole },
      y: {
        type: 'band',
        domain: [...bandwidths].reverse(),
        label: 'available bandwidth (Mbit/s)',
        tickFormat: whole,
      },
      marks: [
        Plot.cell(map.cells, {
          x: 'dirty_rate_pages_per_s',
          y: 'bandwidth_mbps',
          fill: shade,
          inset: 1.5,
          stroke: (cell: MapCell) => (cell.dirty_ratio >= 1 ? 'var(--c1)' : 'none'),
          strokeWidth: 2,
        }),
        Plot.text(map.cells, {
          x: 'dirty_rate_pages_per_s',
          y: 'bandwidth_mbps',
          text: (cell: MapCell) =>
            cell.downtime_ms === null
              ? cell.outcome
              : `${shown(cell.downtime_ms)}\n${shown(cell.total_time_ms)}`,
          fill: (cell: MapCell) => (dark(cell) ? '#fff' : '#1a1a1a'),
          fontSize: 11,
        }),
      ],
    }),
  }
}

function stepName(i: number): string {
  if (i === 0) return `downtime below ${shown(steps[0]!)}`
  const from = steps[i - 1]!
  return i === steps.length ? `${shown(from)} and more` : `from ${shown(from)}`
}

function shown(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`
}

function whole(value: number): string {
  return value < 10 ? String(value) : String(Math.round(value))
}
