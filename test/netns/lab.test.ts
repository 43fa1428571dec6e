/** The lab on real namespaces: what it marks, what its queues do, and that nothing of it stays. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { defaultTable, pcpByDscp, trafficClass, withOverrides } from '../../src/marking/traffic-class.js'
import { PagewireError } from '../../src/support/errors.js'
import { type Lab, type LabSpec, labDown, labStatus, labUp, sweep } from '../../src/topology/lab.js'
import {
  builtTest,
  captured,
  commonLab,
  counted,
  dscpOf,
  ended,
  exchangeTcp,
  flood,
  floodFrameBytes,
  freshRunId,
  namespaces,
  needsRoot,
  pause,
  servedSideBySide,
  testDataplane,
  testRateBps,
  testSpec,
} from './support.js'

async function labFor(context: TestContext, spec: LabSpec): Promise<Lab> {
  const lab = await labUp(spec)
  context.after(() => lab.down())
  return lab
}

test('a lab comes up as asked and leaves nothing behind', { skip: needsRoot }, async () => {
  const lab = await labUp(testSpec())
  assert.equal(lab.applied.dataplane, testDataplane)
  assert.equal(lab.applied.qdiscs.filter((qdisc) => qdisc.kind === 'pfifo').length, 8)
  assert.equal(lab.applied.classes.find((entry) => entry.classid === '1:1')?.rate_bps, testRateBps)
  assert.deepEqual(lab.applied.pcp_by_dscp, [...pcpByDscp(defaultTable)])
  assert.equal(lab.applied.offloads['source']?.['uplink']?.['tcp-segmentation-offload'], false)
  // A processor that sleeps shapes late; a guest kernel has no such interface.
  if (existsSync('/dev/cpu_dma_latency')) {
    assert.equal(lab.applied.wake_latency_us, 0)
    assert.equal(readFileSync('/dev/cpu_dma_latency').readInt32LE(), 0, 'the kernel was told so')
  }
  const status = (await labStatus()).find((entry) => entry.run_id === lab.spec.runId)
  assert.equal(status?.owner, 'running')
  assert.equal(status?.namespaces.length, 5)

  const sleeper = spawn('ip', ['netns', 'exec', lab.namespace('client'), 'sleep', '60'])
  const gone = ended(sleeper)
  await pause(200)
  await lab.down()
  await gone // what still ran in a namespace is ended, or the namespace would live on without a name
  await lab.down()
  assert.deepEqual(
    namespaces().filter((name) => name.includes(`-${lab.spec.runId}-`)),
    [],
  )
  assert.equal(existsSync(lab.directory), false)
  assert.equal(
    (await labStatus()).some((entry) => entry.run_id === lab.spec.runId),
    false,
  )
  assert.equal(await labDown(lab.spec.runId), false)
})

test('a name in use is refused and the lab that has it stays whole', { skip: needsRoot }, async () => {
  const lab = await commonLab()
  await assert.rejects(labUp(testSpec({ runId: lab.spec.runId })), (error: unknown) => {
    assert.ok(error instanceof PagewireError)
    assert.equal(error.exit, 2)
    assert.match(error.message, /is up already/)
    return true
  })
  const wish = { from: 'client', to: 'destination', vlan: 'tenants', dscp: 0 } as const
  let sent = 0
  const queues = await counted(lab, async () => {
    sent = (await flood(lab, { ...wish, rateBps: 1e6, seconds: 0.2 })).sent
  })
  assert.ok(sent > 0)
  assert.equal(queues.get(0)?.packets, sent)
})

test('what a killed owner left is swept; a second lab that is up is not touched', {
  skip: needsRoot,
}, async () => {
  const other = await commonLab()
  const runId = freshRunId()
  const owner = spawn(process.execPath, [builtTest('lab-owner.js'), runId], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve) => owner.stdout.once('data', resolve))
  assert.equal((await labStatus()).find((entry) => entry.run_id === runId)?.namespaces.length, 5)
  const orphan = spawn('ip', ['netns', 'exec', `pw-${runId}-source`, 'sleep', '60'])
  const orphanEnded = ended(orphan)
  owner.kill('SIGKILL')
  await ended(owner)

  const swept = await sweep()
  await orphanEnded
  assert.ok(swept.includes(runId), `swept ${swept.join(' ')}`)
  assert.ok(!swept.includes(other.spec.runId))
  assert.deepEqual(
    namespaces().filter((name) => name.includes(`-${runId}-`)),
    [],
  )
  assert.equal(namespaces().filter((name) => name.includes(`-${other.spec.runId}-`)).length, 5)
})

test('a kept lab survives sweeping', { skip: needsRoot }, async (context) => {
  const lab = await labUp(testSpec(), { keep: true })
  context.after(() => lab.down())
  assert.ok(!(await sweep()).includes(lab.spec.runId))
  assert.equal((await labStatus()).find((entry) => entry.run_id === lab.spec.runId)?.owner, 'kept')
})

test('every frame carries the tag of its class and VLAN in both directions', {
  skip: needsRoot,
}, async (context) => {
  const lab = await commonLab()
  const names = ['best-effort', 'LE', 'AF11', 'CS3', 'EF', 'CS7']
  const frames = await captured(context, lab, 'source', async () => {
    for (const name of names) {
      const dscp = dscpOf(name)
      const size = { rateBps: 1e6, seconds: 0.1, dscp }
      await flood(lab, { from: 'source', to: 'destination', vlan: 'migration', ...size })
      await flood(lab, { from: 'client', to: 'source', vlan: 'tenants', ...size })
      await exchangeTcp(lab, { from: 'source', to: 'destination', vlan: 'migration', dscp })
    }
  })
  for (const name of names) {
    const { dscp, pcp } = trafficClass(defaultTable, name)
    const marked = frames.filter((frame) => frame.dscp === dscp)
    const is = (pattern: RegExp) => marked.filter((frame) => pattern.test(frame.text))
    assert.ok(
      is(/10\.77\.100\.1\.\d+ > 10\.77\.100\.2\.9: UDP/).length > 0,
      `${name}: UDP to the destination`,
    )
    assert.ok(is(/10\.77\.200\.4\.\d+ > 10\.77\.200\.1\.9: UDP/).length > 0, `${name}: UDP from the client`)
    assert.ok(is(/10\.77\.100\.1\.\d+ > 10\.77\.100\.2\.7777: Flags \[S\]/).length > 0, `${name}: SYN`)
    assert.ok(is(/10\.77\.100\.2\.7777 > 10\.77\.100\.1\.\d+: Flags \[S\.\]/).length > 0, `${name}: SYN-ACK`)
    for (const frame of marked) assert.equal(frame.pcp, pcp, `${name}: ${frame.text}`)
  }
  for (const frame of frames) {
    assert.equal(frame.vlan, Number(/10\.77\.(\d+)\./.exec(frame.text)?.[1]), frame.text)
    assert.doesNotMatch(frame.text, /ARP|IPv6|IP6/)
  }
})

test('a changed row of the marking table decides the PCP', { skip: needsRoot }, async (context) => {
  const marking = withOverrides(defaultTable, { CS7: { pcp: 3 } })
  const lab = await labFor(context, testSpec({ marking }))
  const { sent } = await flood(lab, {
    from: 'source',
    to: 'destination',
    vlan: 'migration',
    dscp: dscpOf('CS7'),
    rateBps: 1e6,
    seconds: 0.3,
  })
  const counters = await lab.counters()
  assert.equal(counters.find((queue) => queue.pcp === 3)?.packets, sent)
  assert.equal(counters.find((queue) => queue.pcp === 7)?.packets, 0)
})

test('queues are served in the order of 802.1Q, background below best effort', {
  skip: needsRoot,
}, async () => {
  const lab = await commonLab()
  const pairs = [
    ['CS7', 'CS6'],
    ['CS2', 'best-effort'],
    ['best-effort', 'CS1'],
  ] as const
  for (const [upper, lower] of pairs) {
    const [first, last] = await servedSideBySide(lab, [upper, lower])
    // A fair share would be equal; a loaded box may leave the upper queue empty for a moment.
    assert.ok(last <= first / 10, `${upper} ${first}, ${lower} ${last} bit/s`)
    await pause(200)
  }
})

test('a flood of 150 % loses a third at the switch and nothing at the sender', {
  skip: needsRoot,
}, async (context) => {
  // A short queue: what it still delivers after the flood is no loss either.
  const lab = await labFor(context, testSpec({ link: { queuePackets: 32 } }))
  // While a guest kernel's only processor is away its shaper serves nothing, and cannot make up for it later: the part
  // lost is then a flood's own, and every other statement holds in each flood all the same.
  const floods = testDataplane === 'vlan' ? 4 : 1
  const lost: number[] = []
  let sentBefore = 0
  let before = { packets: 0, dropped: 0, bytes: 0 }
  for (let i = 0; i < floods && !lost.some((loss) => loss >= 0.3 && loss <= 0.37); i++) {
    const { sent, refused } = await flood(lab, {
      from: 'neighbour',
      to: 'destination',
      vlan: 'tenants',
      dscp: 0,
      rateBps: 1.5 * testRateBps,
      seconds: 2,
    })
    await pause(300)
    assert.equal(refused, 0)
    const edge = (await lab.boundary()).find((entry) => entry.host === 'neighbour')
    assert.equal(edge?.hostDroppedPackets, 0)
    assert.equal(edge?.hostSentPackets, edge?.portReceivedPackets)
    assert.ok((edge?.hostSentPackets ?? 0) >= sentBefore + sent)
    sentBefore += sent
    const queue = (await lab.counters()).find((entry) => entry.pcp === 0)
    assert.ok(queue)
    assert.equal(queue.backlogPackets, 0)
    const packets = queue.packets - before.packets
    const bytes = queue.bytes - before.bytes
    lost.push((queue.dropped - before.dropped) / sent)
    assert.ok(queue.packets + queue.dropped >= sentBefore)
    // The few frames that are not of the flood are shorter than it; without the tag all would be by four bytes.
    assert.ok(bytes <= packets * floodFrameBytes)
    assert.ok(bytes > packets * (floodFrameBytes - 4), 'the tag is counted')
    before = queue
  }
  const percent = lost.map((loss) => (loss * 100).toFixed(1))
  assert.ok(
    lost.some((loss) => loss >= 0.3 && loss <= 0.37),
    `lost ${percent.join(', ')} %`,
  )
})

test('the counters of the congested port agree with captures before and behind it', {
  skip: needsRoot,
}, async (context) => {
  const lab = await commonLab()
  const wish = {
    from: 'source',
    to: 'destination',
    vlan: 'migration',
    rateBps: 1.5 * testRateBps,
    seconds: 0.5,
  } as const
  const both = () => captured(context, lab, 'switch-out', () => flood(lab, { ...wish, dscp: dscpOf('EF') }))
  let behind: Awaited<ReturnType<typeof both>> = []
  let before: typeof behind = []
  const queues = await counted(lab, async () => {
    before = await captured(context, lab, 'switch-in', async () => {
      behind = await both()
    })
  })
  const { pcp } = trafficClass(defaultTable, 'EF')
  const queue = queues.get(pcp)
  const ofClass = (frames: typeof behind) => frames.filter((frame) => frame.pcp === pcp).length
  assert.ok((queue?.dropped ?? 0) > 0)
  assert.equal(ofClass(behind), queue?.packets)
  assert.equal(ofClass(before), (queue?.packets ?? 0) + (queue?.dropped ?? 0))
})

test('a switch without QoS treats a mark like any other frame', { skip: needsRoot }, async (context) => {
  const lab = await labFor(context, testSpec({ link: { discipline: 'fifo' } }))
  const size = { to: 'destination', rateBps: testRateBps, seconds: 1.5 } as const
  const frames = await captured(context, lab, 'switch-out', () =>
    Promise.all([
      flood(lab, { from: 'source', vlan: 'migration', dscp: dscpOf('CS7'), ...size }),
      flood(lab, { from: 'neighbour', vlan: 'tenants', dscp: 0, ...size }),
    ]),
  )
  const marked = frames.filter((frame) => frame.pcp === 7).length
  const unmarked = frames.filter((frame) => frame.pcp === 0).length
  assert.ok(Math.abs(marked / (marked + unmarked) - 0.5) < 0.15, `marked ${marked}, unmarked ${unmarked}`)
  const [queue, ...more] = await lab.counters()
  assert.equal(queue?.pcp, 'all')
  assert.deepEqual(more, [])
})

test('an unshaped lab has no queue and keeps its offloads when asked', {
  skip: needsRoot,
}, async (context) => {
  const lab = await labFor(context, testSpec({ offloads: true, link: { rateBps: null } }))
  assert.deepEqual(await lab.counters(), [])
  assert.equal(lab.applied.offloads['source']?.['uplink']?.['tcp-segmentation-offload'], true)
})

test('two labs carry the same addresses without meeting', { skip: needsRoot }, async (context) => {
  const [one, two] = await Promise.all([commonLab(), labFor(context, testSpec())])
  const wish = { from: 'source', to: 'destination', vlan: 'migration', dscp: 0 } as const
  let sent = 0
  const queues = await counted(one, async () => {
    sent = (await flood(one, { ...wish, rateBps: 1e6, seconds: 0.2 })).sent
  })
  assert.ok(sent > 0)
  assert.equal(queues.get(0)?.packets, sent)
  assert.equal((await two.counters()).find((queue) => queue.pcp === 0)?.packets, 0)
})

test('a congestion control that the kernel does not have fails whole, with the command', {
  skip: needsRoot,
}, async () => {
  const spec = testSpec({ congestionControl: 'nosuch' })
  await assert.rejects(labUp(spec), (error: unknown) => {
    assert.ok(error instanceof PagewireError)
    assert.match(`${error.message} ${error.next}`, /congctl nosuch/)
    return true
  })
  assert.deepEqual(
    namespaces().filter((name) => name.includes(`-${spec.runId}-`)),
    [],
  )
  assert.equal(await labDown(spec.runId), false)
})

test('without root there is a sentence, exit 3, and nothing half made', { skip: needsRoot }, () => {
  const before = namespaces()
  const child = spawnSync(process.execPath, [builtTest('lab-owner.js'), freshRunId()], {
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  })
  assert.notEqual(child.status, 0)
  assert.match(child.stderr, /network namespaces need root/)
  assert.deepEqual(namespaces(), before)
})
