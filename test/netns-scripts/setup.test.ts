/**
 * What set-up promises: it installs exactly what is missing, is silent when nothing is, and names the step that
 * failed. Runs the real script in a directory of its own, where apt-get, npm, node, id and the compilers are fakes
 * that write down how they were called.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { debianPackages } from '../../src/topology/requirements.js'
import { temporaryDirectory } from '../support/temporary.js'

interface Box {
  readonly root: string
  /** Puts a command on the PATH of this box. Its calls are written down. */
  command(name: string, body?: string): void
  setup(...purpose: readonly string[]): { readonly status: number | null; readonly stderr: string }
  /** How the fakes were called since the last time, without the paths of this test. */
  calls(): readonly string[]
}

/** A clone with nothing installed on a box whose fakes all work, root by default. */
function box(context: TestContext): Box {
  const root = temporaryDirectory(context)
  const log = join(root, 'calls')
  const clone = join(root, 'clone')
  for (const directory of ['netns-scripts/bpf', 'src/marking', 'src/cli', 'test'])
    mkdirSync(join(clone, directory), { recursive: true })
  mkdirSync(join(root, 'bin'))
  for (const name of ['setup.sh', 'common.sh'])
    copyFileSync(`netns-scripts/${name}`, join(clone, 'netns-scripts', name))
  for (const name of ['package.json', 'package-lock.json', 'tsconfig.json'])
    writeFileSync(join(clone, name), '{}')
  writeFileSync(join(clone, 'src/cli/main.ts'), '')
  writeFileSync(
    join(clone, 'netns-scripts/packages.txt'),
    '# comment\ndemo pw-first pkg-first\ndemo pw-second pkg-second\nbench pw-third pkg-third\n',
  )
  const executable = (path: string, body: string): void => {
    writeFileSync(path, `#!/bin/sh\necho "\${0##*/} $*" | head -n 1 >>${log}\n${body}\n`)
    chmodSync(path, 0o755)
  }
  const command = (name: string, body = 'exit 0'): void => executable(join(root, 'bin', name), body)
  command('id', 'echo 0')
  command('node', 'case $1 in -p) echo "115 x64" ;; esac')
  command(
    'apt-get',
    `case "$*" in *install*pkg-first*) printf '#!/bin/sh\\n' >${root}/bin/pw-first; chmod +x ${root}/bin/pw-first ;; esac
case "$*" in *install*pkg-second*) printf '#!/bin/sh\\n' >${root}/bin/pw-second; chmod +x ${root}/bin/pw-second ;; esac`,
  )
  const compiler = join(root, 'tsc')
  executable(compiler, 'mkdir -p build/src/cli build/test; : >build/src/cli/main.js; : >build/src/gone.js')
  command('npm', `mkdir -p node_modules/.bin; cp ${compiler} node_modules/.bin/tsc`)
  executable(join(clone, 'netns-scripts/bundle.sh'), ': >build/src/cli/pagewire.js')
  executable(join(clone, 'netns-scripts/compile-bpf.sh'), 'mkdir -p "$(dirname "$1")"; : >"$1"')
  return {
    root: clone,
    command,
    setup: (...purpose) => {
      const script = join(clone, 'netns-scripts/setup.sh')
      const env = { PATH: `${join(root, 'bin')}:/usr/bin:/bin`, HOME: root }
      const { status, stderr } = spawnSync('sh', [script, ...purpose], {
        encoding: 'utf8',
        env,
        timeout: 30_000,
      })
      return { status, stderr }
    },
    calls: () => {
      const lines = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []
      rmSync(log, { force: true })
      return lines.filter((line) => !/^(id|node) /.test(line))
    },
  }
}

test('a fresh clone gets packages, modules, program and dataplane, once', (context) => {
  const { setup, calls } = box(context)
  const first = setup()
  assert.equal(first.status, 0, first.stderr)
  assert.deepEqual(calls(), [
    'apt-get -q -y -o DPkg::Lock::Timeout=300 update',
    'apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends pkg-first pkg-second',
    'npm ci --loglevel=warn --no-fund --no-audit',
    'tsc -p tsconfig.json',
    'bundle.sh ',
    'compile-bpf.sh build/bpf/lab.o',
  ])
  const second = setup()
  assert.deepEqual(second, { status: 0, stderr: '' })
  assert.deepEqual(calls(), [])
})

