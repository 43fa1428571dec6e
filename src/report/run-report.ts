/** The report of one run: what happened over time, why it took as long, what each class got and lost, and the proof. */

import * as Plot from '@observablehq/plot'
import type { ClassResult } from '../analysis/run-classes.js'
import type { RunSeries, SeriesRow } from '../analysis/run-series.js'
import type { MigrationResult, RoundResult, RunResult } from '../experiment/result.js'
import type { JournalEntry } from '../migration/journal.js'
import { figure, type KeyEntry, look } from './figure.js'
import { type Cell, definitions, escapeHtml, number, page, type Section, table } from './html.js'
import { outageSection } from './outage-section.js'
import { pageMap } from './page-map.js'
import { timeSpent } from './time-spent.js'
import { metricDefinitions } from './words.js'

export interface RunReportInput {
  readonly result: RunResult
  /** Absent: predicted, or the run ended before its captures were analysed. */
  readonly series?: RunSeries
  readonly journal: readonly JournalEntry[]
}

export function runReport(input: RunReportInput): string {
  const { result } = input
  const { migration } = result
  const sections: Section[] = []
  if (migration !== null) {
    if (input.series !== undefined && input.series.rows.length > 0) {
      sections.push(overTime(input.series, migration))
    }
    sections.push(pagesSection(migration, input.journal), whySection(result, migration))
  }
  if (result.outage !== null) sections.push(outageSection(result.outage))
  if (result.classes.length > 0) sections.push(classesSection(result))
  sections.push(proofSection(result), wordsSection())
  return page({
    title: `${nameOf(result)}: migration ${result.outcome}`,
    lead: lead(result),
    sections,
    stamp: result.origin === 'predicted' ? 'predicted' : result.fidelity.valid ? 'measured' : 'INVALID',
  })
}

function nameOf({ scenario }: RunResult): string {
  const known = typeof scenario === 'object' && scenario !== null && 'name' in scenario
  return known ? String(scenario.name) : 'run'
}

function lead({ migration, reason }: RunResult): string {
  const why = reason === undefined ? '' : `<p>${escapeHtml(reason)}</p>`
  if (migration === null) return `${why}<p>The run ended before the migration did anything.</p>`
  const down =
    migration.downtime_ms === null ? 'not handed over' : `${number(migration.downtime_ms)} ms downtime`
  return `${why}<p class="big">${escapeHtml(migration.strategy)}: ${number(migration.total_time_ms / 1000)} s in all, ${down}, ${number(migration.goodput_mbps)} Mbit/s of page payload, memory ${migration.verified ? 'verified page by page' : 'not compared'}.</p>`
}

/** Ways towards the congested port, and only those that carried something. */
function shownRows(series: RunSeries): readonly SeriesRow[] {
  return series.rows.filter(
    ({ direction, throughput_mbps }) =>
      direction !== 'server-to-client' && throughput_mbps.some((mbps) => mbps > 0),
  )
}

function rowName({ role, pcp }: SeriesRow): string {
  return pcp === null ? role : `${role} (PCP ${pcp})`
}

