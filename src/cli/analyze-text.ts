/** The analysis as a person reads it. */

import type {
  ClassDocument,
  DirectionDocument,
  FileRow,
  FlowDocument,
} from '../analysis/analysis-document.js'
import type { MigrationDocument } from '../analysis/migration-watch.js'
import type { RoundDocument } from '../analysis/page-track.js'
import type { PairClass, PairResult, RewrittenMark } from '../analysis/pair-analysis.js'
import { classOfDscp, defaultTable } from '../marking/traffic-class.js'
import { formatBytes } from '../support/units.js'
import type { AnalysisDocument } from './analyze.js'
import type { RunComparison } from './analyze-run.js'
import { columns } from './columns.js'

/** Files, classes and the `top` largest flows. */
export function analysisText(
  document: AnalysisDocument,
  top: number,
  /** Flows of each file, if the document does not have all of them. */
  flowCounts: ReadonlyMap<string, number> = new Map(),
): string {
  const files = document.files.map((file) => fileText(document, file, top, flowCounts.get(file.file)))
  const migrations = document.migrations ?? (document.migration === undefined ? [] : [document.migration])
  files.push(...migrations.map(migrationText))
  const pairs = (document.pairs ?? []).map(pairText)
  return [...files, ...pairs, ...(document.runs ?? []).map(runText)].join('\n\n')
}

function fileText(
  document: AnalysisDocument,
  file: FileRow,
  top: number,
  flowCount: number | undefined,
): string {
  const classes = document.classes.filter((row) => row.file === file.file)
  const flows = document.flows.filter((row) => row.file === file.file)
  const seconds = ((file.last_ns ?? 0) - (file.first_ns ?? 0)) / 1e9
  const parts = [
    `${file.file}: ${file.format}, ${file.link_types.join(', ')}, ${file.packets} packets, ${formatBytes(file.bytes)}` +
      (file.packets === 0 ? '' : `, ${decimals(seconds, 3)} s from ${file.first_time}`),
  ]
  if (file.dropped !== undefined && file.dropped > 0) {
    parts.push(
      `The capturing program missed ${file.dropped} frames: loss and retransmission figures are doubtful.`,
    )
  }
  if (classes.length > 0) parts.push(`\nClasses\n${classTable(classes)}`)
  if (flows.length > 0 && top > 0)
    parts.push(`\nFlows${shown(flowCount ?? flows.length, top)}\n${flowTable(flows.slice(0, top))}`)
  return parts.join('\n')
}

function shown(all: number, top: number): string {
  return all > top ? ` (the ${top} largest of ${all})` : ''
}

function classTable(rows: readonly ClassDocument[]): string {
  return columns(
    [
      { title: 'VLAN', align: 'right' },
      { title: 'PCP', align: 'right' },
      { title: 'DSCP', align: 'left' },
      { title: 'packets', align: 'right' },
      { title: 'bytes', align: 'right' },
      { title: 'Mbit/s', align: 'right' },
      { title: 'goodput', align: 'right' },
      { title: 'retrans', align: 'right' },
      { title: 'RTT p50 ms', align: 'right' },
      { title: 'p99 ms', align: 'right' },
    ],
    rows.map((row) => [
      orDash(row.vlan),
      orDash(row.pcp),
      row.dscp === null ? '-' : classOfDscp(defaultTable, row.dscp).name,
      String(row.packets),
      String(row.bytes),
      decimals(row.throughput_mbps, 3),
      decimals(row.goodput_mbps, 3),
      String(row.retransmits),
      row.rtt_ms_p50 === null ? '-' : decimals(row.rtt_ms_p50, 3),
      row.rtt_ms_p99 === null ? '-' : decimals(row.rtt_ms_p99, 3),
    ]),
  )
}

function flowTable(rows: readonly FlowDocument[]): string {
  const lines = rows.flatMap((flow) =>
    ([flow.a_to_b, flow.b_to_a] as const).flatMap((direction, i) =>
      direction.packets === 0 ? [] : [flowLine(flow, direction, i === 0)],
    ),
  )
  return columns(
    [
      { title: '', align: 'left' },
      { title: 'from', align: 'left' },
      { title: 'to', align: 'left' },
      { title: 'packets', align: 'right' },
      { title: 'payload', align: 'right' },
      { title: 'Mbit/s', align: 'right' },
      { title: 'retrans', align: 'right' },
      { title: 'reorder', align: 'right' },
      { title: 'dup ack', align: 'right' },
      { title: 'zero win', align: 'right' },
      { title: 'RTT p50 ms', align: 'right' },
    ],
    lines,
  )
}

function flowLine(flow: FlowDocument, direction: DirectionDocument, forward: boolean): string[] {
  const expert = (name: string): string => String(direction.expert?.[name] ?? '-')
  return [
    forward ? flow.protocol : '',
    forward ? flow.a : flow.b,
    forward ? flow.b : flow.a,
    String(direction.packets),
    String(direction.payload_bytes),
    decimals(direction.goodput_mbps, 3),
    String(direction.retransmits ?? '-'),
    expert('out_of_order'),
    expert('duplicate_acks'),
    expert('zero_windows'),
    direction.rtt_ms === undefined ? '-' : decimals(direction.rtt_ms.p50, 3),
  ]
}

