/** Cold migration: suspend, send everything once, resume at the destination. The bound that live schemes are measured against. */

import type { SchemeInfo, StrategyFactory } from '../migration/strategy.js'
import { lane, optionHelp, readOptions } from './options.js'
import { stopAndCopy as stopAndCopyPhase } from './phrases.js'

const options = { via: lane('bulk', 'lane of the pages and the device state') }

const info: SchemeInfo = {
  name: 'stop-and-copy',
  number: 1,
  title: 'Cold stop-and-copy',
  idea: 'Suspend, send everything once, resume at the destination.',
  source: 'non-live path of Xen 4.2.3 (tools/libxc/xc_domain_save.c)',
  origin: 'published',
  options: optionHelp(options),
}

export const stopAndCopy: StrategyFactory = {
  info,
  create: (given) => {
    const { via } = readOptions(info.name, options, given)
    return { info, decide: () => stopAndCopyPhase(via) }
  },
}
