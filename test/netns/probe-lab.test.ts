/** `probe` through the lab: what strict priority does under load, and, on dataplane vlan, what a long path adds. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import type { ClassProbe } from '../../src/agent/probe/statistics.js'
import { programFile } from '../../src/experiment/agent-process.js'
import { type Lab, labUp } from '../../src/topology/lab.js'
import { namespaces, needsRoot, testDataplane, testRateBps, testSpec } from './support.js'

const needsNetem = testDataplane === 'vlan' ? needsRoot : 'dataplane tc-bpf has no netem'

/** The one processor of a guest kernel is too slow for round trips under load; run-priority.test.ts is for that. */
const oncePerRun = testDataplane === 'vlan' ? 'runs on tc-bpf, where time can be trusted' : needsRoot

interface Document {
  readonly outcome: string
  readonly phases: readonly {
    readonly phase: string
    readonly classes: readonly ClassProbe[]
    readonly cross_traffic: readonly { readonly achieved_mbps: number }[]
  }[]
}

/** More than the link carries, so that the queue of best effort is always full. */
const scenario = `
name: probe
link: { rate: ${testRateBps / 1e6}mbit, queue: 100 }
cross_traffic:
  - { kind: udp-cbr, rate: ${(testRateBps * 0.7) / 1e6}mbit }
  - { kind: tcp-bulk, flows: 2 }
dataplane: auto
`

function start(command: readonly string[], input: string | undefined): ChildProcess {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
  if (input !== undefined) child.stdin?.end(input)
  return child
}

async function documentOf(child: ChildProcess, status = 0): Promise<Document> {
  let stdout = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  assert.deepEqual(await once(child, 'close'), [status, null])
  return JSON.parse(stdout)
}

function pagewire(...args: string[]): readonly string[] {
  return [process.execPath, programFile, ...args]
}

test('strict priority keeps the load away from the classes above it', { skip: oncePerRun }, async () => {
  const before = namespaces()
  const argv = pagewire('probe', '-', '--json', '--duration', '2s', '--class', 'CS7,best-effort,LE')
  const { phases } = await documentOf(start(argv, scenario))
  assert.deepEqual(
    phases.map(({ phase }) => phase),
    ['idle', 'load'],
  )
  const [idle, load] = phases.map(({ classes }) => new Map(classes.map((row) => [row.class, row])))
  for (const row of idle?.values() ?? []) assert.equal(row.loss_ratio, 0, `idle, ${row.class}`)
  const medianOf = (name: string): number => load?.get(name)?.rtt_ms?.p50 ?? Number.POSITIVE_INFINITY
  assert.equal(load?.get('CS7')?.loss_ratio, 0)
  // Best effort stands in a queue of 100 frames, which CS7 does not see.
  assert(
    medianOf('CS7') < medianOf('best-effort') / 3,
    `${medianOf('CS7')} and ${medianOf('best-effort')} ms`,
  )
  assert((load?.get('LE')?.loss_ratio ?? 0) > 0.5, 'background traffic starves below best effort')
  const carried = (phases[1]?.cross_traffic ?? []).reduce((sum, row) => sum + row.achieved_mbps, 0)
  const ratio = (carried * 1e6) / testRateBps
  assert(ratio > 0.9 && ratio < 1.03, `the load fills the link: ${carried} Mbit/s`)
  assert.deepEqual(namespaces(), before)
})

test('a switch that clears the DSCP is found out, on both ways', { skip: oncePerRun }, async () => {
  const bleached = `link: { rate: ${testRateBps / 1e6}mbit }\npath: { bleach: true }\n`
  const argv = pagewire('probe', '-', '--json', '--duration', '500ms', '--class', 'CS7,best-effort')
  const { phases } = await documentOf(start(argv, bleached))
  const [cs7, bestEffort] = phases[0]?.classes ?? []
  assert(cs7 && bestEffort && cs7.received > 0)
  assert.deepEqual([cs7.remarked_there, cs7.remarked_back], [cs7.received, cs7.received])
  assert.deepEqual([bestEffort.remarked_there, bestEffort.remarked_back], [0, 0])
})

test('an interrupt takes the lab away', { skip: oncePerRun }, async () => {
  const before = namespaces()
  const child = start(pagewire('probe', '-', '--json', '--duration', '60s'), scenario)
  const document = documentOf(child, 130)
  for (let i = 0; i < 1000 && namespaces().length < before.length + 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  // Wherever the building is now, or in the probing that follows it.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  child.kill('SIGINT')
  const { outcome, phases } = await document
  assert.deepEqual([outcome, phases], ['cancelled', []])
  assert.deepEqual(namespaces(), before)
})

test('10 ms of delay each way are 20 ms of round trip', { skip: needsNetem }, async () => {
  const lab = await labUp(testSpec({ link: { impairment: { delayNs: 10e6 } } }))
  try {
    const [row] = await probeBetween(lab)
    assert(row?.rtt_ms && row.one_way_ms)
    assert(row.received > 0)
    // The fastest of them: the others may have waited for a guest kernel's only processor.
    assert(row.rtt_ms.min >= 20 && row.rtt_ms.min < 22, `the fastest round trip took ${row.rtt_ms.min} ms`)
    assert(row.rtt_ms.p50 >= 20)
    assert(row.one_way_ms.there.min >= 10 && row.one_way_ms.back.min >= 10)
  } finally {
    await lab.down()
  }
})

async function probeBetween(lab: Lab): Promise<readonly ClassProbe[]> {
  const address = lab.address('destination', 'migration')
  const reflect = pagewire('agent', 'reflector', '--control', '--address', address)
  const reflector = start([...lab.inside('destination'), ...reflect], undefined)
  try {
    await once(reflector.stdout!, 'data')
    const argv = pagewire('probe', '--json', '--to', address, '--class', 'CS7', '--duration', '1s')
    const { phases } = await documentOf(start([...lab.inside('source'), ...argv], undefined))
    return phases[0]?.classes ?? []
  } finally {
    const gone = once(reflector, 'close')
    reflector.stdin?.end()
    await gone
  }
}
