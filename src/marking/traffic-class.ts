/**
 * The one table from traffic class to per-hop behaviour, DSCP and 802.1Q PCP. Sockets, scripts, analysis and
 * reports read it; no other file writes a DSCP or a PCP.
 *
 * DSCP values: RFC 2474 (CSx), RFC 2597 (AFxy), RFC 3246 (EF), RFC 5865 (VA), RFC 8622 (LE).
 * PCP values: IEEE 802.1Q-2018 table I-2 (traffic types), with RFC 4594 and RFC 8325 saying which type a class is.
 */

import { usageError } from '../support/errors.js'

/** A row of the table. `name` is what a scenario and `--dscp` accept. */
export interface TrafficClass {
  readonly name: string
  /** Per-hop behaviour. */
  readonly phb: string
  /** Differentiated services code point, 0..63. */
  readonly dscp: number
  /** 802.1Q priority code point, 0..7. */
  readonly pcp: number
  /** Where the row comes from. */
  readonly source: string
}

export type MarkingTable = readonly TrafficClass[]

const row = (name: string, phb: string, dscp: number, pcp: number, source: string): TrafficClass => ({
  name,
  phb,
  dscp,
  pcp,
  source,
})

/**
 * A blind `DSCP >> 3` would put AF1x on PCP 1, which 802.1Q serves *below* best effort. RFC 8325 section 4.2.6
 * gives AF1x the priority of best effort, and so does this table.
 */
export const defaultTable: MarkingTable = [
  row('best-effort', 'DF', 0, 0, 'RFC 2474; 802.1Q best effort'),
  row('LE', 'LE', 1, 1, 'RFC 8622; 802.1Q background'),
  row('CS1', 'CS1', 8, 1, 'RFC 4594 low-priority data; 802.1Q background'),
  row('AF11', 'AF11', 10, 0, 'RFC 4594 high-throughput data; RFC 8325 best effort'),
  row('AF12', 'AF12', 12, 0, 'RFC 4594 high-throughput data; RFC 8325 best effort'),
  row('AF13', 'AF13', 14, 0, 'RFC 4594 high-throughput data; RFC 8325 best effort'),
  row('CS2', 'CS2', 16, 2, 'RFC 4594 OAM; 802.1Q excellent effort'),
  row('AF21', 'AF21', 18, 2, 'RFC 4594 low-latency data; 802.1Q excellent effort'),
  row('AF22', 'AF22', 20, 2, 'RFC 4594 low-latency data; 802.1Q excellent effort'),
  row('AF23', 'AF23', 22, 2, 'RFC 4594 low-latency data; 802.1Q excellent effort'),
  row('CS3', 'CS3', 24, 3, 'RFC 4594 broadcast video; 802.1Q critical applications'),
  row('AF31', 'AF31', 26, 3, 'RFC 4594 multimedia streaming; 802.1Q critical applications'),
  row('AF32', 'AF32', 28, 3, 'RFC 4594 multimedia streaming; 802.1Q critical applications'),
  row('AF33', 'AF33', 30, 3, 'RFC 4594 multimedia streaming; 802.1Q critical applications'),
  row('CS4', 'CS4', 32, 4, 'RFC 4594 real-time interactive; 802.1Q video'),
  row('AF41', 'AF41', 34, 4, 'RFC 4594 multimedia conferencing; 802.1Q video'),
  row('AF42', 'AF42', 36, 4, 'RFC 4594 multimedia conferencing; 802.1Q video'),
  row('AF43', 'AF43', 38, 4, 'RFC 4594 multimedia conferencing; 802.1Q video'),
  row('CS5', 'CS5', 40, 5, 'RFC 4594 signalling; 802.1Q voice'),
  row('VA', 'VA', 44, 5, 'RFC 5865 voice admit; 802.1Q voice'),
  row('EF', 'EF', 46, 5, 'RFC 4594 telephony; 802.1Q voice'),
  row('CS6', 'CS6', 48, 6, 'RFC 4594 network control; 802.1Q internetwork control'),
  row('CS7', 'CS7', 56, 7, 'RFC 4594 reserved for network control; 802.1Q network control'),
]

