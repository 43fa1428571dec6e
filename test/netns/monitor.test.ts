/** `monitor` on real interfaces: what it counts per class, and that it survives what kills its library. */

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { programFile } from '../../src/experiment/agent-process.js'
import { inside, makePair, type Pair, type Side, startInside, withoutRoot } from './pair.js'

const injector = fileURLToPath(new URL('./fixtures/inject.js', import.meta.url))
let pair: Pair

if (!withoutRoot) {
  before(() => {
    pair = makePair()
  })
  after(() => pair.remove())
}

interface Report {
  readonly classes: readonly {
    readonly pcp: number | null
    readonly dscp: number | null
    readonly class: string | null
    readonly packets: number
  }[]
  readonly seen: number
  readonly on_interface: number
  readonly missed_ratio: number
}

interface Monitor {
  readonly child: ChildProcess
  readonly reports: Report[]
  readonly stderr: () => string
  readonly closed: Promise<readonly unknown[]>
}

function monitor(side: Side, device = side.device, ...more: string[]): Monitor {
  const child = startInside(side, process.execPath, programFile, 'monitor', '--dev', device, ...more)
  const reports: Report[] = []
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  assert(child.stdout)
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (more.includes('--json')) reports.push(JSON.parse(line))
  })
  return { child, reports, stderr: () => stderr, closed: once(child, 'close') }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 20))
  assert(condition(), what)
}

test('frames are told apart by PCP and DSCP, and none is missed', { skip: withoutRoot }, async () => {
  const { child, reports, closed } = monitor(pair.right, pair.right.device, '--json')
  await until(() => reports.length > 0, 'a first report')
  inside(pair.left, process.execPath, injector, pair.left.device, '300')
  await until(() => (reports.at(-1)?.seen ?? 0) >= 900, 'all frames were reported')
  child.kill('SIGINT')
  assert.deepEqual(await closed, [130, null])
  const packets = new Map<string, number>()
  for (const row of reports.flatMap((report) => report.classes)) {
    const key = `${row.pcp} ${row.class}`
    packets.set(key, (packets.get(key) ?? 0) + row.packets)
  }
  assert.equal(packets.get('7 CS7'), 300)
  assert.equal(packets.get('0 AF11'), 300)
  assert.equal(packets.get('null EF'), 300)
  assert.equal(reports.at(-1)?.missed_ratio, 0)
})

for (const [what, end] of Object.entries({
  deleted: ['delete'],
  'taken down': ['set', 'down'],
})) {
  test(`an interface that is ${what} ends it with a sentence`, { skip: withoutRoot }, async () => {
    ipIn(pair.right, 'link', 'add', 'gone0', 'type', 'veth', 'peer', 'gone1')
    for (const device of ['gone0', 'gone1']) ipIn(pair.right, 'link', 'set', device, 'up')
    const { reports, stderr, closed } = monitor(pair.right, 'gone0', '--json')
    await until(() => reports.length > 0, 'a first report')
    ipIn(pair.right, 'link', end[0]!, 'gone0', ...end.slice(1))
    assert.deepEqual(await closed, [1, null])
    assert.match(stderr(), /interface gone0 went down or disappeared/)
    assert.doesNotMatch(stderr(), /ssertion/)
    const links = execFileSync('ip', ['-n', pair.right.namespace, 'link'], { encoding: 'utf8' })
    if (links.includes('gone0')) ipIn(pair.right, 'link', 'delete', 'gone0')
    assert.equal(execFileSync('ip', ['netns', 'pids', pair.right.namespace], { encoding: 'utf8' }), '')
  })
}

test('an interface that does not exist is a usage error', { skip: withoutRoot }, async () => {
  const { stderr, closed } = monitor(pair.right, 'nonesuch0')
  assert.deepEqual(await closed, [2, null])
  assert.match(stderr(), /there is no interface 'nonesuch0'/)
})

test('a monitor that is killed leaves no capture behind', { skip: withoutRoot }, async () => {
  const { child, reports, closed } = monitor(pair.right, pair.right.device, '--json')
  await until(() => reports.length > 0, 'a first report')
  child.kill('SIGKILL')
  await closed
  const pids = (): string => execFileSync('ip', ['netns', 'pids', pair.right.namespace], { encoding: 'utf8' })
  await until(() => pids() === '', 'the capture process ended')
})

function ipIn(side: Side, ...args: string[]): void {
  execFileSync('ip', ['-n', side.namespace, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
}