function overTime(series: RunSeries, migration: MigrationResult): Section {
  const rows = shownRows(series)
  // Results of earlier versions do not have it.
  const tcp = rows.filter((row) => row.in_flight_kib_max?.some((kib) => kib !== null))
  const rounds: readonly KeyEntry[] = [
    { name: 'round while the guest runs', colour: 'var(--band)', area: true },
    { name: 'guest suspended', colour: 'var(--held)', area: true },
  ]
  const curve = (
    id: string,
    title: string,
    unit: string,
    caption: string,
    pick: (row: SeriesRow) => readonly (number | null)[],
    { scale = {}, of = rows }: { readonly scale?: object; readonly of?: readonly SeriesRow[] } = {},
  ): string =>
    figure({
      id,
      title,
      caption: `${caption} Bins of ${series.bin_ms} ms; bands are rounds.`,
      key: [...of.map((row): KeyEntry => ({ name: rowName(row), ...look(rows.indexOf(row)) })), ...rounds],
      heads: ['time_s', 'traffic', unit],
      rows: of.flatMap((row) => pick(row).map((value, i) => [seconds(i, series), rowName(row), value])),
      plot: () => ({
        x: { label: 'time since the start (s)', domain: [0, migration.total_time_ms / 1000] },
        y: { label: `${inSentence(title)} (${unit})`, grid: true, zero: true, ...scale },
        marks: [
          ...bands(migration.rounds),
          ...of.flatMap((row) => {
            const { colour, dash } = look(rows.indexOf(row))
            const points = pick(row).map((y, i): CurvePoint => ({ x: seconds(i, series), y }))
            return [
              Plot.lineY(points, {
                x: 'x',
                y: ({ y }: CurvePoint) => y ?? Number.NaN,
                stroke: colour,
                strokeDasharray: dash,
                strokeWidth: 2,
                ariaDescription: rowName(row),
              }),
              Plot.dot(alone(points), { x: 'x', y: 'y', r: 1.5, fill: colour }),
            ]
          }),
          Plot.ruleY([0], { stroke: 'var(--faint)' }),
        ],
      }),
    })
  return {
    id: 'over-time',
    title: 'Over time',
    body: [
      curve(
        'throughput',
        'Throughput',
        'Mbit/s',
        'Whole frames that left the congested port, per class.',
        (row) => row.throughput_mbps,
      ),
      curve(
        'queue-delay',
        'Queueing delay',
        'ms',
        'Mean time between coming to the congested port and leaving it, of the frames that left. Logarithmic above 1 ms.',
        (row) => row.queue_delay_ms_mean,
        {
          scale: {
            type: 'symlog',
            tickFormat: String,
            ticks: decades.filter((tick) => tick <= longestDelay(rows)),
          },
        },
      ),
      curve(
        'drops',
        'Frames lost',
        'frames per bin',
        'Frames that came to the congested port and never left it, when they came.',
        (row) => row.packets_lost,
      ),
      ...(tcp.length === 0
        ? []
        : [
            curve(
              'tcp-window',
              'TCP window in use',
              'KiB',
              'The most that one connection had sent and not had acknowledged, within each bin; TCP only.',
              (row) => row.in_flight_kib_max,
              { of: tcp },
            ),
            curve(
              'retransmits',
              'Retransmissions',
              'segments per bin',
              'TCP segments whose sequence space was seen before, where they entered the network.',
              (row) => row.retransmits,
              { of: tcp },
            ),
          ]),
    ].join('\n'),
  }
}

/** Without its capital letter, unless it is a name. */
function inSentence(title: string): string {
  return /^[A-Z][a-z]/.test(title) ? title.toLowerCase() : title
}

/** Values without a neighbour on either side, of which a line would show nothing. */
function alone(points: readonly CurvePoint[]): readonly CurvePoint[] {
  const known = (i: number): boolean => typeof points[i]?.y === 'number'
  return points.filter((_, i) => known(i) && !known(i - 1) && !known(i + 1))
}

interface CurvePoint {
  readonly x: number
  readonly y: number | null
}

function longestDelay(rows: readonly SeriesRow[]): number {
  return Math.max(1, ...rows.flatMap((row) => row.queue_delay_ms_mean.map((ms) => ms ?? 0)))
}

function seconds(bin: number, { bin_ms }: RunSeries): number {
  return Math.round((bin + 0.5) * bin_ms) / 1000
}

type Band = Pick<RoundResult, 'round' | 'phase' | 'start_ms' | 'duration_ms' | 'pages_sent'>

/** The rounds behind a chart over time. */
export function bands(rounds: readonly Band[]): Plot.Markish[] {
  const shown = rounds.filter(({ round, phase }) => round % 2 === 1 || phase === 'suspended')
  return [
    Plot.rectX(shown, {
      x1: (round: Band) => round.start_ms / 1000,
      x2: (round: Band) => (round.start_ms + round.duration_ms) / 1000,
      fill: (round: Band) => (round.phase === 'suspended' ? 'var(--held)' : 'var(--band)'),
      title: (round: Band) => `round ${round.round}: ${round.pages_sent} pages`,
      ariaDescription: 'rounds',
    }),
  ]
}

interface View {
  readonly at_s: number
  readonly unsent: number
  readonly dirty: number
}

