/** The report of a validation: the verdict, what the marks change and what the others pay, with every run as a point. */

import * as Plot from '@observablehq/plot'
import type { ClaimResult } from '../experiment/claims.js'
import type { ArmResult, Validation, ValidationRun } from '../experiment/validate.js'
import { figure, look } from './figure.js'
import { type Cell, definitions, escapeHtml, number, page, type Section, table } from './html.js'
import { metricDefinitions } from './words.js'

export function validationReport(validation: Validation): string {
  const several = validation.price.length > 1
  const arms = validation.price.map((arm) => armSection(arm, several))
  return page({
    title: `Validation: ${validation.verdict}`,
    lead: lead(validation),
    sections: [...arms, runsSection(validation), methodSection(validation)],
    stamp: validation.ended === 'invalid' ? 'INVALID' : 'measured',
  })
}

function lead({
  verdict,
  because,
  pairs,
  censored_runs,
  invalid_runs,
  run_limit_ms,
  a_a,
}: Validation): string {
  const same = a_a
    ? '<p><strong>A/A:</strong> both arms carry the same marks, so any difference is noise.</p>'
    : ''
  return `<p class="big"><span class="${verdict}">${verdict}</span>: ${escapeHtml(because)}.</p>${same}
<p>${pairs} pairs of runs; ${censored_runs} runs cut off at ${number(run_limit_ms / 1000)} s; ${invalid_runs} invalid and replaced.</p>`
}

function claimName({ stream, metric }: Pick<ClaimResult, 'stream' | 'metric'>): string {
  return stream === undefined ? metric : `${stream}: ${metric}`
}

function armSection({ arm, marking, claims }: ArmResult, several: boolean): Section {
  const title = several ? `${arm}: bulk ${marking.bulk}, final ${marking.final}` : 'What the marks change'
  const relative = claims.filter(({ unit, kind }) => unit === '%' && kind !== 'level')
  return {
    id: `arm-${arm}`,
    title,
    body: effectFigure(arm, relative) + claimTable(arm, claims),
  }
}

interface Effect {
  readonly name: string
  readonly effect: number | null
  readonly lo: number
  readonly hi: number
  readonly claim: ClaimResult
}

/** Told apart by dash and symbol, too. */
const verdictLooks = [
  { name: 'PASS', colour: 'var(--good)', dash: '' },
  { name: 'FAIL', colour: 'var(--bad)', dash: '6 3' },
  { name: 'INCONCLUSIVE', colour: 'var(--faint)', dash: '2 3' },
] as const

/** Changes are drawn between these; arrows show that an interval goes on. */
const leastShown = -100
const mostShown = 1000

function effectFigure(arm: string, claims: readonly ClaimResult[]): string {
  const clamp = (value: number): number => Math.min(mostShown, Math.max(leastShown, value))
  const effects = claims
    .filter(({ effect }) => effect !== null)
    .map(
      (claim): Effect => ({
        name: claimName(claim),
        effect: claim.effect === null ? null : clamp(claim.effect),
        lo: clamp(claim.ci95[0] ?? leastShown),
        hi: clamp(claim.ci95[1] ?? mostShown),
        claim,
      }),
    )
  const unknown = claims.length - effects.length
  const colour = ({ claim }: Effect): string =>
    verdictLooks.find(({ name }) => name === claim.verdict)?.colour ?? 'var(--faint)'
  const tip = ({ claim }: Effect): string =>
    `${claimName(claim)}: ${claim.effect} % (${claim.ci95.map((end) => end ?? 'open').join(' to ')}), p = ${claim.p}, ${claim.verdict}`
  const open = unknown === 0 ? '' : ` ${unknown} more are unknown, because runs were cut off; see the table.`
  return figure({
    id: `effects-${arm}`,
    title: 'Change from unmarked to marked',
    caption: `Mean paired change with its 95 % interval, n = ${claims[0]?.pairs ?? 0} pairs, clipped at ${leastShown} and ${mostShown} %; symmetric logarithmic axis; loss in percentage points.${open}`,
    key: verdictLooks,
    heads: ['claim', 'effect_percent', 'ci95_lo', 'ci95_hi', 'p', 'n', 'verdict'],
    rows: claims.map((claim) => [
      claimName(claim),
      claim.effect,
      claim.ci95[0],
      claim.ci95[1],
      claim.p,
      claim.pairs,
      claim.verdict,
    ]),
    plot: (size) => ({
      height: 70 + 30 * effects.length,
      marginLeft: size === 'wide' ? 300 : 24,
      marginRight: 24,
      insetTop: size === 'wide' ? 0 : 14,
      x: {
        label: 'change (%)',
        type: 'symlog',
        constant: 10,
        grid: true,
        domain: [leastShown, mostShown],
        ticks: [-100, -30, -10, 0, 10, 30, 100, 300, 1000],
        tickFormat: (value: number) => String(value),
      },
      y: {
        label: null,
        domain: effects.map(({ name }) => name),
        axis: size === 'wide' ? 'left' : null,
        padding: 0.5,
      },
      marks: [
        Plot.ruleX([0], { stroke: 'var(--faint)' }),
        ...verdictLooks.map((one) =>
          Plot.ruleY(
            effects.filter(({ claim }) => claim.verdict === one.name),
            {
              x1: 'lo',
              x2: 'hi',
              y: 'name',
              stroke: one.colour,
              strokeWidth: 3,
              strokeDasharray: one.dash,
              ariaDescription: '95 % intervals',
            },
          ),
        ),
        Plot.text(
          effects.filter(({ claim }) => (claim.ci95[1] ?? mostShown + 1) > mostShown),
          { x: mostShown, y: 'name', text: () => '\u25b8', dx: 8, fill: colour, ariaDescription: 'goes on' },
        ),
        Plot.dot(effects, {
          x: 'effect',
          y: 'name',
          fill: colour,
          symbol: ({ claim }: Effect) =>
            claim.verdict === 'PASS' ? 'circle' : claim.verdict === 'FAIL' ? 'times' : 'square',
          stroke: colour,
          r: 5,
          title: tip,
          ariaDescription: 'effects',
        }),
        ...(size === 'wide'
          ? []
          : [
              Plot.text(effects, {
                x: () => leastShown,
                y: 'name',
                text: 'name',
                textAnchor: 'start',
                dy: -12,
                fill: 'currentColor',
              }),
            ]),
      ],
    }),
  })
}

