/** Text for HTML, and the one page that every report is: its style, its colours in light and dark, nothing from outside. */

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

export interface Section {
  /** For the address of the section. */
  readonly id: string
  readonly title: string
  /** HTML. */
  readonly body: string
}

export interface PageSpec {
  readonly title: string
  /** HTML under the title: the answer, before any picture. */
  readonly lead: string
  readonly sections: readonly Section[]
  /** Marks every figure, so that none can be quoted as something else. */
  readonly stamp: 'measured' | 'predicted' | 'INVALID'
}

export function page({ title, lead, sections, stamp }: PageSpec): string {
  const links = sections.map(({ id, title }) => `<a href="#${id}">${escapeHtml(title)}</a>`)
  const parts = sections.map(
    ({ id, title, body }) =>
      `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${escapeHtml(title)}</h2>${body}</section>`,
  )
  return `<!doctype html>
<html lang="en" data-stamp="${stamp}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${pageStyle}</style>
</head>
<body>
<header><p class="stamp">${stampText[stamp]}</p><h1>${escapeHtml(title)}</h1>${lead}</header>
<nav aria-label="Sections">${links.join(' ')}</nav>
<main>${parts.join('\n')}</main>
</body>
</html>
`
}

const stampText = {
  measured: 'Measured on real frames',
  predicted: 'PREDICTED by the model, not measured',
  INVALID: 'INVALID: the box could not sustain what was asked, and no figure below may be relied on',
} as const

/** Okabe and Ito's colours, which the colour-blind tell apart, darkened or lightened for contrast with the ground. */
const light = `--ground:#fff;--ink:#1a1a1a;--faint:#5c5c5c;--line:#d5d5d5;--band:#eef2f6;--held:#fbe3d6;
--c0:#0063a3;--c1:#b34a00;--c2:#00805c;--c3:#a3478a;--c4:#7a6a00;--c5:#2e86ab;--c6:#444;--good:#00703c;--bad:#b3261e;`
const dark = `--ground:#14171a;--ink:#eee;--faint:#a8a8a8;--line:#3a3f44;--band:#26303a;--held:#4a3122;
--c0:#6cb8f0;--c1:#f59e56;--c2:#4fd0a5;--c3:#e59ccb;--c4:#e3d05a;--c5:#8fd3ee;--c6:#ccc;--good:#5fd39a;--bad:#ff8a80;`

const colours = `:root{${light}}@media(prefers-color-scheme:dark){:root{${dark}}}@media print{:root{${light}}}`

/** The colours that a figure saved by itself carries along. */
export const figureStyle = `svg{${light}color:var(--ink);background:var(--ground)}`

const style = `
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.2rem 0 .2rem}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;border-block:1px solid var(--line);padding:.5rem 0;margin-top:1rem}
a{color:var(--c0)}a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--c1);outline-offset:2px}
figure{margin:1rem 0 1.6rem}figcaption{color:var(--faint);font-size:.9rem;max-width:60rem}
figcaption strong{color:var(--ink);font-size:1rem}
svg{display:block;max-width:100%;height:auto;color:var(--ink);overflow:visible}
.narrow{display:none}
@media(max-width:44rem){.wide{display:none}.narrow{display:block}}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child,.text{text-align:left}td.text{white-space:normal;min-width:10rem}td:first-child{white-space:normal;min-width:9rem}
thead th{white-space:normal;border-bottom:2px solid var(--ink);vertical-align:bottom}
.stamp{margin:0;color:var(--faint);font-size:.9rem}
[data-stamp=INVALID] .stamp,[data-stamp=predicted] .stamp{color:var(--ground);background:var(--bad);padding:.4rem .6rem;font-weight:bold}
[data-stamp=predicted] .stamp{background:var(--c3)}
[data-stamp=INVALID] figure{border:3px dashed var(--bad);padding:.5rem}[data-stamp=predicted] figure{border:2px dashed var(--c3);padding:.5rem}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.4rem 0;padding:0;list-style:none;font-size:.9rem}
.key svg{display:inline-block;vertical-align:middle;margin-right:.4rem}
.PASS{color:var(--good);font-weight:bold}.FAIL{color:var(--bad);font-weight:bold}.INCONCLUSIVE{font-weight:bold}
.big{font-size:1.25rem}
details{font-size:.9rem}summary{cursor:pointer}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:var(--faint)}dd{margin:0}
@media(max-width:44rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}
@media print{nav,.save{display:none}figure,tr{break-inside:avoid}.wide{display:block}.narrow{display:none}}
`

/** Of every page. */
export const pageStyle = `${colours}${style}`

export type Cell = string | number | null

/** A table that scrolls by itself where the screen is narrow. The first column and those in `text` hold words. */
export function table(
  heads: readonly string[],
  rows: readonly (readonly Cell[])[],
  label: string,
  text: readonly number[] = [],
): string {
  const kind = (i: number): string => (text.includes(i) ? ' class="text"' : '')
  const head = heads.map((title, i) => `<th scope="col"${kind(i)}>${escapeHtml(title)}</th>`).join('')
  const body = rows.map(
    (cells) => `<tr>${cells.map((cell, i) => `<td${kind(i)}>${cellText(cell)}</td>`).join('')}</tr>`,
  )
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(label)}"><table><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>`
}

const verdicts = ['PASS', 'FAIL', 'INCONCLUSIVE']

function cellText(cell: Cell): string {
  if (cell === null) return '–'
  if (typeof cell === 'number') return number(cell)
  return verdicts.includes(cell) ? `<span class="${cell}">${cell}</span>` : escapeHtml(cell)
}

/** Four significant digits, and no exponent for what people count. */
export function number(value: number): string {
  if (Number.isInteger(value)) return String(value)
  return String(Number(value.toPrecision(4)))
}

/** Names with their meanings. */
export function definitions(rows: readonly (readonly [name: string, meaning: string])[]): string {
  const items = rows.map(([name, meaning]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(meaning)}</dd>`)
  return `<dl>${items.join('')}</dl>`
}
