/** A run's result as a person reads it: the migration, what each class got and lost, and whether to believe it. */

import type { MarksResult } from '../analysis/marks-audit.js'
import type { ClassResult } from '../analysis/run-classes.js'
import type { FidelityCheck, MigrationResult, OutageResult, RunResult } from '../experiment/result.js'
import { columns } from './columns.js'

/** `force`: show the numbers of an invalid run, each line marked so. */
export function runSummary(result: RunResult, force: boolean): string {
  const { fidelity } = result
  const parts = [headline(result)]
  const hidden = !fidelity.valid && !force
  if (!hidden) {
    if (result.migration !== null) parts.push(migrationText(result.migration))
    if (result.outage !== null) parts.push(outageText(result.outage))
    if (result.classes.length > 0) parts.push(classTable(result.classes as readonly ClassResult[]))
    parts.push(proofText(result))
    if (fidelity.checks.length > 0) parts.push(checksText(fidelity.checks))
  }
  if (!fidelity.valid) parts.push(invalidText(fidelity.checks, hidden))
  if (result.run_dir !== null) parts.push(`Everything is in ${result.run_dir}`)
  const text = parts.join('\n\n')
  return fidelity.valid || hidden ? text : markInvalid(text)
}

function headline(result: RunResult): string {
  const why = result.reason === undefined ? '' : `: ${result.reason}`
  return `Migration ${result.outcome}${why}`
}

function migrationText(migration: MigrationResult): string {
  const split = migration.downtime_split_ms
  const downtime =
    migration.downtime_ms === null || split === null
      ? 'none: the guest was not handed over'
      : `${fixed(migration.downtime_ms)} ms (final copy ${fixed(split.final_copy)}, device ${fixed(split.device)}, handover ${fixed(split.handover)})`
  const rows: [string, string][] = [
    ['strategy', migration.strategy],
    ['total time', `${fixed(migration.total_time_ms / 1000, 3)} s in ${migration.rounds.length} rounds`],
    ['downtime', downtime],
    ['goodput', `${fixed(migration.goodput_mbps)} Mbit/s of page payload`],
    [
      'pages',
      `${migration.pages_sent} sent, ${migration.pages_unique} different of ${migration.pages_total}`,
    ],
    ...storageRow(migration),
    ...diskRow(migration),
    [
      'memory',
      migration.verified ? 'verified: every page at the destination equals the source' : 'not compared',
    ],
  ]
  if (migration.log_bytes !== undefined)
    rows.push(['log', `${migration.log_bytes} bytes after the checkpoint`])
  if (migration.pages_ballooned !== undefined) {
    rows.push(['balloon', `${migration.pages_ballooned} free pages were not sent`])
  }
  for (const note of migration.notes ?? []) rows.push(['note', note])
  return rows.map(([name, value]) => `  ${name.padEnd(11)} ${value}`).join('\n')
}

/** What a client of the guest met, and what the captures say of it. */
function outageText(outage: OutageResult): string {
  const { client_ms, wire, open, rate_per_s, class: name } = outage
  const onWire = wire === null ? '' : `, ${fixed(wire.gap_ms)} ms on the wire`
  const more = open ? ', and the guest has not answered since' : ''
  const heads = [
    { title: 'at ms', align: 'right' },
    { title: 'around the outage', align: 'left' },
  ] as const
  return [
    `  outage      ${fixed(client_ms)} ms for a client that asks ${rate_per_s} times a second (${name})${onWire}${more}`,
    `              ${outage.probes_lost} of ${outage.probes_sent} questions were never answered`,
    ...movedLines(outage),
    columns(
      heads,
      outage.timeline.map(({ at_ms, what }) => [fixed(at_ms, 3), what]),
    ),
  ].join('\n')
}

function movedLines({ moved }: OutageResult): string[] {
  if (moved === undefined) return []
  const { tunnel, new_address, probes_sent, probes_lost } = moved
  return [
    `  network     moved: the old connection goes on through a tunnel (${tunnel}), new ones go to ${new_address},`,
    `              where ${probes_lost} of ${probes_sent} questions were never answered`,
  ]
}

function diskRow({ disk }: MigrationResult): [string, string][] {
  if (disk === null) return []
  const { blocks_sent, blocks_known, blocks_total, deltas_sent } = disk
  const known = blocks_known === 0 ? '' : `, ${blocks_known} were there`
  return [['disk', `${blocks_sent} blocks sent of ${blocks_total}${known}; ${deltas_sent} writes forwarded`]]
}

