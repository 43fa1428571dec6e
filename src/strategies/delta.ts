/**
 * Delta compression (Svärd et al., VEE 2011, XBRLE; QEMU's XBZRLE): a page that was sent before goes as its
 * difference to what the destination has, from a cache of sent pages. The loop is QEMU's.
 */

import type { EncodingSpec } from '../memory/encoding.js'
import type { SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { choice, memorySize, type OptionValues, optionHelp, readOptions } from './options.js'
import { loopOptions, oneLane, preCopy } from './qemu.js'
import { brakeOptions, noBrake, qemuBrake } from './qemu-brakes.js'

const options = {
  format: choice(
    ['xbzrle', 'xbrle'],
    'xbzrle',
    'runs of equal and new bytes (QEMU), or RLE of the exclusive-or',
  ),
  cache: memorySize('64MiB', 'sent pages that the source remembers; 0B: none'),
  ...loopOptions,
  ...brakeOptions,
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'xbzrle',
  number: 7,
  title: 'Delta compression (XBRLE, XBZRLE)',
  idea: 'A page that is sent again goes as its difference to the version that was sent before.',
  source: 'Svärd et al., VEE 2011; QEMU migration/xbzrle.c, page_cache.c',
  origin: 'published',
  ours: 'The byte format of XBRLE; a page that did not change costs a message without payload, where QEMU sends none.',
  options: optionHelp(options),
}

export const delta: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    return {
      info,
      decide: (view) =>
        preCopy(chosen, view, {
          brake: chosen.brake === 'none' ? noBrake : qemuBrake(chosen),
          lanes: (pages, from) => oneLane(chosen.via, pages, from),
          encoding: (now) => encodingAt(chosen, now),
        }),
    }
  },
}

/** The cache is not used in the first sweep, and only read in the last stage. */
function encodingAt(chosen: Options, { round, phase }: View): EncodingSpec {
  const cache = phase === 'suspended' ? 'frozen' : round === 0 ? 'idle' : 'update'
  return { kind: 'delta', format: chosen.format, cacheBytes: chosen.cache, cache, age: round }
}