function claimTable(arm: string, claims: readonly ClaimResult[]): string {
  const rows = claims.map((claim): Cell[] => [
    `${claimName(claim)}${claim.decides ? ' (decides)' : ''}`,
    claim.kind === 'level' ? null : claim.unmarked,
    claim.marked,
    claim.value_unit,
    claim.kind === 'level' || claim.effect === null
      ? null
      : `${claim.effect_is === 'at least' ? '≥ ' : claim.effect_is === 'at most' ? '≤ ' : ''}${number(claim.effect)} ${claim.unit}`,
    claim.ci95.every((end) => end === null)
      ? 'open'
      : claim.ci95.map((end) => (end === null ? 'open' : number(end))).join(' to '),
    claim.p,
    claim.pairs,
    claim.verdict,
    claim.because,
  ])
  return table(
    ['claim', 'unmarked', 'marked', 'unit', 'change', '95 % interval', 'p', 'n', 'verdict', 'because'],
    rows,
    `claims of ${arm}`,
    [9],
  )
}

interface Shown {
  readonly arm: string
  readonly value: number
  readonly run: ValidationRun
}

function runsSection({ runs, price }: Validation): Section {
  const counted = runs.filter(({ use }) => use === 'counted')
  const arms = ['unmarked', ...price.map(({ arm }) => arm)]
  const points = (of: (run: ValidationRun) => number | null): Shown[] =>
    counted.flatMap((run) => {
      const value = of(run)
      return value === null ? [] : [{ arm: run.arm, value, run }]
    })
  const dots = (
    id: string,
    title: string,
    unit: string,
    of: (run: ValidationRun) => number | null,
  ): string => {
    const shown = points(of)
    if (shown.length === 0) return ''
    return figure({
      id,
      title,
      caption: `Every counted run is a point (n = ${shown.length}); lines join the two of a pair; hollow: cut off at its time limit.`,
      heads: ['pair', 'arm', unit, 'outcome'],
      rows: shown.map(({ run, value }) => [run.pair, run.arm, value, run.outcome]),
      plot: (size) => ({
        height: size === 'wide' ? 60 + 60 * arms.length : 60 + 56 * arms.length,
        marginLeft: 90,
        x: { label: `${title.toLowerCase()} (${unit})`, grid: true, zero: true },
        y: { label: null, domain: arms, padding: 0.4 },
        marks: [
          Plot.line(shown, {
            x: 'value',
            y: 'arm',
            z: ({ run }: Shown) => run.pair,
            sort: ({ run }: Shown) => arms.indexOf(run.arm),
            stroke: 'var(--line)',
            ariaDescription: 'pairs',
          }),
          Plot.dot(shown, {
            x: 'value',
            y: 'arm',
            r: 5,
            stroke: ({ arm }: Shown) => look(arms.indexOf(arm)).colour,
            fill: ({ arm, run }: Shown) =>
              run.outcome === 'completed' ? look(arms.indexOf(arm)).colour : 'var(--ground)',
            title: ({ run, value }: Shown) =>
              `pair ${run.pair}, ${run.arm}: ${number(value)} ${unit}, ${run.outcome}`,
            ariaDescription: 'runs',
          }),
        ],
      }),
    })
  }
  const all = table(
    ['run', 'arm', 'pair', 'use', 'outcome', 'goodput Mbit/s', 'total time ms', 'downtime ms', 'why'],
    runs.map((run) => [
      run.label,
      run.arm,
      run.pair,
      run.use,
      run.outcome,
      run.goodput_mbps,
      run.total_time_ms,
      run.downtime_ms,
      run.because ?? '',
    ]),
    'runs',
    [1, 3, 4, 8],
  )
  return {
    id: 'runs',
    title: 'Every run',
    body:
      dots('goodputs', 'Goodput', 'Mbit/s', (run) => run.goodput_mbps) +
      dots('total-times', 'Total time', 'ms', (run) => run.total_time_ms) +
      `<details><summary>All ${runs.length} runs, warm-up and invalid ones included</summary>${all}</details>`,
  }
}

function methodSection({ seed, ended, duration_s }: Validation): Section {
  return {
    id: 'method',
    title: 'How this was found',
    body: definitions([
      [
        'pairs',
        `same guest and cross-traffic within a pair; order drawn by lot (seed ${seed}); ended: ${ended}, after ${duration_s} s`,
      ],
      [
        'interval',
        'BCa bootstrap of the mean paired change, 10 000 resamples, levels expanded for small samples; ratios on the logarithmic scale',
      ],
      ['p', 'two-sided sign-flip permutation test of no change'],
      [
        'PASS, FAIL',
        'the change is above, or below, the least that counts: sign-flip test and interval agree at the level that this look may spend of a one-sided 2.5 %',
      ],
      [
        'cut-off runs',
        'count with what they prove: total time and pages are at least what they had come to, downtime is unknown; the interval is open where they leave it open',
      ],
      ...metricDefinitions,
    ]),
  }
}
