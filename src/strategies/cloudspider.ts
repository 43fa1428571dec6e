/**
 * CloudSpider (Bose, Brock, Skeoch & Rao, CCGrid 2011), the migration of it: the destination holds a replica of the disk
 * that was synchronised some time ago. Blocks are compared by hash, and only those that it lacks are sent, while memory
 * goes by pre-copy beside.
 */

import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { choice, integer, optionHelp, readOptions } from './options.js'
import { preCopy } from './pre-copy.js'

const options = {
  threshold_blocks: integer(
    50,
    0,
    2 ** 32,
    'written blocks below which the rest is left to the suspended guest',
  ),
  max_passes: integer(5, 1, 1000, 'passes over written blocks while the guest runs, at most'),
  profile: choice(
    ['xen42', 'xen-new', 'threshold-only'],
    'xen42',
    'rounds and stop rule, as those of pre-copy',
  ),
}

const info: SchemeInfo = {
  name: 'cloudspider',
  number: 16,
  title: 'Replicated disk image, hash first (CloudSpider, Bose 2011)',
  idea: 'Replicas of the disk at other sites are kept up to date, so that a migration sends the blocks which are not there, and memory.',
  source: 'Bose, Brock, Skeoch & Rao, CCGrid 2011 (abstract)',
  origin: 'reconstruction',
  ours: 'The abstract names replication, placement by cost and latency, and de-duplication, and gives no algorithm: hashes first, passes over written blocks, the thresholds, and all of placement and schedule (predict --sites) are ours.',
  options: optionHelp(options),
}

export const cloudspider: StrategyFactory = {
  info,
  create: (given) => {
    const { threshold_blocks: few, max_passes: passes, profile } = readOptions(info.name, options, given)
    const memory = preCopy.create({ profile })
    return {
      info,
      lanes: ['disk'],
      *decide(view): Generator<Intent, void, View> {
        if (view.disk !== undefined) {
          view = yield { do: 'compareDisk', via: 'disk' }
          yield* copyUnsentBlocks(view)
        }
        const decisions = memory.decide(view)
        for (let next = decisions.next(); !next.done; next = decisions.next(view)) {
          if (next.value.do === 'suspend') yield* livePasses(few, passes)
          if (next.value.do === 'handover') yield { do: 'awaitDisk', left: 0 }
          view = yield next.value
          if (next.value.do === 'suspend') yield* copyUnsentBlocks(view)
        }
      },
    }
  },
}

/** What was written during the copy, again and again, until little is left of it. */
function* livePasses(few: number, passes: number): Generator<Intent, void, View> {
  let view = yield { do: 'awaitDisk', left: 0 }
  for (let pass = 0; pass < passes && (view.disk?.unsent.count ?? 0) > few; pass++) {
    yield* copyUnsentBlocks(view)
    view = yield { do: 'awaitDisk', left: 0 }
  }
}

/** Begins to copy the blocks that the destination lacks; whatever comes next is sent beside. */
function* copyUnsentBlocks({ disk }: View): Generator<Intent, void, View> {
  if (disk !== undefined && disk.unsent.count > 0) yield { do: 'copyDisk', blocks: disk.unsent, via: 'disk' }
}