function storageRow({ storage }: MigrationResult): [string, string][] {
  if (storage === null) return []
  const { pages_mapped, blocks_fetched, fetches_cancelled } = storage
  return [
    [
      'storage',
      `${pages_mapped} pages named to the destination, which fetched ${blocks_fetched} and gave up on ${fetches_cancelled}`,
    ],
  ]
}

function classTable(classes: readonly ClassResult[]): string {
  const heads = [
    { title: 'traffic', align: 'left' },
    { title: 'VLAN', align: 'right' },
    { title: 'PCP', align: 'right' },
    { title: 'DSCP', align: 'right' },
    { title: 'Mbit/s', align: 'right' },
    { title: 'frames', align: 'right' },
    { title: 'lost', align: 'right' },
    { title: 'loss', align: 'right' },
    { title: 'resent', align: 'right' },
    { title: 'queue p50', align: 'right' },
    { title: 'p99 ms', align: 'right' },
  ] as const
  const rows = classes
    .filter((row) => row.direction !== 'server-to-client')
    .map((row) => [
      row.role,
      shown(row.vlan),
      shown(row.pcp),
      shown(row.dscp),
      fixed(row.throughput_mbps),
      String(row.packets),
      shown(row.packets_lost),
      row.loss_ratio === null ? '-' : `${fixed(100 * row.loss_ratio, 2)} %`,
      String(row.retransmits),
      row.queue_delay_ms_p50 === null ? '-' : fixed(row.queue_delay_ms_p50, 2),
      row.queue_delay_ms_p99 === null ? '-' : fixed(row.queue_delay_ms_p99, 2),
    ])
  return columns(heads, rows)
}

function proofText(result: RunResult): string {
  const marks = result.marks as MarksResult
  const dropped = result.captures.reduce((total, capture) => total + capture.dropped_by_kernel, 0)
  const balanced = (result.ledger as { balanced?: boolean } | null)?.balanced === true
  return [
    `marks     ${marks.frames_checked} frames checked, ${marks.frames_wrong} with a wrong mark`,
    ...marks.changes.map(
      ({ role, direction, hop }) =>
        `          ${role}, ${direction.replaceAll('-', ' ')}: wrong ${hop === 'sender' ? 'from its sender on' : `since ${hop}`}`,
    ),
    `captures  ${result.captures.map(({ point, packets }) => `${point} ${packets}`).join(', ')}; ${dropped} dropped`,
    `ledger    ${balanced ? 'balanced: captures, queue counters and application bytes agree' : 'does not balance; see result.json'}`,
  ].join('\n')
}

/** What the box had to sustain, and what it did: each check with its limit. */
function checksText(checks: readonly FidelityCheck[]): string {
  const heads = [
    { title: 'fidelity', align: 'left' },
    { title: 'value', align: 'right' },
    { title: 'limit', align: 'right' },
    { title: 'unit', align: 'left' },
    { title: '', align: 'left' },
  ] as const
  const rows = checks.map(({ name, value, limit, unit, ok }) => [
    name.replaceAll('_', ' '),
    rounded(value),
    rounded(limit),
    unit,
    ok ? 'ok' : 'BROKEN',
  ])
  return columns(heads, rows)
}

function invalidText(checks: readonly FidelityCheck[], hidden: boolean): string {
  const broken = checks.filter((check) => !check.ok)
  const lines = broken.map(
    (check) =>
      `  ${check.name} is ${check.value} ${check.unit}, the limit is ${check.limit}. ${check.advice}`,
  )
  if (checks.length === 0) lines.push('  the run ended before it could be checked.')
  const hint = hidden ? '\nThe numbers are in result.json, marked invalid; --force prints them here.' : ''
  return `This run is INVALID:\n${lines.join('\n')}${hint}`
}

/** No line with a figure may be mistaken for a valid one when it is quoted alone. */
function markInvalid(text: string): string {
  return text
    .split('\n')
    .map((line) => (/\d/.test(line) ? `INVALID  ${line}` : line))
    .join('\n')
}

/** Four significant digits are enough to see how far a limit is away. */
function rounded(value: number): string {
  return String(Number(value.toPrecision(4)))
}

function shown(value: number | null): string {
  return value === null ? '-' : String(value)
}

function fixed(value: number, digits = 1): string {
  return value.toFixed(digits)
}
