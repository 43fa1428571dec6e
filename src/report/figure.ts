/**
 * A chart as SVG text, drawn twice: for a wide page and for a telephone. Observable Plot draws into linkedom's
 * document, so that no browser is needed; colours are the page's variables, so that one drawing serves light and dark.
 */

import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { type Cell, escapeHtml, figureStyle, table } from './html.js'

export interface FigureSpec {
  readonly id: string
  readonly title: string
  /** What is shown, with units, n and definitions, as a sentence. */
  readonly caption: string
  readonly plot: (size: 'wide' | 'narrow') => Plot.PlotOptions
  /** Names and looks of the curves. */
  readonly key?: readonly KeyEntry[]
  /** The data behind it. */
  readonly heads: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

export interface KeyEntry {
  readonly name: string
  /** A colour of the page, such as `var(--c0)`. */
  readonly colour: string
  /** Of a line; none for an area. */
  readonly dash?: string
  readonly area?: true
}

/** The colour and dash of the curve with this number: told apart without colour, too. */
export function look(index: number): { readonly colour: string; readonly dash: string } {
  const dashes = ['', '6 3', '2 3', '10 3 2 3', '1 4', '8 2 2 2 2 2', '4 4']
  return { colour: `var(--c${index % 7})`, dash: dashes[index % 7] ?? '' }
}

export function figure(spec: FigureSpec): string {
  const [wide, narrow] = [draw(spec, 'wide'), draw(spec, 'narrow')]
  const csv = [spec.heads, ...spec.rows].map((row) => row.map(csvCell).join(',')).join('\r\n')
  const alone = wide.replace(/(<svg[^>]*>)/, `$1<style>${figureStyle}</style>`)
  return `<figure id="${spec.id}">
<figcaption><strong>${escapeHtml(spec.title)}</strong><br>${escapeHtml(spec.caption)}</figcaption>
${spec.key === undefined ? '' : key(spec.key)}
<div class="wide">${wide}</div><div class="narrow">${narrow}</div>
<p class="save"><a download="${spec.id}.svg" href="${dataAddress('image/svg+xml', alone)}">SVG</a>
<a download="${spec.id}.csv" href="${dataAddress('text/csv', csv)}">CSV</a></p>
<details><summary>The data of this figure (${spec.rows.length} rows)</summary>${dataTable(spec)}</details>
</figure>`
}

/** A table longer than this is for the CSV. */
const rowsShown = 200

function dataTable({ heads, rows, title }: FigureSpec): string {
  const cut = rows.length > rowsShown ? `<p>The first ${rowsShown} rows; the CSV has all.</p>` : ''
  return cut + table(heads, rows.slice(0, rowsShown), `data of ${title}`)
}

function draw(spec: FigureSpec, size: 'wide' | 'narrow'): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const options = spec.plot(size)
  const width = size === 'wide' ? 1120 : 360
  const drawn = Plot.plot({
    document,
    width,
    height: size === 'wide' ? 320 : 260,
    marginLeft: size === 'wide' ? 60 : 48,
    marginBottom: 42,
    style: { fontSize: size === 'wide' ? '13px' : '11px' },
    ariaLabel: spec.title,
    ariaDescription: spec.caption,
    ...options,
  })
  return drawn.outerHTML.replace('<svg ', '<svg role="img" xmlns="http://www.w3.org/2000/svg" ')
}

function key(entries: readonly KeyEntry[]): string {
  const items = entries.map(({ name, colour, dash, area }) => {
    const swatch = area
      ? `<rect width="24" height="12" fill="${colour}" stroke="var(--line)"/>`
      : `<line x2="24" y1="6" y2="6" stroke="${colour}" stroke-width="3" stroke-dasharray="${dash ?? ''}"/>`
    return `<li><svg width="24" height="12" aria-hidden="true">${swatch}</svg>${escapeHtml(name)}</li>`
  })
  return `<ul class="key">${items.join('')}</ul>`
}

function csvCell(cell: Cell): string {
  const text = cell === null ? '' : String(cell)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function dataAddress(type: string, text: string): string {
  return `data:${type};charset=utf-8,${encodeURIComponent(text).replaceAll("'", '%27')}`
}
