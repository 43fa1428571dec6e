/** One predicted cell in a worker thread: a scenario's text in, the result document out. */

import { predict } from '../experiment/predict.js'
import type { RunResult } from '../experiment/result.js'
import { readScenario } from '../experiment/scenario.js'
import { silentJournal } from '../migration/journal.js'
import { strategyNamed } from '../strategies/index.js'
import { besidePlan } from './input.js'

export interface PredictTask {
  readonly text: string
  readonly name: string
  readonly overrides: readonly string[]
}

export async function predictCell({ text, name, overrides }: PredictTask): Promise<RunResult> {
  const { scenario } = readScenario(text, name, overrides, besidePlan)
  const strategy = strategyNamed(scenario.migration.strategy).create(scenario.migration.options)
  return predict(scenario, strategy, silentJournal)
}
