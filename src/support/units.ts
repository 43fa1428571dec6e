/** Quantities as people write them: memory in IEC units, rates in decimal bits, durations with a suffix. */

import { usageError } from './errors.js'

const memoryUnits = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const
const rateUnits = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 } as const
const durationUnits = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, min: 60e9, h: 3600e9 } as const

/** `64MiB` -> bytes. Throws a usage error that names the accepted units. */
export function parseBytes(text: string): number {
  return quantity(text, memoryUnits, 'a memory size', '64MiB')
}

/** `200mbit` -> bits per second. */
export function parseRateBps(text: string): number {
  return quantity(text, rateUnits, 'a rate', '200mbit')
}

/** `300ms` -> nanoseconds. */
export function parseDurationNs(text: string): number {
  return quantity(text, durationUnits, 'a duration', '300ms')
}

/** `10%` -> 0.1. */
export function parsePercent(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*%$/.exec(text.trim())
  if (!match) throw usageError(`'${text}' is not a percentage; write it like 10%`, { code: 'bad-unit' })
  return Number(match[1]) / 100
}

/** `3000 pages/s` -> pages per second. */
export function parsePagesPerSecond(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*pages\/s$/.exec(text.trim())
  if (!match)
    throw usageError(`'${text}' is not a dirty rate; write it like 3000 pages/s`, { code: 'bad-unit' })
  return Number(match[1])
}

function quantity(
  text: string,
  units: Readonly<Record<string, number>>,
  what: string,
  example: string,
): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim())
  const factor = match?.[2] === undefined ? undefined : units[match[2]]
  if (!match || factor === undefined) {
    const names = Object.keys(units).join(', ')
    throw usageError(`'${text}' is not ${what}; write it like ${example} (units: ${names})`, {
      code: 'bad-unit',
    })
  }
  const value = Number(match[1]) * factor
  if (!Number.isSafeInteger(Math.round(value))) {
    throw usageError(`'${text}' is too large`, { code: 'bad-unit' })
  }
  return Math.round(value)
}

/** Bytes as the largest IEC unit that leaves at least 1, with at most one decimal: `64MiB`, `1.5GiB`. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, memoryUnits)
}

function scaled(value: number, units: Readonly<Record<string, number>>): string {
  let best: readonly [string, number] = Object.entries(units)[0] ?? ['', 1]
  for (const unit of Object.entries(units)) if (value >= unit[1]) best = unit
  return `${Number((value / best[1]).toFixed(1))}${best[0]}`
}
