/**
 * The import table and the banned names of test/tidy.json (ARCHITECTURE.md explains them) really are enforced: a
 * forbidden line in each kind of room is found by the same linter run that checks the sources.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from './support/temporary.js'

/** File, line of code, and what the linter must say about it; nothing where the line is allowed. */
const cases: readonly (readonly [file: string, line: string, complaint?: RegExp])[] = [
  ['support/a.ts', "import { x } from '../marking/x.js'", /support imports no other room/],
  ['memory/a.ts', "import { x } from '../support/x.js'"],
  ['memory/a.ts', "import { x } from '../workload/x.js'", /memory imports support/],
  ['strategies/a.ts', "import { x } from '../migration/strategy.js'"],
  ['strategies/a.ts', "import { x } from '../migration/engine.js'", /strategies imports migration\/strategy/],
  ['strategies/a.ts', "import { x } from './phrases.js'"],
  ['agent/a.ts', "import { x } from '../model/x.js'", /agent imports/],
  ['agent/a.ts', "import { x } from '../strategies/x.js'", /agent imports/],
  ['agent/traffic/a.ts', "import { x } from '../clock.js'"],
  ['agent/traffic/a.ts', "import { x } from '../../replay/x.js'"],
  ['agent/traffic/a.ts', "import { x } from '../../topology/x.js'", /agent\/traffic imports/],
  ['agent/probe/a.ts', "import { x } from '../../replay/x.js'", /a room inside agent imports/],
  ['replay/a.ts', "import { x } from '../agent/x.js'", /replay imports/],
  ['model/a.ts', "import { x } from '../agent/x.js'", /model imports/],
  ['analysis/a.ts', "const x = await import('../topology/x.js')", /analysis imports/],
  ['experiment/a.ts', "import { x } from '../agent/x.js'"],
  ['experiment/a.ts', "import { x } from '../cli/x.js'", /experiment imports every room but/],
  ['report/a.ts', "import { x } from '../experiment/result.js'"],
  ['report/a.ts', "import { x } from '../experiment/runner.js'", /report imports/],
  ['agent/a.ts', "import x from 'koffi'", /agent imports/],
  ['cli/a.ts', "import x from 'cap'", /one file per native package/],
  ['wire/a.ts', "import x from 'node:zlib'", /Node\.js builtin module/],
  ['wire/a.ts', "import x from 'node:fs/promises'", /Node\.js builtin module/],
  ['agent/a.ts', "import x from 'node:net'"],
  ['capture/bytes.ts', "import x from 'node:fs/promises'"],
  ['migration/a.ts', 'const x = Date.now()', /global variable Date/],
  ['migration/a.ts', 'const x = process.pid', /global variable process/],
  ['migration/a.ts', 'const x = setTimeout(() => {}, 1)', /global variable setTimeout/],
  ['agent/a.ts', 'const x = Math.random()', /repeatable from its seed/],
]

test('a forbidden import or name is found, an allowed one is not', (context) => {
  const directory = temporaryDirectory(context)
  for (const name of ['biome.json', '.gitignore', 'test/tidy.json', 'test/tidy.grit']) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    copyFileSync(name, join(directory, name))
  }
  for (const [i, [file, line, complaint]] of cases.entries()) {
    const path = join(directory, 'src', file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `${line}\nexport const y = x\n`)
    const { stdout, status } = spawnSync(
      resolve('node_modules/.bin/biome'),
      ['lint', '--reporter=json', 'src'],
      {
        cwd: directory,
        encoding: 'utf8',
      },
    )
    const what = `case ${i}, src/${file}: ${line}\n${stdout}`
    if (complaint) assert.match(stdout, complaint, what)
    assert.equal(status, complaint ? 1 : 0, what)
    writeFileSync(path, '')
  }
})

test('every room has its row', () => {
  const table = readFileSync('test/tidy.json', 'utf8')
  for (const room of readdirSync('src'))
    assert.ok(table.includes(`"src/${room}/**"`), `no row for src/${room}`)
})

test('each native package has one door', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  )
  for (const name of ['cap', 'koffi', 'pcap-parser', 'raw-socket']) {
    const door = new RegExp(`(from |require\\(|import\\()'${name}'`)
    const doors = sources.filter((file) => door.test(readFileSync(join('src', file), 'utf8')))
    assert.ok(doors.length <= 1, `${name} is loaded in ${doors.join(', ')}`)
  }
})
