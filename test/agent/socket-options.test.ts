/** Marked sockets as sockets: they connect, carry bytes into own buffers, report, fail and clean up. Over loopback. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import type net from 'node:net'
import { test } from 'node:test'
import {
  congestionControl,
  connectMarked,
  listenMarked,
  markOf,
  setCongestionControl,
  tcpInfo,
} from '../../src/agent/socket-options.js'
import { PagewireError } from '../../src/support/errors.js'

const host = '127.0.0.1'
const mark = { dscp: 46, priority: 5 }

/** Collects what arrives in one reused buffer, as an agent does. */
class Collector implements net.OnReadOpts {
  readonly buffer = new Uint8Array(4096)
  received = Buffer.alloc(0)
  callback = (bytes: number, buffer: Uint8Array): boolean => {
    this.received = Buffer.concat([this.received, buffer.subarray(0, bytes)])
    return true
  }
}

interface Link {
  readonly client: net.Socket
  readonly server: net.Socket
  readonly clientReader: Collector
  readonly serverReader: Collector | undefined
  close(): Promise<void>
}

async function link(tuning: { sendBufferBytes?: number; maxSegment?: number } = {}): Promise<Link> {
  const waiting: ((connection: [net.Socket, Collector | undefined]) => void)[] = []
  const accepted = new Promise<[net.Socket, Collector | undefined]>((resolve) => waiting.push(resolve))
  const listener = await listenMarked({
    host,
    port: 0,
    ...mark,
    ...tuning,
    onread: () => new Collector(),
    onConnection: (...connection) => waiting[0]?.(connection),
    onError: assert.fail,
  })
  const clientReader = new Collector()
  const client = await connectMarked({
    host,
    port: listener.port,
    ...mark,
    ...tuning,
    connectTimeoutMs: 2000,
    onread: clientReader,
  })
  const [server, serverReader] = await accepted
  const close = async (): Promise<void> => {
    const closed = Promise.all([client, server].map((socket) => socket.closed || once(socket, 'close')))
    client.destroy()
    server.destroy()
    await Promise.all([closed, listener.close()])
  }
  return { client, server, clientReader, serverReader, close }
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

test('bytes arrive in the buffers given, on both ends', async () => {
  const { client, server, clientReader, serverReader, close } = await link()
  const there = Buffer.from('there '.repeat(5000))
  const back = Buffer.from('back '.repeat(5000))
  const ends = Promise.all([once(client, 'end'), once(server, 'end')])
  client.end(there)
  server.end(back)
  await ends
  assert.deepEqual(serverReader?.received, there)
  assert.deepEqual(clientReader.received, back)
  await close()
})

test('both ends have the mark and report the connection', async () => {
  const { client, server, close } = await link({ sendBufferBytes: 65_536, maxSegment: 1000 })
  assert.deepEqual([markOf(client), markOf(server)], [mark, mark])
  client.write(Buffer.alloc(10_000))
  while (tcpInfo(client).ackedBytes < 10_000) await new Promise((resolve) => setTimeout(resolve, 1))
  const info = tcpInfo(client)
  assert.equal(info.retransmits, 0)
  assert.equal(info.unackedSegments, 0)
  assert(info.rttNs > 0 && info.rttNs < 1e9, `a round trip of ${info.rttNs} ns`)
  assert(info.segmentBytes <= 1000 && info.segmentBytes > 900, `segments of ${info.segmentBytes} bytes`)
  assert(info.congestionWindow > 0)
  await close()
})

test('the congestion control is chosen per socket', async () => {
  const { client, close } = await link()
  setCongestionControl(client, 'reno')
  assert.equal(congestionControl(client), 'reno')
  assert.throws(
    () => setCongestionControl(client, 'nonesuch'),
    (error) => error instanceof PagewireError && error.exit === 3 && error.code === 'congestion-control',
  )
  await close()
})

test('a refused connection fails with its reason and leaves no descriptor', async () => {
  const listener = await listenMarked({
    host,
    port: 0,
    ...mark,
    onConnection: () => {},
    onError: assert.fail,
  })
  await listener.close()
  const before = openDescriptors()
  for (let i = 0; i < 20; i++) {
    await assert.rejects(
      connectMarked({ host, port: listener.port, ...mark, connectTimeoutMs: 2000 }),
      (error) => error instanceof PagewireError && /ECONNREFUSED/.test(error.message),
    )
  }
  assert(openDescriptors() <= before + 1, 'descriptors were closed')
})

test('a port in use is refused, and connections come and go without a leak', async () => {
  const first = await listenMarked({ host, port: 0, ...mark, onConnection: () => {}, onError: assert.fail })
  const before = openDescriptors()
  await assert.rejects(
    listenMarked({ host, port: first.port, ...mark, onConnection: () => {}, onError: assert.fail }),
    /EADDRINUSE/,
  )
  for (let i = 0; i < 10; i++) await (await link()).close()
  await first.close()
  assert(openDescriptors() <= before, 'descriptors were closed')
})
