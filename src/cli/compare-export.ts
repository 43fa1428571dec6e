/** The rows of a comparison for other programs: CSV, JSON or Parquet, one column a figure and one an axis. */

import { parquetWriteBuffer } from 'hyparquet-writer'
import type { Comparison } from '../experiment/comparison.js'

export const exportFormats = ['csv', 'json', 'parquet'] as const
export type ExportFormat = (typeof exportFormats)[number]

export function exported(comparison: Comparison, format: ExportFormat): string | Uint8Array {
  switch (format) {
    case 'json':
      return `${JSON.stringify(comparison, null, 2)}\n`
    case 'csv':
      return csv(comparison)
    case 'parquet':
      return parquet(comparison)
  }
}

type Value = string | number | boolean | null

/** Columns in order, each with the value of every row. */
function columnsOf({ axes, rows }: Comparison): readonly { readonly name: string; readonly data: Value[] }[] {
  const [first] = rows
  const figures = first === undefined ? [] : Object.keys(first).filter((name) => name !== 'labels')
  return [
    ...axes.map(({ name }) => ({
      name: `axis_${name}`,
      data: rows.map((row): Value => row.labels[name] ?? null),
    })),
    ...figures.map((name) => ({
      name,
      data: rows.map((row): Value => {
        const value: unknown = Object.entries(row).find(([key]) => key === name)?.[1]
        return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
          ? value
          : null
      }),
    })),
  ]
}

function csv(comparison: Comparison): string {
  const columns = columnsOf(comparison)
  const lines = comparison.rows.map((_, i) => columns.map(({ data }) => cell(data[i] ?? null)).join(','))
  return [columns.map(({ name }) => cell(name)).join(','), ...lines, ''].join('\r\n')
}

function cell(value: Value): string {
  const text = value === null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function parquet(comparison: Comparison): Uint8Array {
  const columnData = columnsOf(comparison).map(({ name, data }) => ({ name, data, type: typeOf(data) }))
  return new Uint8Array(parquetWriteBuffer({ columnData }))
}

function typeOf(data: readonly Value[]): 'STRING' | 'DOUBLE' | 'BOOLEAN' {
  if (data.some((value) => typeof value === 'boolean')) return 'BOOLEAN'
  return data.some((value) => typeof value === 'number') ? 'DOUBLE' : 'STRING'
}
