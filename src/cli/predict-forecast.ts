/** What `predict --method` prints: the reckoning of Akoush et al., its bounds, and the model beside it. */

import type { ForecastResult } from '../experiment/forecast.js'

export function forecastText(name: string, result: ForecastResult): string {
  const { forecast, model, bounds, inputs, relative_error: error } = result
  const method = result.method.toUpperCase()
  const rows: readonly (readonly string[])[] = [
    ['', method, 'model', 'error'],
    ['total time', `${forecast.total_time_ms} ms`, `${model.total_time_ms} ms`, percent(error.total_time)],
    ['downtime', `${forecast.downtime_ms} ms`, `${model.downtime_ms ?? '-'} ms`, percent(error.downtime)],
    ['pages sent', `${forecast.pages_sent}`, `${model.pages_sent}`, percent(error.pages_sent)],
    ['rounds', `${forecast.rounds.length}`, `${model.rounds.length}`, ''],
  ]
  const lines = rows.map((row) => `  ${row.map((cell) => cell.padEnd(16)).join('')}`.trimEnd())
  const within = (label: string, of: ForecastResult['bounds']['xen42']): string =>
    `  ${label.padEnd(16)}total ${of.total_time_ms_min} to ${of.total_time_ms_max} ms, ` +
    `downtime ${of.downtime_ms_min} to ${of.downtime_ms_max} ms`
  const from =
    result.method === 'avg'
      ? `a constant ${inputs.dirty_pages_per_second} pages/s of ${inputs.working_set_pages} pages`
      : `the dirty log of an earlier run, in intervals of ${inputs.interval_ms} ms`
  return [
    `${name} (predicted: Akoush et al. 2010, ${method})`,
    ...lines,
    'Bounds, whatever the guest writes:',
    within('Xen 4.2.3', bounds.xen42),
    within('xg_sr_save', bounds.xen_new),
    `Reckoned from ${inputs.rate_mbps} Mbit/s of pages and ${inputs.overhead_ms} ms of overhead (an idle migration)`,
    `and ${from} (seed ${inputs.history_seed}).`,
  ].join('\n')
}

function percent(share: number | null): string {
  return share === null ? '-' : `${(100 * share).toFixed(1)} %`
}