function pagesSection(migration: MigrationResult, journal: readonly JournalEntry[]): Section {
  const views = journal.flatMap((entry): View[] =>
    entry.event === 'view'
      ? [{ at_s: entry.at_ns / 1e9, unsent: entry.unsent_pages, dirty: entry.redirtied_pages }]
      : [],
  )
  const curves = [
    { name: 'unsent', of: (view: View) => view.unsent },
    { name: 'written to since they were sent', of: (view: View) => view.dirty },
  ]
  const unsent =
    views.length < 2
      ? ''
      : figure({
          id: 'pages',
          title: 'Pages left',
          caption: `Pages of ${migration.pages_total} that are unsent, and pages written to since, whenever the strategy looked (${views.length} times).`,
          key: curves.map(({ name }, i) => ({ name, ...look(i) })),
          heads: ['time_s', 'unsent_pages', 'redirtied_pages'],
          rows: views.map((view) => [view.at_s, view.unsent, view.dirty]),
          plot: () => ({
            x: { label: 'time since the start (s)', domain: [0, migration.total_time_ms / 1000] },
            y: { label: 'pages', grid: true },
            marks: [
              ...bands(migration.rounds),
              ...curves.map(({ name, of }, i) =>
                Plot.lineY(views, {
                  x: 'at_s',
                  y: of,
                  stroke: look(i).colour,
                  strokeDasharray: look(i).dash,
                  strokeWidth: 2,
                  marker: 'dot',
                  ariaDescription: name,
                }),
              ),
            ],
          }),
        })
  const { rounds } = migration
  return {
    id: 'pages-section',
    title: 'Pages and rounds',
    body: unsent + (rounds.length === 0 ? '' : roundsFigure(rounds) + pageMap(migration)),
  }
}

const decades = [0, ...Array.from({ length: 9 }, (_, power) => 10 ** power)]

function roundsFigure(rounds: readonly RoundResult[]): string {
  const kinds = [
    { name: 'sent', of: (round: RoundResult) => round.pages_sent },
    { name: 'skipped, because written to again', of: (round: RoundResult) => round.pages_skipped },
  ]
  const bars = rounds.flatMap((round) =>
    kinds.map(({ name, of }, i) => ({ round: round.round, name, pages: of(round), colour: look(i).colour })),
  )
  const most = Math.max(1, ...bars.map(({ pages }) => pages))
  return figure({
    id: 'rounds',
    title: 'Pages per round',
    caption:
      'Pages that each round sent, and that it skipped because the guest wrote to them again. Logarithmic.',
    key: kinds.map(({ name }, i) => ({ name, colour: look(i).colour, area: true })),
    heads: ['round', 'phase', 'start_ms', 'duration_ms', 'pages_sent', 'pages_skipped', 'goodput_mbps'],
    rows: rounds.map((r) => [
      r.round,
      r.phase,
      r.start_ms,
      r.duration_ms,
      r.pages_sent,
      r.pages_skipped,
      r.goodput_mbps,
    ]),
    plot: (size) => ({
      fx: { label: 'round', padding: 0.1, ...(size === 'narrow' ? { ticks: 0 } : {}) },
      x: { axis: null, domain: kinds.map(({ name }) => name) },
      y: {
        label: 'pages',
        type: 'symlog',
        grid: true,
        ticks: decades.filter((tick) => tick <= most),
      },
      marks: [
        Plot.barY(bars, {
          fx: 'round',
          x: 'name',
          y: 'pages',
          fill: 'colour',
          title: (bar: (typeof bars)[number]) => `round ${bar.round}: ${bar.pages} pages ${bar.name}`,
          ariaDescription: 'pages per round',
        }),
        Plot.ruleY([0]),
      ],
    }),
  })
}

const fullFrameBytes = 1518

function whySection(result: RunResult, migration: MigrationResult): Section {
  const linkBps = linkRate(result) ?? 0
  if (linkBps === 0) return { id: 'why', title: 'Why it took so long', body: '<p>The link has no rate.</p>' }
  const rows = result.classes as readonly ClassResult[]
  const lanes = rows.filter(
    ({ role, direction }) => role.startsWith('migration') && direction === 'client-to-server',
  )
  const resentFrames = lanes.reduce((total, { retransmits }) => total + retransmits, 0)
  const parts = timeSpent(migration, { linkBps, resentFrames, frameBytes: fullFrameBytes })
  const most = parts.reduce((a, b) => (b.ms > a.ms ? b : a))
  return {
    id: 'why',
    title: 'Why it took so long',
    body:
      `<p>Most of the ${number(migration.total_time_ms / 1000)} s went into <strong>${escapeHtml(most.name)}</strong> (${number((100 * most.ms) / migration.total_time_ms)} %): ${escapeHtml(most.meaning)}.</p>` +
      `<p>${throttleText(migration)}</p>` +
      figure({
        id: 'time-spent',
        title: 'Where the time went',
        caption: 'Parts of the total time; they add up to it.',
        heads: ['part', 'ms', 'meaning'],
        rows: parts.map(({ name, ms, meaning }) => [name, Math.round(ms * 1000) / 1000, meaning]),
        plot: (size) => ({
          marginLeft: size === 'wide' ? 160 : 130,
          marginRight: 70,
          x: { label: 'time (s)', grid: true },
          y: { label: null, domain: parts.map(({ name }) => name) },
          marks: [
            Plot.barX(parts, {
              x: ({ ms }: (typeof parts)[number]) => ms / 1000,
              y: 'name',
              fill: 'var(--c0)',
              title: 'meaning',
              ariaDescription: 'parts of the total time',
            }),
            Plot.text(parts, {
              x: ({ ms }: (typeof parts)[number]) => ms / 1000,
              y: 'name',
              text: ({ ms }: (typeof parts)[number]) => `${(ms / 1000).toFixed(3)} s`,
              textAnchor: 'start',
              dx: 4,
              fill: 'currentColor',
            }),
          ],
        }),
      }),
  }
}

