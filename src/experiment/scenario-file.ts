/** A scenario as a directory keeps it: the text, and beside it what the text names. */

import { formatTrace } from '../workload/trace.js'
import type { RunDirectory } from './run-directory.js'
import type { Scenario } from './scenario.js'
import { readScenarioText } from './scenario-text.js'

const traceFile = 'trace.txt'

export async function writeScenario(
  directory: RunDirectory,
  scenario: Scenario,
  text: string,
): Promise<void> {
  const { trace } = scenario.guest.workload
  if (trace === undefined) return directory.write('scenario.yaml', text)
  await directory.write(traceFile, formatTrace(trace, 'the writes that this guest replays'))
  const named = readScenarioText(text, 'scenario.yaml', [`guest.workload.file=${traceFile}`])
  await directory.write('scenario.yaml', named.text)
}
