/** `--serve`: a live view beside a run or a comparison. Its address is told on stderr; it ends with the command. */

import { InvalidArgumentError, Option } from 'commander'
import type { CompareProgress, Job, Plan, Row } from '../experiment/comparison.js'
import type { Scenario } from '../experiment/scenario.js'
import type { LiveComparison, Size } from '../report/live.js'
import type { LiveRunState } from './live-run.js'

/** `--serve[=PORT]`; the value is the port, 0 for any that is free. */
export function serveOption(): Option {
  return new Option('--serve [port]', 'show it live in a browser of this box (port: any that is free)')
    .preset('0')
    .argParser((text: string) => {
      const port = Number(text)
      if (/^\d+$/.test(text) && port <= 65_535) return port
      throw new InvalidArgumentError('It is a port; write --serve=PORT, or --serve behind everything else.')
    })
}

export interface ServedRun {
  readonly state: LiveRunState
  close(): Promise<void>
}

export async function servedRun(scenario: Scenario, port: number): Promise<ServedRun> {
  const { liveView, liveRunHtml, LiveRunState } = await drawing()
  const title = `${scenario.name}: ${scenario.migration.strategy}`
  const view = await liveView({ title, port, draw: (size) => liveRunHtml(state.run, size) })
  const state = new LiveRunState(title, scenario, nowNs, () => view.changed())
  tell(view.address)
  return { state, close: () => view.close() }
}

export interface ServedComparison {
  progress(progress: CompareProgress): void
  /** All rows that there are. */
  rows(rows: readonly Row[]): void
  /** The measured run that goes on now. */
  begin(job: Job, scenario: Scenario): LiveRunState
  close(): Promise<void>
}

export async function servedComparison(plan: Plan, port: number): Promise<ServedComparison> {
  const { liveView, liveComparisonHtml, liveRunHtml, LiveRunState } = await drawing()
  const title = `Comparison: ${plan.name} (${plan.origin})`
  let comparison: LiveComparison = { title, done: 0, total: 0, doing: '', rows: [] }
  let run: LiveRunState | undefined
  const draw = (size: Size): string => {
    const current = run === undefined ? '' : liveRunHtml(run.run, size)
    return liveComparisonHtml(comparison, size) + current
  }
  const view = await liveView({ title, port, draw })
  const set = (change: Partial<LiveComparison>): void => {
    comparison = { ...comparison, ...change }
    view.changed()
  }
  tell(view.address)
  return {
    progress: (progress) =>
      set({ done: progress.done, total: progress.total, doing: progressText(progress) }),
    rows: (rows) => {
      const { total, doing } = comparison
      const done = rows.filter(({ valid }) => valid).length
      set({ rows, done: rows.length, doing: done === total ? 'every run has a valid row' : doing })
    },
    begin: (job, scenario) => {
      run = new LiveRunState(job.cell, scenario, nowNs, () => view.changed())
      return run
    },
    close: () => view.close(),
  }
}

/** Loaded late: drawing needs what no other part of a run does. */
async function drawing() {
  const parts = [import('./serve.js'), import('./live-run.js'), import('../report/live.js')] as const
  const [serve, run, live] = await Promise.all(parts)
  return { ...serve, ...run, ...live }
}

/** The progress line, and what a live view says. */
export function progressText({ done, total, running, leftNs }: CompareProgress): string {
  const left = leftNs === undefined ? '' : `, about ${Math.ceil(leftNs / 6e10)} min left`
  return `${done} of ${total}${left}: ${running}`
}

function nowNs(): number {
  return performance.now() * 1e6
}

function tell(address: string): void {
  process.stderr.write(`Live at ${address}\n`)
}
