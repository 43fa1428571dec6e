/** `pagewire scenario`: what it prints can be used again. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { parseScenario } from '../../src/experiment/scenario.js'
import { defaultScenarioText } from '../../src/experiment/scenario-default.js'
import { temporaryFile } from '../support/temporary.js'
import { pagewire } from './cli.js'

test('it prints the default scenario as it is, and reads it back', async () => {
  const { code, stdout } = await pagewire(['scenario'])
  assert.equal(code, 0)
  assert.equal(stdout, defaultScenarioText)
  const again = await pagewire(['scenario', '-'], stdout)
  assert.equal(again.stdout, stdout)
})

test('--set changes the text and keeps the comments', async () => {
  const { stdout } = await pagewire([
    'scenario',
    '--set',
    'guest.workload.dirty_ratio=0.25',
    '--set',
    'link.queue=64',
  ])
  assert.match(stdout, /dirty_ratio: 0\.25 # bytes dirtied/)
  const scenario = parseScenario(stdout, 'printed')
  assert.equal(scenario.guest.workload.dirtyRatio, 0.25)
  assert.equal(scenario.link.queuePackets, 64)
})

test('--json fills in every default, and the result is a scenario too', async () => {
  const { stdout } = await pagewire(['scenario', '-', '--json'], 'name: x')
  const { given: _, ...complete } = parseScenario(stdout, 'printed')
  const { given: __, ...short } = parseScenario('name: x', 's.yaml')
  assert.deepEqual(complete, short)
})

test('the published schema is a JSON schema that accepts the default scenario and refuses a typo', async () => {
  const { stdout } = await pagewire(['scenario', '--schema'])
  const validate = new Ajv2020({ strict: false }).compile(JSON.parse(stdout))
  const { stdout: complete } = await pagewire(['scenario', '--json'])
  assert.ok(validate(JSON.parse(complete)), JSON.stringify(validate.errors))
  assert.ok(!validate({ lnik: {} }))
})

test('a file is checked and its name is in the message', async (context) => {
  const file = temporaryFile(context, 'mine.yaml', Buffer.from('seed: 1\nlink: { rate: 1mb }\n'))
  const { code, stderr } = await pagewire(['scenario', file])
  assert.equal(code, 2)
  assert.ok(stderr.startsWith(`pagewire: ${file}:2:15: link.rate: `), stderr)
  const absent = await pagewire(['scenario', join(file, 'absent.yaml')])
  assert.equal(absent.code, 2)
  assert.match(absent.stderr, /cannot read .*absent\.yaml/)
})
