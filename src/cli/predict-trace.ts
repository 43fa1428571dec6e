/** `pagewire predict --record-trace`: the writes of the modelled guest, as a trace that can be replayed. */

import { writeFileSync } from 'node:fs'
import { guestSpec } from '../experiment/jobs.js'
import type { RunResult } from '../experiment/result.js'
import type { Scenario } from '../experiment/scenario.js'
import { failure, messageOf, usageError } from '../support/errors.js'
import { recordedTrace } from '../workload/guest.js'
import { formatTrace } from '../workload/trace.js'

/** Writes what the guest writes in the time that its migration takes; returns how many writes. */
export function recordTrace(scenario: Scenario, { migration }: RunResult, file: string): number {
  const { kind } = scenario.guest.workload
  if (kind === 'nested') {
    throw usageError(
      'the writes of workload nested depend on the scheme, so that nothing could replay them',
      {
        code: 'bad-trace',
        next: 'Record another kind, for example cycle.',
      },
    )
  }
  const trace = recordedTrace(guestSpec(scenario), (migration?.total_time_ms ?? 0) * 1e6)
  if (trace.pages.length === 0) {
    throw usageError('this guest writes nothing while it is being migrated', {
      code: 'bad-trace',
      next: 'Give guest.workload a kind and a dirty rate.',
    })
  }
  try {
    writeFileSync(file, formatTrace(trace, `${scenario.name}: ${kind}, seed ${scenario.seed}`))
  } catch (error) {
    throw failure(`cannot write ${file}: ${messageOf(error)}`, { code: 'unwritable', cause: error })
  }
  return trace.pages.length
}
