/** A validation as a person reads it: the verdict, then every claim with its effect, interval and p. */

import type { ClaimResult } from '../experiment/claims.js'
import type { ArmResult, Validation } from '../experiment/validate.js'
import { columns } from './columns.js'

export function validationSummary(validation: Validation, directory: string): string {
  const { price } = validation
  const tables = price.map((arm) => armText(arm, price.length > 1))
  return [headline(validation), ...tables, pairsText(validation), `Everything is in ${directory}`].join(
    '\n\n',
  )
}

function headline({ verdict, because, claims, a_a }: Validation): string {
  const lines = [`${verdict}: ${because}`]
  const goodput = claims.find(({ metric, kind }) => metric === 'goodput' && kind === 'gain')
  if (goodput !== undefined && goodput.effect !== null) {
    lines.push(
      `goodput ${change(goodput)} (95 % interval ${interval(goodput)}, p = ${goodput.p}), marked against unmarked`,
    )
  }
  if (a_a) lines.push('A/A: both arms carry the same marks, so any difference is noise.')
  return lines.join('\n')
}

function armText({ arm, marking, claims }: ArmResult, named: boolean): string {
  const title = named ? `${arm}: bulk ${marking.bulk}, final ${marking.final}\n` : ''
  return `${title}${columns(heads, claims.map(row))}`
}

const heads = [
  { title: 'claim', align: 'left' },
  { title: 'unmarked', align: 'right' },
  { title: 'marked', align: 'right' },
  { title: 'unit', align: 'left' },
  { title: 'change', align: 'right' },
  { title: '95 % interval', align: 'right' },
  { title: 'p', align: 'right' },
  { title: 'verdict', align: 'left' },
  { title: '', align: 'left' },
] as const

function row(claim: ClaimResult): string[] {
  const level = claim.kind === 'level'
  return [
    `${claim.stream === undefined ? '' : `${claim.stream} `}${claim.metric}${claim.decides ? ' *' : ''}`,
    level ? '-' : figure(claim.unmarked),
    figure(claim.marked),
    claim.value_unit,
    level ? '-' : claim.effect === null ? 'unknown' : change(claim),
    interval(claim),
    String(claim.p),
    claim.verdict,
    claim.because,
  ]
}

function change({ effect, effect_is, unit }: ClaimResult): string {
  if (effect === null) return 'unknown'
  const sign = effect_is === 'at least' ? '>= ' : effect_is === 'at most' ? '<= ' : ''
  return `${sign}${effect > 0 ? '+' : ''}${figure(effect)}${unit === '%' ? ' %' : ` ${unit}`}`
}

function interval({ ci95: [lo, hi], unit }: ClaimResult): string {
  if (lo === null && hi === null) return 'open'
  return `${lo === null ? 'open' : figure(lo)} to ${hi === null ? 'open' : figure(hi)} ${unit}`
}

function pairsText(validation: Validation): string {
  const { pairs, censored_runs, invalid_runs, run_limit_ms, ended, duration_s } = validation
  const words: Readonly<Record<Validation['ended'], string>> = {
    clear: 'stopped because the answer is clear',
    pairs: 'as many as asked for',
    'max-pairs': 'stopped at --max-pairs',
    'max-time': 'stopped at --max-time',
    invalid: 'stopped because this box could not sustain the runs',
    cancelled: 'stopped by the user',
  }
  return [
    `pairs     ${pairs}, ${words[ended]}, in ${duration_s} s`,
    `runs      ${censored_runs} cut off at ${run_limit_ms / 1000} s, ${invalid_runs} invalid and replaced`,
    '*         decides the verdict; the others pay by the rows of cross-traffic',
  ].join('\n')
}

function figure(value: number | null): string {
  if (value === null) return '-'
  const size = Math.abs(value)
  return size >= 100 ? value.toFixed(0) : size >= 1 ? value.toFixed(1) : value.toFixed(3)
}
