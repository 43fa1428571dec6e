/** The mark of a socket, seen on the wire: from the SYN to the last FIN, in both directions. */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultTable, trafficClass } from '../../src/marking/traffic-class.js'
import {
  type Capture,
  capture,
  makePair,
  type Pair,
  type SeenPacket,
  startInside,
  withoutRoot,
} from './pair.js'

const fixture = fileURLToPath(new URL('./fixtures/marked-peer.js', import.meta.url))
let pair: Pair

if (!withoutRoot) {
  before(() => {
    pair = makePair()
  })
  after(() => pair.remove())
}

interface Said {
  readonly port?: number
  readonly mark?: { readonly dscp: number; readonly priority: number }
  readonly received?: number
  readonly error?: string
}

/** Lets both sides talk, each with its own DSCP (or `plain`), and returns what was said and seen. */
async function conversation(
  listener: { dscp: number | 'plain'; priority: number },
  connector: { dscp: number | 'plain'; priority: number },
): Promise<{ said: Said[]; packets: SeenPacket[] }> {
  const watching: Capture = await capture(pair.left)
  const said: Said[] = []
  const host = pair.right.address
  const run = (side: 'left' | 'right', ...args: (string | number)[]): ChildProcess =>
    startInside(pair[side], process.execPath, fixture, ...args.map(String))
  const server = run('right', 'listen', host, 0, listener.dscp, listener.priority)
  const port = await new Promise<number>((resolve, reject) => {
    listen(server, (line) => {
      said.push(line)
      if (line.port !== undefined) resolve(line.port)
    })
    server.once('exit', () => reject(new Error('the listening side ended early')))
  })
  const client = run('left', 'connect', host, port, connector.dscp, connector.priority)
  listen(client, (line) => said.push(line))
  await Promise.all([once(server, 'close'), once(client, 'close')])
  return { said, packets: await watching.stop((seen) => seen.filter(isFin).length >= 2) }
}

function listen(child: ChildProcess, hear: (line: Said) => void): void {
  assert(child.stdout)
  child.stderr?.pipe(process.stderr)
  createInterface({ input: child.stdout }).on('line', (line) => hear(JSON.parse(line)))
}

const tcpAt = (packet: SeenPacket): number => (packet.bytes.readUInt8(0) & 15) * 4
const flags = (packet: SeenPacket): number => packet.bytes.readUInt8(tcpAt(packet) + 13)
const isSyn = (packet: SeenPacket): boolean => (flags(packet) & 0x02) !== 0
const isFin = (packet: SeenPacket): boolean => (flags(packet) & 0x01) !== 0
const isData = (packet: SeenPacket): boolean =>
  packet.bytes.readUInt16BE(2) > tcpAt(packet) + (packet.bytes.readUInt8(tcpAt(packet) + 12) >> 4) * 4
const isPureAck = (packet: SeenPacket): boolean => !isSyn(packet) && !isFin(packet) && !isData(packet)

function assertKinds(packets: readonly SeenPacket[], source: string): readonly SeenPacket[] {
  const own = packets.filter((packet) => packet.source === source)
  for (const [kind, is] of Object.entries({ isSyn, isData, isPureAck, isFin })) {
    assert(own.some(is), `${kind} from ${source} was captured`)
  }
  return own
}

for (const name of ['CS7', 'EF', 'LE']) {
  test(`every packet of a marked connection carries ${name}, both ways`, { skip: withoutRoot }, async () => {
    const { dscp, pcp } = trafficClass(defaultTable, name)
    const { said, packets } = await conversation({ dscp, priority: pcp }, { dscp, priority: pcp })
    for (const side of [pair.left, pair.right]) {
      for (const packet of assertKinds(packets, side.address)) assert.equal(packet.dscp, dscp)
    }
    const marks = said.flatMap((line) => line.mark ?? [])
    assert.deepEqual(marks, [
      { dscp, priority: pcp },
      { dscp, priority: pcp },
    ])
    assert.deepEqual(
      said.flatMap((line) => line.received ?? []),
      [20_000, 20_000],
    )
  })
}

test('each side keeps its own mark', { skip: withoutRoot }, async () => {
  const { packets } = await conversation({ dscp: 46, priority: 5 }, { dscp: 8, priority: 1 })
  for (const packet of assertKinds(packets, pair.left.address)) assert.equal(packet.dscp, 8)
  for (const packet of assertKinds(packets, pair.right.address)) assert.equal(packet.dscp, 46)
})

test("node's own sockets are seen unmarked by the same capture", { skip: withoutRoot }, async () => {
  const { packets } = await conversation({ dscp: 'plain', priority: 0 }, { dscp: 'plain', priority: 0 })
  for (const side of [pair.left, pair.right]) {
    for (const packet of assertKinds(packets, side.address)) assert.equal(packet.dscp, 0)
  }
})