test('only what changed is done again', (context) => {
  const { root, command, setup, calls } = box(context)
  command('pw-first')
  command('pw-second')
  assert.equal(setup().status, 0)
  calls()
  const later = (path: string, text: string): void => {
    writeFileSync(join(root, path), text)
    spawnSync('touch', ['-d', '+1 minute', join(root, path)])
  }
  later('src/cli/main.ts', 'changed')
  setup()
  assert.deepEqual(calls(), ['tsc -p tsconfig.json', 'bundle.sh '])
  later('src/other.ts', '')
  setup()
  assert.ok(!existsSync(join(root, 'build/src/gone.js')), 'the output of a deleted source goes too')
  calls()
  later('package-lock.json', '{ "changed": true }')
  setup()
  assert.ok(calls().includes('npm ci --loglevel=warn --no-fund --no-audit'))
  assert.equal(setup('bench').status, 3, 'bench wants a package that no fake brings')
  assert.match(calls().join('\n'), /install --no-install-recommends pkg-third$/)
})

test('without root a missing package is a sentence and status 3, and nothing is half made', (context) => {
  const { root, command, setup, calls } = box(context)
  command('id', 'echo 1000')
  const { status, stderr } = setup('test')
  assert.equal(status, 3)
  assert.equal(
    stderr,
    'pagewire: missing on this box: pkg-first pkg-second - run the same command with sudo, and it installs them\n',
  )
  assert.deepEqual(calls(), [])
  assert.ok(!existsSync(join(root, 'node_modules')))
})

test('without root everything else is still built when no package is missing', (context) => {
  const { command, setup } = box(context)
  for (const name of ['pw-first', 'pw-second']) command(name)
  command('id', 'echo 1000')
  assert.equal(setup('test').status, 0)
})

test('without a network the step that failed is named, with its command and its words', (context) => {
  const { command, setup } = box(context)
  command('apt-get', 'echo "Could not resolve host" >&2; exit 100')
  const packages = setup()
  assert.equal(packages.status, 3)
  assert.match(packages.stderr, /Could not resolve host\n/)
  assert.match(packages.stderr, /apt-get could not install: pkg-first pkg-second - is the network there\?\n$/)
  for (const name of ['pw-first', 'pw-second']) command(name)
  command('npm', 'echo "EAI_AGAIN" >&2; exit 1')
  const modules = setup()
  assert.equal(modules.status, 3)
  assert.match(modules.stderr, /EAI_AGAIN\npagewire set-up: failed with status 1: npm ci/)
})

test('native modules that npm did not build are built again, or named', (context) => {
  const { command, setup, calls } = box(context)
  for (const name of ['pw-first', 'pw-second']) command(name)
  const absent = 'echo "Cannot find module cap" >&2; exit 1'
  command('node', `case "$*" in *require*) ${absent} ;; -p*) echo "115 x64" ;; esac`)
  const { status, stderr } = setup()
  assert.equal(status, 3)
  assert.match(stderr, /Cannot find module cap\npagewire: the native modules were not built/)
  assert.ok(calls().includes('npm rebuild --loglevel=warn --foreground-scripts cap raw-socket'))
})

test('an old Node is refused before anything else', (context) => {
  const { command, setup, calls } = box(context)
  command('node', 'case $1 in --version) echo v18.0.0 ;; *) exit 1 ;; esac')
  const { status, stderr } = setup()
  assert.equal(status, 3)
  assert.equal(stderr, 'pagewire: Node.js v18.0.0 is too old; version 20.19 or newer is needed\n')
  assert.deepEqual(calls(), [])
})

test('set-up looks for every tool that the lab asks for', () => {
  const packages = readFileSync('netns-scripts/packages.txt', 'utf8')
  for (const name of debianPackages) assert.match(packages, new RegExp(`^demo .* ${name}$`, 'm'))
})
