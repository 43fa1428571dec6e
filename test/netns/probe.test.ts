/** `probe` between two namespaces: marks both ways, and loss told on the side where it happens. */

import assert from 'node:assert/strict'
import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import type { ClassProbe } from '../../src/agent/probe/statistics.js'
import { programFile } from '../../src/experiment/agent-process.js'
import { defaultTable, trafficClass } from '../../src/marking/traffic-class.js'
import { capture, inside, makePair, type Pair, startInside, withoutRoot } from './pair.js'

let pair: Pair
let reflector: ChildProcess

if (!withoutRoot) {
  before(async () => {
    pair = makePair()
    const args = ['agent', 'reflector', '--control', '--address', pair.right.address]
    reflector = startInside(pair.right, process.execPath, programFile, ...args)
    reflector.stderr?.pipe(process.stderr)
    await once(reflector.stdout!, 'data')
  })
  after(async () => {
    const gone = once(reflector, 'close')
    reflector.stdin?.end()
    assert.deepEqual(await gone, [0, null])
    pair.remove()
  })
}

interface Document {
  readonly outcome: string
  readonly phases: readonly {
    readonly phase: string
    readonly classes: readonly ClassProbe[]
  }[]
}

/** Not blocking: the capture of this process must go on meanwhile. */
function pagewire(argv: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(argv[0]!, argv.slice(1), { encoding: 'utf8' }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

async function probe(...args: string[]): Promise<Document> {
  const command = ['ip', 'netns', 'exec', pair.left.namespace, process.execPath, programFile]
  const { status, stdout, stderr } = await pagewire([...command, 'probe', '--json', ...args])
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout)
}

test('eight classes at once, each with its mark both ways', { skip: withoutRoot }, async () => {
  const watching = await capture(pair.left)
  const document = await probe('--to', pair.right.address, '--duration', '500ms')
  const packets = await watching.stop((seen) => seen.length >= 16)
  const classes = document.phases[0]?.classes ?? []
  assert.deepEqual(
    classes.map((row) => row.pcp),
    [7, 6, 5, 4, 3, 2, 0, 1],
  )
  for (const row of classes) {
    assert.equal(row.dscp, trafficClass(defaultTable, row.class).dscp)
    assert(row.sent > 10, `${row.class}: ${row.sent} sent`)
    assert.equal(row.received, row.sent)
    assert.deepEqual([row.lost_there, row.lost_back, row.remarked_there, row.remarked_back], [0, 0, 0, 0])
    assert(row.rtt_ms && row.one_way_ms && row.rtt_ms.p50 > 0 && row.rtt_ms.p50 <= row.rtt_ms.p99)
    for (const side of [pair.left, pair.right]) {
      const own = packets.filter((packet) => packet.source === side.address && packet.dscp === row.dscp)
      assert.equal(own.length, row.sent, `${row.class} from ${side.address}`)
    }
  }
})

/**
 * Drops probes of LE whose number is a multiple of four; classic BPF, offsets from the Ethernet header. cls_bpf takes
 * 2 for "drop" and 0 for "pass".
 */
const dropEveryFourthOfLe = '8,48 0 0 15,84 0 0 252,21 0 3 4,48 0 0 57,84 0 0 3,21 1 0 0,6 0 0 0,6 0 0 2'

for (const [name, side] of [
  ['there', 'left'],
  ['back', 'right'],
] as const) {
  test(`a loss on the way ${name} is told as such`, { skip: withoutRoot }, async () => {
    const { device } = pair.left
    inside(pair[side], 'tc', 'qdisc', 'add', 'dev', device, 'clsact')
    try {
      const filter = ['filter', 'add', 'dev', device, 'egress', 'protocol', 'ip', 'bpf', 'da', 'bytecode']
      inside(pair[side], 'tc', ...filter, dropEveryFourthOfLe)
      const document = await probe('--to', pair.right.address, '--duration', '500ms', '--class', 'LE,CS7')
      const [le, cs7] = document.phases[0]?.classes ?? []
      assert(le && cs7)
      const dropped = Math.ceil(le.sent / 4)
      assert.equal(le.sent - le.received, dropped)
      assert.equal(le.loss_ratio, dropped / le.sent)
      // The last answer that came cannot tell of what was lost after it.
      const lost = { there: le.lost_there ?? 0, back: le.lost_back ?? 0 }
      assert(lost[name] >= dropped - 1 && lost[name] <= dropped + 1, JSON.stringify(lost))
      assert(lost[name === 'there' ? 'back' : 'there'] <= 1, JSON.stringify(lost))
      assert.equal(cs7.loss_ratio, 0)
    } finally {
      inside(pair[side], 'tc', 'qdisc', 'delete', 'dev', device, 'clsact')
    }
  })
}

test('a host without a reflector is an error that says what to start', { skip: withoutRoot }, async () => {
  const argv = ['ip', 'netns', 'exec', pair.left.namespace, process.execPath, programFile, 'probe']
  const { status, stderr } = await pagewire([
    ...argv,
    ...['--to', pair.right.address, '--port', '9', '--duration', '50ms'],
  ])
  assert.equal(status, 1)
  assert.match(stderr, /no answer from 10\.77\.0\.2:9\nStart one there: sudo pagewire agent reflector/)
})