function pairText(pair: PairResult): string {
  const { clock } = pair
  const between =
    clock.at_least_ms === null || clock.at_most_ms === null
      ? ''
      : ` (between ${decimals(clock.at_least_ms, 3)} and ${decimals(clock.at_most_ms, 3)})`
  const lines = [
    `From a ${pair.a} to b ${pair.b}: ${pair.matched} frames matched`,
    `Clock of b ahead by ${decimals(clock.offset_ms, 3)} ms${between}: ${clock.method}.`,
  ]
  if (pair.foreign_a + pair.foreign_b > 0) {
    lines.push(`Not of common flows: ${pair.foreign_a} frames of a, ${pair.foreign_b} of b.`)
  }
  if (!pair.complete)
    lines.push('One of the captures is cut off: what it would have shown later counts as lost.')
  return [...lines, '', pairTable(pair.classes)].join('\n')
}

function pairTable(rows: readonly PairClass[]): string {
  return columns(
    [
      { title: '', align: 'left' },
      { title: 'VLAN', align: 'right' },
      { title: 'PCP', align: 'right' },
      { title: 'DSCP', align: 'left' },
      { title: 'packets', align: 'right' },
      { title: 'lost', align: 'right' },
      { title: 'loss %', align: 'right' },
      { title: 'extra', align: 'right' },
      { title: 'reorder', align: 'right' },
      { title: 'queue p50 ms', align: 'right' },
      { title: 'p99 ms', align: 'right' },
      { title: 're-marked', align: 'left' },
    ],
    rows.map((row) => [
      row.direction === 'a_to_b' ? 'a > b' : 'b > a',
      orDash(row.vlan),
      orDash(row.pcp),
      row.dscp === null ? '-' : classOfDscp(defaultTable, row.dscp).name,
      String(row.packets),
      String(row.lost),
      decimals(100 * row.loss_ratio, 3),
      String(row.extra),
      String(row.reordered),
      row.queue_delay_ms === null ? '-' : decimals(row.queue_delay_ms.p50, 3),
      row.queue_delay_ms === null ? '-' : decimals(row.queue_delay_ms.p99, 3),
      row.rewritten.map(remarked).join(', '),
    ]),
  )
}

function remarked({ vlan, pcp, dscp, packets }: RewrittenMark): string {
  return `${packets} to ${orDash(vlan)}/${orDash(pcp)}/${orDash(dscp)}`
}

function migrationText(migration: MigrationDocument): string {
  const { pages, rounds } = migration
  const ms = (value: number | null): string => (value === null ? 'not visible' : `${decimals(value, 3)} ms`)
  const classes = Object.entries(pages.by_class).map(
    ([kind, one]) => `${kind} ${one.pages} (${formatBytes(one.bytes)})`,
  )
  const lines = [
    `Migration (${migration.protocol}) from ${migration.source} to ${migration.destination}, ${migration.streams.length} streams`,
    `  pages        ${pages.sent} sent${migration.pages_total === null ? '' : ` of a guest of ${migration.pages_total}`}: ${pages.unique} unique, ${pages.repeated} again (${decimals(100 * pages.resent_ratio, 1)} % of the bytes)`,
    `  encodings    ${classes.join(', ')}`,
    `  stop phase   ${ms(migration.stop_and_copy_ms)} of pages, ${formatBytes(migration.device_bytes)} of device state`,
    `  downtime     ${ms(migration.downtime_ms)} as visible on the wire`,
    ...(migration.page_requests > 0
      ? [`  requests     ${migration.page_requests} pages asked for by the destination`]
      : []),
    ...migration.notes.map((note) => `  note         ${note}`),
  ]
  const shown = rounds.slice(0, maxRoundLines)
  const more = rounds.length > shown.length ? [`... and ${rounds.length - shown.length} rounds more`] : []
  return [...lines, '', roundTable(shown), ...more].join('\n')
}

const maxRoundLines = 40

function roundTable(rounds: readonly RoundDocument[]): string {
  return columns(
    [
      { title: 'round', align: 'right' },
      { title: 'phase', align: 'left' },
      { title: 'start ms', align: 'right' },
      { title: 'ms', align: 'right' },
      { title: 'pages', align: 'right' },
      { title: 'zero', align: 'right' },
      { title: 'again', align: 'right' },
      { title: 'bytes', align: 'right' },
      { title: 'dirty pages/s', align: 'right' },
    ],
    rounds.map((round) => [
      String(round.round),
      round.phase,
      decimals(round.start_ms, 1),
      decimals(round.duration_ms, 1),
      String(round.pages),
      String(round.zero_pages),
      String(round.repeated_pages),
      String(round.bytes),
      round.dirty_pages_per_s === null ? '-' : decimals(round.dirty_pages_per_s, 0),
    ]),
  )
}

function runText(run: RunComparison): string {
  const outage = outageText(run)
  if (run.reproduced)
    return [`${run.run_dir}: the captures give every figure of result.json again`, ...outage].join('\n')
  const shown = (value: unknown): string => JSON.stringify(value) ?? 'nothing'
  const lines = run.differences.map(
    ({ path, recorded, recomputed }) =>
      `  ${path}: ${shown(recorded)} recorded, ${shown(recomputed)} from the captures`,
  )
  return [`${run.run_dir}: result.json and the captures differ`, ...lines, ...outage].join('\n')
}

function outageText({ outage }: RunComparison): readonly string[] {
  if (outage === null) return []
  const { gap_ms, client_ms, from_ms, to_ms, questions, answers } = outage
  const client = client_ms === null ? '' : `, ${decimals(client_ms, 3)} ms as the client saw it`
  return [
    `  outage: ${decimals(gap_ms, 3)} ms without an answer on the wire${client}, from ${decimals(from_ms, 3)} to ${decimals(to_ms, 3)} ms after the start; ${questions} questions, ${answers} answers`,
  ]
}

function orDash(value: number | null): string {
  return value === null ? '-' : String(value)
}

function decimals(value: number, digits: number): string {
  return value.toFixed(digits)
}
