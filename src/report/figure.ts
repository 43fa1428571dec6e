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
  const csv = csvFile(spec)
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

/** One drawing of it, without the data: for a page that draws it anew every second. */
export function livePicture(spec: Omit<FigureSpec, 'heads' | 'rows'>, size: 'wide' | 'narrow'): string {
  return `<figure id="${spec.id}">
<figcaption><strong>${escapeHtml(spec.title)}</strong><br>${escapeHtml(spec.caption)}</figcaption>
${spec.key === undefined ? '' : key(spec.key)}${draw(spec, size)}</figure>`
}

/** The data behind a figure. */
export function csvFile({ heads, rows }: Pick<FigureSpec, 'heads' | 'rows'>): string {
  return [heads, ...rows].map((row) => row.map(csvCell).join(',')).join('\r\n')
}

const lineHeight = 24
const pixelsPerLetter = 8

/** The figure as a file of its own: title, key and caption inside the picture. */
export function svgFile(spec: FigureSpec): string {
  const drawn = draw(spec, 'wide')
  const size = (name: string): number => Number(new RegExp(`<svg[^>]* ${name}="([0-9.]+)"`).exec(drawn)?.[1])
  const width = size('width')
  const top = 2 * lineHeight + (spec.key === undefined ? 0 : lineHeight)
  const caption = wrapped(spec.caption, Math.floor(width / (pixelsPerLetter - 1)))
  const height = top + size('height') + (caption.length + 1) * lineHeight
  const texts = caption.map(
    (line, i) =>
      `<text x="12" y="${height - (caption.length - i) * lineHeight}" font-size="13" fill="var(--faint)">${escapeHtml(line)}</text>`,
  )
  return `<svg role="img" xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" aria-label="${escapeHtml(spec.title)}">
<style>${figureStyle}</style>
<rect width="${width}" height="${height}" fill="var(--ground)"/>
<text x="12" y="${1.25 * lineHeight}" font-size="17" font-weight="bold" fill="var(--ink)">${escapeHtml(spec.title)}</text>
${spec.key === undefined ? '' : drawnKey(spec.key, 2 * lineHeight)}
${drawn.replace('<svg ', `<svg y="${top}" `)}
${texts.join('\n')}
</svg>
`
}

function drawnKey(entries: readonly KeyEntry[], y: number): string {
  let x = 12
  const items = entries.map((entry) => {
    const at = x
    x += 44 + entry.name.length * pixelsPerLetter
    return `<g transform="translate(${at} ${y - 6})">${swatch(entry)}<text x="30" y="11" font-size="13" fill="var(--ink)">${escapeHtml(entry.name)}</text></g>`
  })
  return items.join('')
}

/** Lines of at most so many letters, broken between words. */
function wrapped(text: string, letters: number): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > letters) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

/** A table longer than this is for the CSV. */
const rowsShown = 200

function dataTable({ heads, rows, title }: FigureSpec): string {
  const cut = rows.length > rowsShown ? `<p>The first ${rowsShown} rows; the CSV has all.</p>` : ''
  return cut + table(heads, rows.slice(0, rowsShown), `data of ${title}`)
}

function draw(spec: Omit<FigureSpec, 'heads' | 'rows'>, size: 'wide' | 'narrow'): string {
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
  // linkedom leaves an ampersand in an attribute as it is, which XML does not allow.
  const xml = drawn.outerHTML.replaceAll(/&(?!#?\w+;)/g, '&amp;')
  return xml.replace('<svg ', '<svg role="img" xmlns="http://www.w3.org/2000/svg" ')
}

function key(entries: readonly KeyEntry[]): string {
  const items = entries.map(
    (entry) =>
      `<li><svg width="24" height="12" aria-hidden="true">${swatch(entry)}</svg>${escapeHtml(entry.name)}</li>`,
  )
  return `<ul class="key">${items.join('')}</ul>`
}

function swatch({ colour, dash, area }: KeyEntry): string {
  return area
    ? `<rect width="24" height="12" fill="${colour}" stroke="var(--line)"/>`
    : `<line x2="24" y1="6" y2="6" stroke="${colour}" stroke-width="3" stroke-dasharray="${dash ?? ''}"/>`
}

function csvCell(cell: Cell): string {
  const text = cell === null ? '' : String(cell)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function dataAddress(type: string, text: string): string {
  return `data:${type};charset=utf-8,${encodeURIComponent(text).replaceAll("'", '%27')}`
}
