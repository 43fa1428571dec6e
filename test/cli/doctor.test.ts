/** `doctor` says what is missing and what that stops, and its exit code says whether a run can work. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { programFile } from '../../src/experiment/agent-process.js'
import { isRoot } from '../../src/topology/requirements.js'
import { temporaryDirectory } from '../support/temporary.js'

interface Document {
  readonly ok: boolean
  readonly dataplane: string
  readonly checks: readonly {
    readonly name: string
    readonly kind: string
    readonly present: boolean
    readonly needed_by: readonly string[]
    readonly how: string
  }[]
}

function doctor(environment: NodeJS.ProcessEnv = process.env, as: { uid?: number; gid?: number } = {}) {
  const child = spawnSync(process.execPath, [programFile, 'doctor', '--json'], {
    encoding: 'utf8',
    env: environment,
    ...as,
  })
  return { status: child.status, document: JSON.parse(child.stdout) as Document }
}

test('every check says what needs it and how to get it', () => {
  const { status, document } = doctor()
  assert.equal(status, document.ok ? 0 : 3)
  assert.ok(['vlan', 'tc-bpf'].includes(document.dataplane))
  for (const kind of ['privilege', 'tool', 'kernel', 'native-module']) {
    assert.ok(document.checks.some((check) => check.kind === kind))
  }
  for (const check of document.checks) {
    assert.equal(typeof check.present, 'boolean')
    assert.ok(check.needed_by.length > 0 && check.how.length > 0, check.name)
  }
})

test('without root a run cannot work, and doctor says so', {
  skip: isRoot() ? false : 'needs root to give it up',
}, () => {
  const { status, document } = doctor(process.env, { uid: 65534, gid: 65534 })
  assert.equal(status, 3)
  assert.equal(document.ok, false)
  assert.equal(document.checks.find((check) => check.name === 'root')?.present, false)
})

test('a missing tool is named with its package, and doctor exits 3', (context) => {
  // sbin is looked at whatever PATH says, so the tool to hide is one of /usr/bin.
  const bin = temporaryDirectory(context)
  for (const name of ['sh', 'unshare']) symlinkSync(join('/usr/bin', name), join(bin, name))
  const { status, document } = doctor({ ...process.env, PATH: bin })
  const check = document.checks.find((entry) => entry.name === 'tcpdump')
  assert.equal(check?.present, false)
  assert.match(check?.how ?? '', /apt-get install tcpdump/)
  assert.ok(check?.needed_by.includes('run'))
  assert.equal(status, 3)
})
