/** `analyze RUN`: the figures of a run directory once more, from its captures, compared with its result.json. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Difference, differencesOf } from '../analysis/differences.js'
import { analyseRun, capturePoints, type RunAnalysis } from '../analysis/run-analysis.js'
import { expectationFile, readExpectation } from '../analysis/run-expectation.js'
import { messageOf, usageError } from '../support/errors.js'

/** The part `run` of the analysis document. */
export interface RunComparison {
  readonly run_dir: string
  /** True if every figure of result.json came out again to the last bit. */
  readonly reproduced: boolean
  readonly differences: readonly Difference[]
  readonly classes: RunAnalysis['classes']
  readonly marks: RunAnalysis['marks']
  readonly ledger: RunAnalysis['ledger']
}

/** The captures of a run directory, in the order in which frames pass them. */
export function runCaptures(directory: string): readonly string[] {
  return capturePoints.map((point) => join(directory, 'captures', `${point}.pcap`))
}

/** Usage error if the directory is not that of a run that was analysed. */
export async function compareRun(directory: string): Promise<RunComparison> {
  const recorded = readResult(directory)
  const file = join(directory, 'captures', expectationFile)
  const expectation = readExpectation(readText(file), file)
  const [source = '', switchIn = '', switchOut = '', destination = ''] = runCaptures(directory)
  const { classes, marks, ledger } = await analyseRun({
    ...expectation,
    captures: { source, 'switch-in': switchIn, 'switch-out': switchOut, destination },
  })
  // Through JSON, as the recorded figures went.
  const recomputed: unknown = JSON.parse(JSON.stringify({ classes, marks, ledger }))
  const differences = differencesOf(recorded, recomputed)
  return { run_dir: directory, reproduced: differences.length === 0, differences, classes, marks, ledger }
}

function readResult(directory: string): { classes: unknown; marks: unknown; ledger: unknown } {
  const file = join(directory, 'result.json')
  let document: unknown
  try {
    document = JSON.parse(readText(file))
  } catch (error) {
    if (error instanceof SyntaxError) throw usageError(`${file}: ${error.message}`, { code: 'bad-run' })
    throw error
  }
  if (typeof document !== 'object' || document === null || !('classes' in document)) {
    throw usageError(`${file} is not the result of a run`, { code: 'bad-run' })
  }
  const { classes, marks, ledger } = { marks: undefined, ledger: undefined, ...document }
  return { classes, marks, ledger }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw usageError(`cannot read ${file}: ${messageOf(error)}`, {
      code: 'bad-run',
      next: 'A run directory has result.json and captures/; give single captures by their file names.',
      cause: error,
    })
  }
}
