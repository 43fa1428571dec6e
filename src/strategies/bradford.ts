/**
 * Migration with local persistent state (Bradford, Kotsovinos, Feldmann & Schiöberg, VEE 2007): the disk is copied in
 * bulk while the guest runs, each write since then is forwarded in order, and memory goes by pre-copy beside.
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { choice, duration, integer, optionHelp, readOptions } from './options.js'
import { diskSettled } from './phrases.js'
import { preCopy } from './pre-copy.js'

const options = {
  throttle_writes: integer(
    16_384,
    0,
    2 ** 32,
    'T_w: after each so many forwarded writes the delay of a write doubles; 0: never',
  ),
  first_delay: duration('2048us', 'delay of a write after the first T_w of them'),
  profile: choice(
    ['xen42', 'xen-new', 'threshold-only'],
    'xen42',
    'rounds and stop rule, as those of pre-copy',
  ),
}

const info: SchemeInfo = {
  name: 'bradford',
  number: 17,
  title: 'Disk and memory over the WAN, with write throttling (Bradford 2007)',
  idea: 'Copy the disk in bulk while the guest runs and forward every write since then in order; slow down who writes too much.',
  source: 'Bradford, Kotsovinos, Feldmann & Schiöberg, VEE 2007',
  origin: 'published',
  ours: 'The constants are from memory of the paper. A forwarded write is a whole block. Writes are delayed apart from what the guest does in memory. The new network, with tunnel and name service, is client.network: other, for any scheme; the old host is told at the handover, and the tunnel is made beforehand.',
  options: optionHelp(options),
}

export const bradford: StrategyFactory = {
  info,
  create: (given) => {
    const {
      throttle_writes: throttleEvery,
      first_delay: firstDelayNs,
      profile,
    } = readOptions(info.name, options, given)
    const memory = preCopy.create({ profile })
    return {
      info,
      lanes: ['disk', 'deltas'],
      *decide(view): Generator<Intent, void, View> {
        const { disk } = view
        if (disk !== undefined) {
          yield { do: 'forwardWrites', via: 'deltas', throttleEvery, firstDelayNs }
          yield { do: 'copyDisk', blocks: disk.unsent, via: 'disk' }
          // Memory and as much of the disk share the link from here on, so that the disk is there first.
          const beside = Math.ceil((view.totalPages * view.pageBytes) / disk.blockBytes)
          view = yield { do: 'awaitDisk', left: Math.min(beside, disk.totalBlocks) }
        }
        yield* diskSettled(memory.decide(view))
      },
    }
  },
}
