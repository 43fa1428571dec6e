/** The picture of a migration: page number over time, every dot a page sent, coloured by round. One SVG, no scripts. */

import type { PageDots } from './page-track.js'

const width = 1200
const height = 700
const margin = { left: 90, right: 20, top: 50, bottom: 60 }

/** Colours that people with colour blindness can tell apart (Okabe and Ito), repeated for many rounds. */
const colours = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#8C8C00']

/** Draws the dots; those that fall on one point of the picture in one round are one dot. */
export function pagePlot(dots: PageDots, title: string): string {
  const span = extent(dots)
  const [plotWidth, plotHeight] = [width - margin.left - margin.right, height - margin.top - margin.bottom]
  const x = (ns: number): number =>
    margin.left + (plotWidth * (ns - span.fromNs)) / Math.max(1, span.toNs - span.fromNs)
  const y = (page: number): number =>
    margin.top + plotHeight * (1 - (page - span.low) / Math.max(1, span.high - span.low))
  const rounds = groupByRound(dots, x, y)
  const paths = [...rounds].map(([round, points]) => {
    const path = [...points].map((point) => `M${point % width} ${Math.floor(point / width)}h1`).join('')
    return `<path stroke="${colourOf(round)}" d="${path}"><title>round ${round}</title></path>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${margin.left}" y="24" font-size="16">${escaped(title)}</text>`,
    axes(span, x, y),
    `<g stroke-width="1.6" shape-rendering="crispEdges">${paths.join('\n')}</g>`,
    legend([...rounds.keys()]),
    '</svg>',
    '',
  ].join('\n')
}

interface Extent {
  readonly fromNs: number
  readonly toNs: number
  readonly low: number
  readonly high: number
}

function extent({ count, timesNs, pages }: PageDots): Extent {
  let [fromNs, toNs, low, high] = [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.POSITIVE_INFINITY,
    0,
  ]
  for (let i = 0; i < count; i++) {
    fromNs = Math.min(fromNs, timesNs[i]!)
    toNs = Math.max(toNs, timesNs[i]!)
    low = Math.min(low, pages[i]!)
    high = Math.max(high, pages[i]!)
  }
  return count === 0 ? { fromNs: 0, toNs: 0, low: 0, high: 0 } : { fromNs, toNs, low, high }
}

function groupByRound(
  { count, timesNs, pages, rounds }: PageDots,
  x: (ns: number) => number,
  y: (page: number) => number,
): Map<number, Set<number>> {
  const groups = new Map<number, Set<number>>()
  for (let i = 0; i < count; i++) {
    const round = rounds[i]!
    let points = groups.get(round)
    if (!points) {
      points = new Set()
      groups.set(round, points)
    }
    points.add(Math.round(y(pages[i]!)) * width + Math.round(x(timesNs[i]!)))
  }
  return groups
}

function axes(span: Extent, x: (ns: number) => number, y: (page: number) => number): string {
  const bottom = height - margin.bottom
  const lines: string[] = []
  const seconds = (span.toNs - span.fromNs) / 1e9
  for (const tick of ticks(0, seconds)) {
    const at = x(span.fromNs + tick * 1e9).toFixed(1)
    lines.push(`<path stroke="#ddd" d="M${at} ${margin.top}V${bottom}"/>`)
    lines.push(`<text x="${at}" y="${bottom + 18}" text-anchor="middle">${rounded(tick)}</text>`)
  }
  for (const tick of ticks(span.low, span.high)) {
    const at = y(tick).toFixed(1)
    lines.push(`<path stroke="#ddd" d="M${margin.left} ${at}H${width - margin.right}"/>`)
    lines.push(`<text x="${margin.left - 8}" y="${Number(at) + 4}" text-anchor="end">${rounded(tick)}</text>`)
  }
  lines.push(
    `<text x="${width / 2}" y="${height - 16}" text-anchor="middle">seconds since the first page</text>`,
    `<text transform="translate(18 ${height / 2}) rotate(-90)" text-anchor="middle">page number</text>`,
  )
  return lines.join('\n')
}

/** About six round numbers from `from` to `to`. */
function ticks(from: number, to: number): number[] {
  const raw = (to - from) / 6
  if (!(raw > 0)) return [from]
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw) ?? raw
  const found: number[] = []
  for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) found.push(tick)
  return found
}

function legend(rounds: readonly number[]): string {
  const shown = rounds.slice(0, 16)
  const items = shown.map(
    (round, i) =>
      `<rect x="${margin.left + 60 * i}" y="32" width="10" height="10" fill="${colourOf(round)}"/>` +
      `<text x="${margin.left + 60 * i + 14}" y="42">${round}</text>`,
  )
  const more = rounds.length > shown.length ? `<text x="${margin.left + 60 * 16}" y="42">and more</text>` : ''
  return `${items.join('')}${more}`
}

function colourOf(round: number): string {
  return colours[(round - 1) % colours.length] ?? '#000000'
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(6)))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
