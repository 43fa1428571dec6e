/** The documents say what the program does: the scenario they show is the default, their table of rooms is enforced. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { linkPageRate } from '../src/experiment/scenario.js'
import { defaultScenarioText } from '../src/experiment/scenario-default.js'
import { exitCode } from '../src/support/errors.js'

const readme = readFileSync('README.md', 'utf8')
const architecture = readFileSync('ARCHITECTURE.md', 'utf8')

test('the scenario in the README is the default one', () => {
  const [, shown] = /<!-- scenario: [^\n]*\n```yaml\n([\s\S]*?)```\n<!-- \/scenario -->/.exec(readme) ?? []
  assert.equal(shown, defaultScenarioText)
})

test('the figure that explains the dirty ratio is right', () => {
  const pages = Math.round(linkPageRate({ rateBps: 200e6, mtuBytes: 1500 }, 4096))
  assert.ok(readme.includes(`200 Mbit/s carry ${pages} pages per\nsecond`), String(pages))
})

test('every exit code is explained', () => {
  for (const code of Object.values(exitCode))
    assert.match(readme, new RegExp(`^\\| .*\\b${code}\\b.* \\|`, 'm'))
})

test('every room is explained', () => {
  const rows = [...architecture.matchAll(/^\| `([a-z]+)\/`\s+\|/gm)].map((match) => match[1] ?? '')
  for (const room of readdirSync('src'))
    assert.ok(rows.includes(room), `ARCHITECTURE.md has no row for src/${room}`)
})

test('links between the documents lead somewhere', () => {
  const files = readdirSync('.')
  for (const text of [readme, architecture, readFileSync('CONTRIBUTING.md', 'utf8')]) {
    for (const [, target] of text.matchAll(/\]\(([A-Z]+(?:\.md)?)\)/g))
      assert.ok(files.includes(target ?? ''), target)
  }
})
