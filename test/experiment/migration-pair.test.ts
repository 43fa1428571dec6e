/** Both agents as processes: what becomes of a migration whose destination is killed. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MigrationPair } from '../../src/experiment/migration-pair.js'
import { parseScenario } from '../../src/experiment/scenario.js'
import { isRoot } from '../../src/topology/requirements.js'
import { temporaryDirectory } from '../support/temporary.js'

const skip = isRoot() ? false : 'needs root to choose the congestion control and the priority of a socket'

const small = `
name: killed
guest: { memory: 8MiB, workload: { kind: hot, dirty_ratio: 0.2, working_set: 10% } }
migration: { marking: { bulk: best-effort, final: best-effort } }
cross_traffic: []
`

/** Process number of this process's child that has the word in its command. */
function child(word: string): number {
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const status = readFileSync(`/proc/${entry}/status`, 'utf8')
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0')
      if (status.includes(`\nPPid:\t${process.pid}\n`) && command.includes(word)) return Number(entry)
    } catch (error) {
      // A process that ended while we looked.
      assert.match(String(error), /ENOENT|ESRCH/)
    }
  }
  throw new Error(`no child process with ${word}`)
}

test('a migration to a destination that was killed fails with the place', { skip }, async (context) => {
  const directory = temporaryDirectory(context)
  const pair = await MigrationPair.start(parseScenario(small, 'killed.yaml'), {
    insideSource: [],
    insideDestination: [],
    destinationAddress: '127.0.0.1',
    storage: { inside: [], address: '127.0.0.1' },
    logFile: (agent) => join(directory, `${agent}.log`),
  })
  try {
    process.kill(child('destination'), 'SIGKILL')
    // One error, with a place; not one that nobody waits for, which would end the program.
    await assert.rejects(pair.migrate(), /cannot connect to 127\.0\.0\.1:\d+: ECONNREFUSED/)
  } finally {
    await pair.end()
  }
})
