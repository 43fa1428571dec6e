/** `analyze RUN`: the figures of a run directory once more, from its captures, compared with its result.json. */

import { join } from 'node:path'
import { type Difference, differencesOf } from '../analysis/differences.js'
import { capturePoints, type RunAnalysis } from '../analysis/run-analysis.js'
import { recomputeRun } from '../bundle/recompute.js'

/** The part `run` of the analysis document. */
export interface RunComparison {
  readonly run_dir: string
  /** True if every figure of result.json came out again to the last bit. */
  readonly reproduced: boolean
  readonly differences: readonly Difference[]
  readonly classes: RunAnalysis['classes']
  readonly marks: RunAnalysis['marks']
  readonly ledger: RunAnalysis['ledger']
  /** The outage on the wire, and what the client itself saw of it; null without a client. */
  readonly outage: (NonNullable<RunAnalysis['outage']> & { readonly client_ms: number | null }) | null
}

/** The captures of a run directory, in the order in which frames pass them. */
export function runCaptures(directory: string): readonly string[] {
  return capturePoints.map((point) => join(directory, 'captures', `${point}.pcap`))
}

/** Usage error if the directory is not that of a run that was analysed. */
export async function compareRun(directory: string): Promise<RunComparison> {
  const { recorded, recomputed, analysis, clientMs } = await recomputeRun(directory)
  const { classes, marks, ledger, outage } = analysis
  const differences = differencesOf(recorded, recomputed)
  return {
    run_dir: directory,
    reproduced: differences.length === 0,
    differences,
    classes,
    marks,
    ledger,
    outage: outage === null ? null : { ...outage, client_ms: clientMs },
  }
}
