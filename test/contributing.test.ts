/** The scheme of CONTRIBUTING.md's example: one file, one list entry and a test, taken from the document, compiled and run. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { temporaryDirectory } from './support/temporary.js'

const text = readFileSync('CONTRIBUTING.md', 'utf8')

/** The code under `<!-- example: NAME -->`. */
function example(name: string): string {
  const [, code] = new RegExp(`<!-- example: ${name} -->\\n\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(text) ?? []
  assert.ok(code !== undefined, `CONTRIBUTING.md has no example ${name}`)
  return code
}

/** A copy of the program in which somebody has followed the document. */
function followed(t: TestContext): string {
  const directory = temporaryDirectory(t)
  cpSync('src', join(directory, 'src'), { recursive: true })
  cpSync('test/support/model.ts', join(directory, 'test/support/model.ts'))
  for (const file of ['package.json', 'netns-scripts/bundle.sh', 'netns-scripts/common.sh'])
    cpSync(file, join(directory, file))
  symlinkSync(resolve('node_modules'), join(directory, 'node_modules'))
  for (const file of ['src/strategies/fixed-rounds.ts', 'test/strategies/fixed-rounds.test.ts']) {
    mkdirSync(dirname(join(directory, file)), { recursive: true })
    writeFileSync(join(directory, file), example(file))
  }
  const list = join(directory, 'src/strategies/index.ts')
  const before = readFileSync(list, 'utf8')
  const after = before
    .replace(/^import .*$/m, (first) => `${first}\n${example('entry').trimEnd()}`)
    .replace(/(strategies: readonly StrategyFactory\[\] = \[[^\]]*)\]/, '$1  fixedRounds,\n]')
  assert.ok(after.includes('  fixedRounds,\n]') && text.includes('`fixedRounds,` at the end of `strategies`'))
  writeFileSync(list, after)
  const options = { extends: resolve('tsconfig.json'), compilerOptions: { outDir: 'build', rootDir: '.' } }
  const files = ['src/cli/main.ts', 'src/experiment/jstat.d.ts', 'test/strategies/fixed-rounds.test.ts']
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ ...options, include: [], files }))
  return directory
}

test('the worked example compiles, passes its tests, and is a scheme like any other', (t) => {
  const directory = followed(t)
  const node = (args: readonly string[]): string =>
    execFileSync(process.execPath, args, { cwd: directory, encoding: 'utf8', env: withoutTestContext() })
  node([resolve('node_modules/typescript/lib/tsc.js'), '-p', '.'])
  execFileSync('sh', ['netns-scripts/bundle.sh'], { cwd: directory })
  const report = node(['--test', '--test-reporter=tap', 'build/test/strategies/fixed-rounds.test.js'])
  assert.match(report, /# pass 3\n# fail 0/)
  const schemes: { name: string; options: { name: string }[] }[] = JSON.parse(
    node(['build/src/cli/pagewire.js', 'schemes', '--json']),
  )
  const scheme = schemes.find(({ name }) => name === 'fixed-rounds')
  assert.deepEqual(
    scheme?.options.map(({ name }) => name),
    ['rounds', 'via', 'final_via'],
  )
  const set = ['migration.strategy=fixed-rounds', 'migration.options={rounds: 2}', 'guest.memory=4MiB']
  const settings = set.flatMap((one) => ['--set', one])
  const predicted = JSON.parse(node(['build/src/cli/pagewire.js', 'predict', '--json', ...settings]))
  assert.equal(predicted.outcome, 'completed')
  assert.equal(predicted.migration.rounds.length, 3)
})

/** A test runner within a test runner reports to the outer one otherwise. */
function withoutTestContext(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return env
}
