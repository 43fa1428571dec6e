/** One measured run as commands make it: a run directory, a progress line, interrupts. */

import { join } from 'node:path'
import type { RunHooks } from '../experiment/jobs.js'
import type { RunResult } from '../experiment/result.js'
import { RunDirectory } from '../experiment/run-directory.js'
import { runScenario } from '../experiment/runner.js'
import type { ReadScenario } from '../experiment/scenario.js'
import { exitCode } from '../support/errors.js'
import type { Interrupts } from './interrupts.js'
import { runProgress } from './run-progress.js'
import { servedRun } from './served.js'
import { timeStamp } from './time-stamp.js'

export interface MeasuredRun {
  readonly read: ReadScenario
  /** Default: ./pagewire-runs/TIME-NAME. */
  readonly out: string | undefined
  readonly hooks: RunHooks
  readonly showProgress: boolean
  readonly signals: Interrupts
  /** Port of a live view, 0 for any; absent: none. */
  readonly serve?: number | undefined
}

/** Runs and returns the result, which is in the run directory too. */
export async function measuredRun({
  read,
  out,
  hooks,
  showProgress,
  signals,
  serve,
}: MeasuredRun): Promise<RunResult> {
  const { scenario, text } = read
  const directory = await RunDirectory.make(out ?? defaultDirectory(scenario.name))
  const progress = runProgress(scenario, showProgress, process.stderr)
  const live = serve === undefined ? undefined : await servedRun(scenario, serve)
  // Drawing needs what no other part of a run does: it is loaded while the run waits for its last frames.
  let drawing: Promise<typeof import('../report/run-report.js')> | undefined
  try {
    return await runScenario({
      scenario,
      text,
      directory,
      hooks,
      onPhase: (phase) => {
        if (phase === 'draining') drawing ??= import('../report/run-report.js')
        progress.phase(phase)
        live?.state.phase(phase)
      },
      onProgress: (now) => {
        progress.progress(now)
        live?.state.progress(now)
      },
      onJournal: (entry) => {
        progress.journal(entry)
        live?.state.journal(entry)
      },
      ...(live === undefined ? {} : { onInterval: (interval) => live.state.interval(interval) }),
      report: async (run) => (await (drawing ?? import('../report/run-report.js'))).runReport(run),
      cancel: signals.first,
      abandon: signals.second,
    })
  } finally {
    progress.done()
    await live?.close()
  }
}

/** Failed 1, interrupted 130 or 143, invalid 5; an aborted migration is a result, and exits with 0. */
export function exitOf(result: RunResult, interrupted: number | undefined): number {
  if (result.outcome === 'cancelled') return interrupted ?? exitCode.sigint
  if (result.outcome === 'failed') return exitCode.failure
  return result.fidelity.valid ? exitCode.ok : exitCode.inconclusive
}

function defaultDirectory(name: string): string {
  return join('pagewire-runs', `${timeStamp(new Date())}-${name}`)
}
