/** Every strategy, one line each: the list that scenarios, `schemes` and the conformance tests read. */

import type { SchemeInfo, StrategyFactory } from '../migration/strategy.js'
import { usageError } from '../support/errors.js'
import { akoush } from './akoush.js'
import { amani } from './amani.js'
import { asyncCache } from './async-cache.js'
import { bradford } from './bradford.js'
import { cloudspider } from './cloudspider.js'
import { crTr } from './cr-tr.js'
import { delta } from './delta.js'
import { farzinAlamdari } from './farzin-alamdari.js'
import { hu } from './hu.js'
import { ibrahim } from './ibrahim.js'
import { ma } from './ma.js'
import { mecom } from './mecom.js'
import { multipath } from './multipath.js'
import { postCopy } from './post-copy.js'
import { preCopy } from './pre-copy.js'
import { priorityManager } from './priority-manager.js'
import { qemu } from './qemu.js'
import { safari } from './safari.js'
import { sharedStorage } from './shared-storage.js'
import { stopAndCopy } from './stop-and-copy.js'
import { stord } from './stord.js'
import { zaw } from './zaw.js'

export const strategies: readonly StrategyFactory[] = [
  stopAndCopy,
  preCopy,
  qemu,
  postCopy,
  stord,
  mecom,
  delta,
  asyncCache,
  ma,
  hu,
  safari,
  zaw,
  farzinAlamdari,
  ibrahim,
  crTr,
  amani,
  priorityManager,
  multipath,
  sharedStorage,
  bradford,
  cloudspider,
]

/** Schemes that predict and move nothing: `schemes` tells of them, no scenario can name one. */
export const predictors: readonly SchemeInfo[] = [akoush]

/** Finds a strategy by name. Throws a usage error that lists the known ones. */
export function strategyNamed(name: string): StrategyFactory {
  const found = strategies.find((factory) => factory.info.name === name)
  if (found !== undefined) return found
  throw usageError(`unknown strategy '${name}'`, {
    code: 'unknown-strategy',
    next: `Use one of ${strategies.map((factory) => factory.info.name).join(', ')}.`,
  })
}
