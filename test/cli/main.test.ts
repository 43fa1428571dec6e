/** What every command promises: exit codes, where errors go, help that needs nothing, exactly one JSON document. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { commands } from '../../src/cli/commands.js'
import { programFile } from '../../src/experiment/agent-process.js'
import { pagewire } from './cli.js'

test('-V prints the version of the package', async () => {
  const manifest: unknown = JSON.parse(readFileSync('package.json', 'utf8'))
  const { code, stdout } = await pagewire(['-V'])
  assert.equal(code, 0)
  assert.ok(typeof manifest === 'object' && manifest !== null && 'version' in manifest)
  assert.equal(stdout.trim(), manifest.version)
})

test('--help lists every command and loads none of them, nor any native module', async () => {
  const trace = `data:text/javascript,${encodeURIComponent(
    "process.on('exit', () => process.stderr.write(JSON.stringify(process.report.getReport().sharedObjects)))",
  )}`
  const child = spawn(process.execPath, ['--import', trace, programFile, '--help'], { timeout: 30_000 })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString()
  })
  await new Promise((resolve) => child.on('close', resolve))
  for (const { path } of commands) assert.match(stdout, new RegExp(`^  ${path.split(' ')[0]} `, 'm'))
  assert.match(stderr, /^\[/)
  assert.doesNotMatch(stderr, /\.node"/)
})

for (const { path, summary } of commands) {
  test(`${path} --help explains the command with an example`, async () => {
    const { code, stdout, stderr } = await pagewire([...path.split(' '), '--help'])
    assert.equal(code, 0, stderr)
    assert.match(stdout, new RegExp(`^Usage: pagewire ${path}`))
    assert.match(stdout, /Examples:\n {2}[\s\S]*pagewire/)
    assert.match(stdout, /--json/)
    assert.notEqual(summary, '')
    const asked = await pagewire(['help', ...path.split(' ')])
    assert.equal(asked.code, 0)
    if (!path.includes(' ')) assert.equal(asked.stdout, stdout)
  })
}

test('no command at all is a usage error that shows the help on stderr', async () => {
  const { code, stdout, stderr } = await pagewire([])
  assert.equal(code, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^Usage: pagewire/)
})

test('an unknown command and an unknown option name the nearest one', async () => {
  const command = await pagewire(['scenaro'])
  assert.equal(command.code, 2)
  assert.match(command.stderr, /unknown command 'scenaro' \(Did you mean scenario\?\)/)
  const option = await pagewire(['scenario', '--schem'])
  assert.equal(option.code, 2)
  assert.match(
    option.stderr,
    /unknown option '--schem' \(Did you mean --schema\?\)\nSee pagewire scenario --help/,
  )
  assert.equal(option.stdout, '')
})

test('with --json an error is the one document on stdout, and the sentence still stands on stderr', async () => {
  const { code, stdout, stderr } = await pagewire(['scenario', '--json', '--set', 'lnik={}'])
  assert.equal(code, 2)
  const document: unknown = JSON.parse(stdout)
  assert.ok(typeof document === 'object' && document !== null && 'error' in document)
  const error: unknown = document.error
  assert.ok(
    typeof error === 'object' && error !== null && 'code' in error && 'message' in error && 'next' in error,
  )
  assert.equal(error.code, 'unknown-key')
  assert.match(stderr, /did you mean link\?/)
})

test('a usage error with --json is a document too', async () => {
  const { code, stdout } = await pagewire(['--json', 'nonsense'])
  assert.equal(code, 2)
  assert.match(stdout, /^\{\n {2}"error": \{\n {4}"code": "unknownCommand"/)
})

test('a reader that goes away early is not an error', async () => {
  const child = spawn(process.execPath, [programFile, 'scenario', '--schema'], { timeout: 30_000 })
  child.stdout.destroy()
  let stderr = ''
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString()
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  assert.equal(stderr, '')
  assert.equal(code, 0)
})
