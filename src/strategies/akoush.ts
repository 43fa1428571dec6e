/** Akoush et al. (MASCOTS 2010): a predictor of pre-copy, not a mover. The reckoning is model/forecast.ts. */

import type { SchemeInfo } from '../migration/strategy.js'

export const akoush: SchemeInfo = {
  name: 'akoush',
  number: 18,
  title: 'Predicting the performance of migration (Akoush et al. 2010)',
  idea: 'Reckon a Xen migration from an average dirty rate (AVG) or a recorded dirty log (HIST), within fixed bounds. A predictor, not a mover.',
  source: 'Akoush et al., MASCOTS 2010; stop rules of Xen 4.2.3 and of xg_sr_save.c',
  origin: 'published',
  ours: 'The bounds follow from the stop rules. AVG and HIST are from memory of the paper; how AVG counts skipped pages, and the interval of the record, are ours.',
  predictor: 'predict --method avg or predict --method hist, on a scenario with strategy pre-copy',
  options: [],
}
