/**
 * What a browser shows while a run or a comparison goes on: the report's charts of what is known so far. Knows how to
 * keep it small however long it takes; when it is drawn, and for whom, is the caller's.
 */

import * as Plot from '@observablehq/plot'
import type { Row } from '../experiment/comparison.js'
import type { RoundResult } from '../experiment/result.js'
import { dots } from './comparison-report.js'
import { type KeyEntry, livePicture, look } from './figure.js'
import { escapeHtml } from './html.js'
import { bands } from './run-report.js'

/** Times are seconds since the run was first looked at. */
export interface LiveSample {
  readonly at_s: number
  /** Throughput by name of the class. */
  readonly mbps: Readonly<Record<string, number>>
}

export interface LivePages {
  readonly at_s: number
  /** Left to send in this round. */
  readonly remaining: number
  /** In the dirty log. */
  readonly dirty: number
}

export type LiveRound = Pick<RoundResult, 'round' | 'phase' | 'start_ms' | 'duration_ms' | 'pages_sent'>

export interface LiveRun {
  readonly title: string
  /** What is going on, or how it ended. */
  readonly doing: string
  readonly linkMbps: number
  readonly pagesTotal: number
  readonly samples: readonly LiveSample[]
  readonly pages: readonly LivePages[]
  readonly rounds: readonly LiveRound[]
}

export interface LiveComparison {
  readonly title: string
  readonly done: number
  readonly total: number
  /** As the progress line says it. */
  readonly doing: string
  readonly rows: readonly Row[]
}

/** Points of a curve; more do not fit onto a screen. */
const pointsMax = 600

/** Adds one point. When there are too many, every other one goes: a long run is seen coarsely, not in part. */
export function added<T>(points: readonly T[], point: T): readonly T[] {
  const kept = points.length < pointsMax ? points : points.filter((_, i) => i % 2 === 0)
  return [...kept, point]
}

export type Size = 'wide' | 'narrow'

export function liveRunHtml(run: LiveRun, size: Size): string {
  const lasts = Math.max(1, run.samples.at(-1)?.at_s ?? 0, run.pages.at(-1)?.at_s ?? 0)
  const x = { label: 'time (s)', domain: [0, lasts] }
  const rounds: readonly KeyEntry[] = [
    { name: 'round while the guest runs', colour: 'var(--band)', area: true },
    { name: 'guest suspended', colour: 'var(--held)', area: true },
  ]
  return [
    `<p class="big" id="doing">${escapeHtml(run.doing)}</p>`,
    livePicture(
      {
        id: 'live-throughput',
        title: 'Throughput',
        caption: `Whole frames that leave the congested port per class, of ${run.linkMbps} Mbit/s; live, not yet checked against the captures. Bands are rounds.`,
        key: [...classNames(run).map((name, i): KeyEntry => ({ name, ...look(i) })), ...rounds],
        plot: () => ({
          x,
          y: {
            label: 'throughput (Mbit/s)',
            grid: true,
            domain: [0, 1.05 * Math.max(run.linkMbps, most(run))],
          },
          marks: [
            ...bands(run.rounds),
            ...classNames(run).map((name, i) =>
              Plot.lineY(run.samples, {
                x: 'at_s',
                y: ({ mbps }: LiveSample) => mbps[name] ?? 0,
                stroke: look(i).colour,
                strokeDasharray: look(i).dash,
                strokeWidth: 2,
                ariaDescription: name,
              }),
            ),
            Plot.ruleY([0], { stroke: 'var(--faint)' }),
          ],
        }),
      },
      size,
    ),
    livePicture(
      {
        id: 'live-pages',
        title: 'Pages left',
        caption: `Pages of ${run.pagesTotal} that are left to send in the round, and pages in the dirty log.`,
        key: [...pageCurves.map(({ name }, i): KeyEntry => ({ name, ...look(i) })), ...rounds],
        plot: () => ({
          x,
          y: { label: 'pages', grid: true, zero: true },
          marks: [
            ...bands(run.rounds),
            ...pageCurves.map(({ name, of }, i) =>
              Plot.lineY(run.pages, {
                x: 'at_s',
                y: of,
                stroke: look(i).colour,
                strokeDasharray: look(i).dash,
                strokeWidth: 2,
                ariaDescription: name,
              }),
            ),
            Plot.ruleY([0], { stroke: 'var(--faint)' }),
          ],
        }),
      },
      size,
    ),
  ].join('\n')
}

const pageCurves = [
  { name: 'left in this round', of: ({ remaining }: LivePages) => remaining },
  { name: 'dirty', of: ({ dirty }: LivePages) => dirty },
] as const

function classNames({ samples }: LiveRun): readonly string[] {
  return [...new Set(samples.flatMap(({ mbps }) => Object.keys(mbps)))].toSorted()
}

function most({ samples }: LiveRun): number {
  return Math.max(0, ...samples.flatMap(({ mbps }) => Object.values(mbps)))
}

export function liveComparisonHtml({ done, total, doing, rows }: LiveComparison, size: Size): string {
  const state = `${done} of ${total} runs done`
  const pictures = (['goodput_mbps', 'total_time_ms'] as const)
    .filter((key) => rows.some((row) => row.valid && row[key] !== null))
    .map((key) => livePicture(dots(rows, key), size))
  return [
    `<p class="big" id="cells">${state}</p>`,
    `<progress max="${total}" value="${done}" aria-label="${state}"></progress>`,
    `<p id="running">${escapeHtml(doing)}</p>`,
    ...pictures,
  ].join('\n')
}