/** PCP values from the queue served first to the queue served last (IEEE 802.1Q: background is below best effort). */
export const pcpServiceOrder: readonly number[] = [7, 6, 5, 4, 3, 2, 0, 1]

/** The class of unmarked traffic. */
export const bestEffortName = 'best-effort'

/**
 * Finds a class by name (any letter case, `BE` and `DF` for best effort) or by DSCP number 0..63. A number without
 * a row is forwarded like best effort (RFC 2474 section 3) and keeps its DSCP. Throws a usage error otherwise.
 */
export function trafficClass(table: MarkingTable, name: string | number): TrafficClass {
  const text = String(name).trim()
  if (/^\d+$/.test(text)) return classOfDscp(table, dscpNumber(text))
  const wanted = ['be', 'df', 'cs0'].includes(text.toLowerCase()) ? bestEffortName : text.toLowerCase()
  const found = table.find((entry) => entry.name.toLowerCase() === wanted)
  if (found) return found
  throw usageError(`unknown traffic class '${text}'`, {
    code: 'unknown-class',
    next: `Use one of ${table.map((entry) => entry.name).join(', ')}, or a DSCP number from 0 to 63.`,
  })
}

/** The class selector of a level: CS7 for 7, best effort for 0. */
export function classOfLevel(table: MarkingTable, level: number): TrafficClass {
  return trafficClass(table, level === 0 ? bestEffortName : `CS${level}`)
}

/** The row of a DSCP, or an unnamed best-effort row for a code point that the table does not know. */
export function classOfDscp(table: MarkingTable, dscp: number): TrafficClass {
  const found = table.find((entry) => entry.dscp === dscp)
  return (
    found ?? {
      name: `dscp${dscp}`,
      phb: 'DF',
      dscp,
      pcp: 0,
      source: 'RFC 2474 section 3: unknown code point',
    }
  )
}

/** For each DSCP 0..63 the PCP that its frames must carry. */
export function pcpByDscp(table: MarkingTable): Uint8Array {
  return Uint8Array.from({ length: 64 }, (_, dscp) => classOfDscp(table, dscp).pcp)
}

/** The DS field byte (TOS byte) of a DSCP: the code point above the two ECN bits. */
export function dsField(dscp: number): number {
  return dscp << 2
}

/** What a scenario may change of a row, or all of a new row. */
export interface ClassOverride {
  readonly dscp?: number
  readonly pcp?: number
}

/** The table with rows changed or added. Two rows may not claim one DSCP: a frame would then have two right marks. */
export function withOverrides(
  table: MarkingTable,
  overrides: Readonly<Record<string, ClassOverride>>,
): MarkingTable {
  const rows = [...table]
  for (const [name, change] of Object.entries(overrides)) {
    const at = rows.findIndex((entry) => entry.name.toLowerCase() === name.toLowerCase())
    const old = rows[at]
    const dscp = inRange(`classes.${name}.dscp`, change.dscp ?? old?.dscp, 63)
    const pcp = inRange(`classes.${name}.pcp`, change.pcp ?? old?.pcp, 7)
    const changed = { name: old?.name ?? name, phb: old?.phb ?? name, dscp, pcp, source: 'scenario' }
    if (at === -1) rows.push(changed)
    else rows[at] = changed
  }
  for (const [i, entry] of rows.entries()) {
    const twin = rows.slice(i + 1).find((other) => other.dscp === entry.dscp)
    if (twin) {
      throw usageError(`classes ${entry.name} and ${twin.name} both use DSCP ${entry.dscp}`, {
        code: 'ambiguous-class',
        next: 'Give one of them another dscp under classes.',
      })
    }
  }
  return rows
}

function dscpNumber(text: string): number {
  const value = Number(text)
  if (value <= 63) return value
  throw usageError(`DSCP ${text} is out of range 0-63`, {
    code: 'dscp-range',
    next:
      value <= 255 && value % 4 === 0
        ? `${text} looks like a TOS byte; its DSCP is ${value >> 2}.`
        : 'A DSCP is the upper six bits of the DS field.',
  })
}

function inRange(place: string, value: number | undefined, max: number): number {
  if (value !== undefined && Number.isInteger(value) && value >= 0 && value <= max) return value
  throw usageError(`${place} must be a whole number from 0 to ${max}`, { code: 'bad-class' })
}