/** Not a part of the total: it slows the guest, so that less is left to send. */
function throttleText({ guest_throttle_max, guest_stall_ms }: MigrationResult): string {
  return guest_throttle_max === 0
    ? 'The guest was not throttled.'
    : `The guest was throttled to ${number(100 * (1 - guest_throttle_max))} % of its speed at the least, and lost ${number(guest_stall_ms)} ms of running time by it: no part of the total, it only leaves less to send.`
}

/** From the scenario as given; bits per second. */
function linkRate({ applied, scenario }: RunResult): number | undefined {
  const from = (document: unknown): unknown =>
    typeof document === 'object' && document !== null && 'link' in document ? document.link : undefined
  const link = from(applied)
  if (typeof link === 'object' && link !== null && 'rate_bps' in link && typeof link.rate_bps === 'number') {
    return link.rate_bps
  }
  const given = from(scenario)
  if (typeof given !== 'object' || given === null || !('rate' in given)) return undefined
  const match = /^(\d+(?:\.\d+)?)\s*(k|m|g)?bit$/.exec(String(given.rate))
  const factors: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9 }
  return match === null ? undefined : Number(match[1]) * (factors[match[2] ?? ''] ?? 1)
}

function classesSection(result: RunResult): Section {
  const rows = result.classes as readonly ClassResult[]
  const cells = rows.map((row): Cell[] => [
    row.role,
    row.direction,
    row.vlan,
    row.pcp,
    row.dscp,
    row.throughput_mbps,
    row.packets,
    row.packets_lost,
    row.loss_ratio === null ? null : 100 * row.loss_ratio,
    row.retransmits,
    row.queue_delay_ms_p50,
    row.queue_delay_ms_p99,
    row.rtt_ms_p50,
    row.rtt_ms_p99,
  ])
  return {
    id: 'classes',
    title: 'What each class got and lost',
    body: table(
      [
        'traffic',
        'direction',
        'VLAN',
        'PCP',
        'DSCP',
        'throughput Mbit/s',
        'frames',
        'lost',
        'loss %',
        'resent',
        'queue p50 ms',
        'queue p99 ms',
        'RTT p50 ms',
        'RTT p99 ms',
      ],
      cells,
      'classes',
    ),
  }
}

function proofSection(result: RunResult): Section {
  const { checks } = result.fidelity
  const parts: string[] = []
  if (checks.length > 0) {
    parts.push(
      table(
        ['check', 'value', 'limit', 'unit', 'kept', 'what to change'],
        checks.map(({ name, value, limit, unit, ok, advice }) => [
          name,
          value,
          limit,
          unit,
          ok ? 'yes' : 'NO',
          ok ? '' : advice,
        ]),
        'fidelity checks',
        [5],
      ),
    )
  } else parts.push('<p>No check was made.</p>')
  if (result.captures.length > 0) {
    parts.push(
      table(
        ['capture point', 'file', 'frames', 'dropped by the kernel'],
        result.captures.map(({ point, file, packets, dropped_by_kernel }) => [
          point,
          file,
          packets,
          dropped_by_kernel,
        ]),
        'captures',
        [1],
      ),
    )
  }
  parts.push(
    `<details><summary>The scenario as given</summary><pre>${escapeHtml(JSON.stringify(result.scenario, null, 2))}</pre></details>`,
  )
  return { id: 'proof', title: 'Whether to believe it', body: parts.join('\n') }
}

function wordsSection(): Section {
  return { id: 'words', title: 'What the words mean', body: definitions(metricDefinitions) }
}
