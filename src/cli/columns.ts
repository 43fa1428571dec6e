/** Text in columns: numbers to the right, words to the left. */

export interface Column {
  readonly title: string
  readonly align: 'left' | 'right'
}

/** Rows under their titles, two spaces between columns, no trailing spaces. */
export function columns(heads: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, i) =>
    Math.max(head.title.length, ...rows.map((row) => row[i]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    heads
      .map((head, i) => {
        const cell = cells[i] ?? ''
        return head.align === 'left' ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
      })
      .join('  ')
      .trimEnd()
  return [line(heads.map(({ title }) => title)), ...rows.map(line)].join('\n')
}
