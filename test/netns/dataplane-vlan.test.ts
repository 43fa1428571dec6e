/**
 * The same tests once more on dataplane vlan: on this kernel where it has VLAN devices, else in a guest kernel
 * (test/uml/run.sh). By hand: PAGEWIRE_TEST_DATAPLANE=vlan test/uml/run.sh node --test build/test/netns/lab.test.js
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkRequirements, missingFor } from '../../src/topology/requirements.js'
import { builtTest, ended, needsRoot, testDataplane } from './support.js'

/** Test files that mean the same on both dataplanes. */
const files = [
  'lab.test.js',
  'lab-marks.test.js',
  'lab-paths.test.js',
  'marked-socket.test.js',
  'probe-lab.test.js',
  'run-priority.test.js',
]

/** Some 150 s on a quiet box. */
const limitSeconds = 580

const isInside = testDataplane === 'vlan' ? 'this is the run on dataplane vlan' : false

const isNative =
  isInside === false &&
  needsRoot === false &&
  missingFor(await checkRequirements(), 'vlan', 'lab').length === 0

// One guest kernel for all of them, one file after the other: each would boot as long as it tests, and two guests side
// by side disturb each other's rates on a box with two processors.
test('the tests of both dataplanes, on dataplane vlan', {
  skip: isInside,
  timeout: limitSeconds * 1000,
}, async (context) => {
  const argv = [
    process.execPath,
    '--test',
    '--test-concurrency=1',
    '--test-reporter=tap',
    ...files.map(builtTest),
  ]
  const report = await runTests(isNative ? argv : [guest, '-t', `${limitSeconds - 20}`, ...argv])
  const count = (name: string): number => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(report)?.[1])
  const place = isNative ? 'on this kernel' : 'in user-mode Linux'
  context.diagnostic(
    `dataplane vlan, ${place}: ${count('pass')} passed, ${count('fail')} failed, ${count('skipped')} skipped`,
  )
  for (const [, line, took] of report.matchAll(
    /^((?:not )?ok \d+ - .*)\n {2}---\n {2}duration_ms: (\d+)/gm,
  )) {
    context.diagnostic(`dataplane vlan: ${line} (${took} ms)`)
  }
  assert.ok(count('pass') > files.length, report)
  assert.equal(count('fail') + count('cancelled'), 0, failures(report))
})

const guest = join(builtTest('../../../test/uml'), 'run.sh')

async function runTests(argv: readonly string[]): Promise<string> {
  const [command = '', ...rest] = argv
  // Without NODE_TEST_CONTEXT, or the inner runner would speak the outer one's binary protocol.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env
  const child = spawn(command, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, PAGEWIRE_TEST_DATAPLANE: 'vlan' },
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
  }
  await ended(child)
  return text
}

/** The failed tests of a TAP report, each with its reason. */
function failures(report: string): string {
  const parts = report.split(/^# Subtest: /m).filter((part) => /^not ok /m.test(part))
  return parts.length === 0 ? report : parts.join('\n')
}
