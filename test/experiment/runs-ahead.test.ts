/** Who prepares which run when, and what becomes of one that nobody wants. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunResult } from '../../src/experiment/result.js'
import { RunsAhead, type Turn } from '../../src/experiment/runs-ahead.js'
import { fakeRun } from './fake-run.js'

const marked = { name: 'marked', marking: { bulk: 'CS7', final: 'CS7' } }

/** Notes what happens; each run is prepared, waits for its turn, migrates, is quiet, and analysed. */
function inARow(): { row: RunsAhead<string>; log: string[]; failing: Set<string> } {
  const log: string[] = []
  const failing = new Set<string>()
  const carryOut = async (label: string, turn: Turn): Promise<RunResult> => {
    log.push(`${label} prepared`)
    const abandoned = new Promise<never>((_, reject) => {
      turn.abandon.addEventListener('abort', () => reject(new Error('abandoned')))
    })
    await Promise.race([turn.mayBegin, abandoned])
    log.push(`${label} migrates`)
    turn.onQuiet()
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (failing.has(label)) throw new Error(`${label} failed`)
    log.push(`${label} analysed`)
    turn.later(async () => {
      log.push(`${label} taken away`)
    })
    const request = { arm: marked, seed: 1, limitNs: 1e9, label }
    return fakeRun({ goodputMbps: 1, totalMs: 1, downtimeMs: 1, otherMbps: 1 }, request)
  }
  const dropped = async (label: string): Promise<void> => {
    log.push(`${label} dropped`)
  }
  return { row: new RunsAhead<string>({ carryOut, same: (a, b) => a === b, dropped }), log, failing }
}

test('the next run is prepared once the one before is quiet, begins after it, and is not disturbed by what is left', async () => {
  const { row, log } = inARow()
  await row.run('a', 'b')
  await row.run('b')
  await row.close()
  assert.deepEqual(log, [
    'a prepared',
    'a migrates',
    'b prepared',
    'a analysed',
    'b migrates',
    'b analysed',
    'a taken away',
    'b taken away',
  ])
})

test('what was prepared and is not wanted is taken away before another begins, and at the end', async () => {
  const { row, log, failing } = inARow()
  failing.add('a')
  await assert.rejects(row.run('a', 'b'), /a failed/)
  await row.run('a again', 'b')
  await row.close()
  await row.close()
  assert.deepEqual(log, [
    'a prepared',
    'a migrates',
    'b prepared',
    'b dropped',
    'a again prepared',
    'a again migrates',
    'b prepared',
    'a again analysed',
    'b dropped',
    'a again taken away',
  ])
})
