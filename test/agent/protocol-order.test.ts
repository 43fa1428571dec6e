/** Frames that are right by themselves and come when they must not: each side refuses them, and says why. */

import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { monotonicNs } from '../../src/agent/clock.js'
import { CompressPool } from '../../src/agent/compress-pool.js'
import { Inbound } from '../../src/agent/inbound.js'
import { Link } from '../../src/agent/link.js'
import { judgeLane } from '../../src/agent/proof.js'
import type { Session } from '../../src/agent/session.js'
import { pageContent } from '../../src/memory/content.js'
import { GuestMemory } from '../../src/memory/guest-memory.js'
import { PageSet } from '../../src/memory/page-set.js'
import { usualLanes } from '../../src/migration/lanes.js'
import { FrameType, frame } from '../../src/wire/frame.js'
import { FrameReader } from '../../src/wire/frame-reader.js'
import { congestionControl, host, listen, outcomeOf, pageBytes, portOf, secret } from '../support/agents.js'

const session: Session = {
  totalPages: 64,
  pageBytes,
  deviceBytes: 0,
  seed: 1,
  content: { kind: 'random' },
  lanes: usualLanes,
}

function open(ports: readonly number[]): Promise<Link> {
  const options = {
    host,
    lanes: usualLanes.map((name, i) => ({ name, dscp: 0, pcp: 0, port: ports[i]! })),
    secret: Buffer.from(secret, 'hex'),
    congestionControl,
    unsentBytes: 256 * 1024,
    sharedClock: true,
    setUpByNs: monotonicNs() + 10e9,
    hooks: {},
  }
  return Link.open(options, session, {
    content: pageContent(session.content, pageBytes, session.seed),
    memory: new GuestMemory(session.totalPages, pageBytes),
    device: Buffer.alloc(0),
    pool: new CompressPool(session.content, pageBytes, session.seed),
  })
}

test('pages cannot go missing, nor the guest move, once it runs at the destination', async () => {
  for (const late of [
    frame(FrameType.missing, 0, 0, Buffer.from([1])),
    frame(FrameType.position, 0, 0, Buffer.alloc(16)),
  ]) {
    const destination = await listen()
    const ended = outcomeOf(destination)
    const link = await open(destination.lanes.map(({ port }) => port))
    const bulk = link.lane('bulk')
    await bulk.feed({
      order: once(Uint32Array.from({ length: session.totalPages }, (_, page) => page)),
      rateLimitBps: undefined,
      feedUntilNs: monotonicNs() + 10e9,
      giveUpAtNs: monotonicNs() + 10e9,
      skipping: [],
      sent: new PageSet(session.totalPages),
      skipped: new PageSet(session.totalPages),
      advanceGuest: () => {},
      stopped: () => false,
    })
    assert.notEqual(await link.handOver('final', monotonicNs() + 10e9), 'gave up')
    await bulk.send(late)
    const outcome = await ended
    assert.ok(outcome instanceof Error && /came after the handover/.test(outcome.message), String(outcome))
    link.close()
  }
})

test('a destination that asks for the same page again and again is refused', async () => {
  const peer = await destinationThat((socket) => {
    const fault = frame(FrameType.fault, 7)
    socket.write(Buffer.concat([fault, fault]))
  })
  const link = await open(peer.ports)
  await assert.rejects(link.audit(), /page 7 was asked for twice/)
  link.close()
  peer.close()
})

function once(pages: Uint32Array): { take(out: Uint32Array): number } {
  let at = 0
  return {
    take: (out) => {
      const part = pages.subarray(at, at + out.length)
      out.set(part)
      at += part.length
      return part.length
    },
  }
}

/** Somebody who knows the secret, accepts the session, and then does as it likes. */
async function destinationThat(
  misbehaves: (socket: net.Socket) => void,
): Promise<{ readonly ports: readonly number[]; close(): void }> {
  const servers: net.Server[] = []
  for (const [index] of usualLanes.entries()) {
    const server = net.createServer((socket) => {
      const judged = judgeLane(
        Buffer.from(secret, 'hex'),
        (bytes) => socket.write(bytes),
        (lane) => (lane === index ? { frames: reader } : undefined),
      )
      const reader = new FrameReader(
        {
          page: () => {},
          message: (type) => {
            if (type !== FrameType.config) return
            socket.write(frame(FrameType.configOk))
            misbehaves(socket)
          },
        },
        pageBytes,
      )
      const inbound = new Inbound(judged.expectation, () => socket.destroy())
      socket.on('error', () => {})
      socket.on('data', (bytes: Buffer) => deliver(inbound, bytes))
      judged.begin()
    })
    await new Promise<void>((resolve) => server.listen(0, host, resolve))
    servers.push(server)
  }
  return { ports: servers.map(portOf), close: () => servers.forEach((server) => void server.close()) }
}

/** Puts received bytes where the reader wants them. */
function deliver(inbound: Inbound, bytes: Buffer): void {
  let at = 0
  while (at < bytes.length) {
    const { buffer: space, callback } = inbound.onread
    const target = typeof space === 'function' ? space() : space
    const part = bytes.subarray(at, at + target.length)
    target.set(part)
    callback(part.length, target)
    at += part.length
  }
}
