/** Shared links, long paths and hostile switches: what each does to real frames. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { PagewireError } from '../../src/support/errors.js'
import { type HostilePath, labUp } from '../../src/topology/lab.js'
import {
  captured,
  dscpOf,
  echoMs,
  exchangeTcp,
  flood,
  namespaces,
  needsRoot,
  pcpOf,
  servedSideBySide,
  testDataplane,
  testRateBps,
  testSpec,
} from './support.js'

test('weights 2 to 1 share the link 2 to 1', { skip: needsRoot }, async (context) => {
  const lab = await labUp(testSpec({ link: { discipline: 'ets', weights: { [pcpOf('CS7')]: 2 } } }))
  context.after(() => lab.down())
  const [two, one] = await servedSideBySide(lab, ['CS7', 'best-effort'])
  assert.ok(Math.abs(two / one / 2 - 1) < 0.05, `CS7 ${two}, best effort ${one}`)
})

const isVlan = testDataplane === 'vlan'
const needsVlan = needsRoot || (isVlan ? false : 'netem is used on dataplane vlan only')

test('10 ms of delay are 20 ms of round trip', { skip: needsVlan }, async (context) => {
  const lab = await labUp(testSpec({ link: { impairment: { delayNs: 10e6 } } }))
  context.after(() => lab.down())
  const times = await echoMs(lab, { from: 'source', to: 'destination', vlan: 'migration', dscp: 0 }, 20)
  assert.equal(times.length, 20)
  // The fastest of them: the others may have waited for a guest kernel's only processor.
  const fastest = Math.min(...times)
  assert.ok(fastest >= 20 && fastest < 22, `${times.join(' ')} ms`)
})

test('random loss is lost on the way, in each direction once', { skip: needsVlan }, async (context) => {
  const lab = await labUp(testSpec({ link: { impairment: { lossRatio: 0.2 } } }))
  context.after(() => lab.down())
  const wish = { from: 'source', to: 'destination', vlan: 'migration', dscp: 0 } as const
  const { sent } = await flood(lab, { ...wish, rateBps: testRateBps / 2, seconds: 2 })
  const arrived = (await lab.boundary()).find((edge) => edge.host === 'source')?.portReceivedPackets ?? 0
  // 1647 datagrams at 20 Mbit/s: three standard deviations of a fair 20 % are 3 %.
  assert.ok(Math.abs(1 - arrived / sent - 0.2) < 0.04, `${arrived} of ${sent}`)
})

test('a delay is refused where there is no netem, and nothing is made', {
  skip: needsRoot || (isVlan ? 'netem is there' : false),
}, async () => {
  const spec = testSpec({ link: { impairment: { delayNs: 10e6 } } })
  await assert.rejects(labUp(spec), (error) => error instanceof PagewireError && error.exit === 3)
  assert.deepEqual(
    namespaces().filter((name) => name.includes(`-${spec.runId}-`)),
    [],
  )
})

/** A lab with this switch, some marked UDP and one TCP exchange through it, and what arrived at the destination. */
async function through(context: TestContext, path: HostilePath) {
  const lab = await labUp(testSpec({ path }))
  context.after(() => lab.down())
  const way = { from: 'source', to: 'destination', vlan: 'migration', dscp: dscpOf('EF') } as const
  const frames = await captured(context, lab, 'destination', async () => {
    await flood(lab, { ...way, rateBps: 1e6, seconds: 0.3 })
    await exchangeTcp(lab, way)
  })
  // The destination answers each datagram with an ICMP error, which quotes it.
  const exchanged = frames.filter((frame) => !frame.text.includes('ICMP'))
  const arrived = exchanged.filter((frame) => /10\.77\.100\.1\.\d+ > 10\.77\.100\.2/.test(frame.text))
  const left = exchanged.filter((frame) => /10\.77\.100\.2\.7777 > /.test(frame.text))
  assert.ok(arrived.length > 10 && left.length > 3)
  for (const frame of left) assert.deepEqual([frame.pcp, frame.dscp], [pcpOf('EF'), dscpOf('EF')], frame.text)
  const queue = (pcp: number) => async (): Promise<number> =>
    (await lab.counters()).find((entry) => entry.pcp === pcp)?.packets ?? 0
  return { lab, arrived, ownQueue: await queue(pcpOf('EF'))(), bestEffort: await queue(0)(), queue }
}

test('a switch that bleaches clears the DSCP and leaves the PCP', { skip: needsRoot }, async (context) => {
  const { arrived, ownQueue } = await through(context, { bleach: true })
  for (const frame of arrived) assert.deepEqual([frame.dscp, frame.pcp], [0, pcpOf('EF')], frame.text)
  assert.ok(ownQueue >= arrived.length)
  for (const frame of arrived) assert.doesNotMatch(frame.text, /bad cksum|header checksum/)
})

test('a switch that remarks gives every frame its own PCP and queue', {
  skip: needsRoot,
}, async (context) => {
  const { arrived, ownQueue, queue } = await through(context, { remarkPcp: 2 })
  for (const frame of arrived) assert.deepEqual([frame.dscp, frame.pcp], [dscpOf('EF'), 2], frame.text)
  assert.equal(ownQueue, 0)
  assert.ok((await queue(2)()) >= arrived.length)
})

test('a switch that strips sends untagged frames, as best effort, and they still arrive', {
  skip: needsRoot,
}, async (context) => {
  const { arrived, ownQueue, bestEffort } = await through(context, { strip: true })
  for (const frame of arrived) assert.deepEqual([frame.vlan, frame.pcp], [null, null], frame.text)
  assert.equal(ownQueue, 0)
  assert.ok(bestEffort >= arrived.length)
})

test('a switch that polices limits the highest class and no other', { skip: needsRoot }, async (context) => {
  const policeBps = testRateBps / 5
  const lab = await labUp(testSpec({ path: { policeBps } }))
  context.after(() => lab.down())
  const [highest, other] = await servedSideBySide(lab, ['CS7', 'best-effort'])
  const found = `CS7 ${highest}, best effort ${other} bit/s`
  assert.ok(highest < 1.1 * policeBps && highest > 0.7 * policeBps, found)
  assert.ok(other > 2 * highest, found)
})

test('a switch that inverts serves the background first', { skip: needsRoot }, async (context) => {
  const lab = await labUp(testSpec({ path: { invert: true } }))
  context.after(() => lab.down())
  const [highest, background] = await servedSideBySide(lab, ['CS7', 'CS1'])
  // A fair share would be equal; a loaded box may leave the upper queue empty for a moment.
  assert.ok(background > 10 * highest, `CS7 ${highest}, CS1 ${background} bit/s`)
})
