/** Whoever does not know the secret gets nowhere, and disturbs nobody who does. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { arrived, host, listen, migrateTo, outcomeOf, relay } from '../support/agents.js'

test('a source with another secret is refused with the reason, and the right one gets in afterwards', async () => {
  const destination = await listen()
  const ended = outcomeOf(destination)
  await assert.rejects(migrateTo(destination.lanes, { secret: '00'.repeat(32) }).result, /secret|handshake/)
  const source = await migrateTo(destination.lanes).result
  arrived({ source, destination: await ended })
})

for (const [name, greeting] of [
  ['garbage', randomBytes(4096)],
  ['a web browser', Buffer.from('GET / HTTP/1.1\r\nHost: pagewire\r\n\r\n')],
  ['nothing at all', Buffer.alloc(0)],
] as const) {
  test(`a stranger who says ${name} does not disturb a migration`, async () => {
    const destination = await listen()
    const ended = outcomeOf(destination)
    const strangers = destination.lanes.map((lane) => {
      const socket = net.connect(lane.port, host)
      socket.on('error', () => {})
      socket.write(greeting)
      return socket
    })
    const source = await migrateTo(destination.lanes).result
    arrived({ source, destination: await ended })
    for (const stranger of strangers) stranger.destroy()
  })
}

test('a crowd of silent strangers does not keep the source out', async () => {
  const destination = await listen()
  const ended = outcomeOf(destination)
  const crowd = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const socket = net.connect(destination.lanes[i % destination.lanes.length]?.port ?? 0, host)
      socket.on('error', () => {})
      await once(socket, 'connect')
      return socket
    }),
  )
  const source = await migrateTo(destination.lanes).result
  arrived({ source, destination: await ended })
  for (const stranger of crowd) stranger.destroy()
})

test('a source that vanishes in mid-migration ends the destination by itself', async () => {
  const destination = await listen()
  const ended = outcomeOf(destination)
  const between = await relay(destination.lanes, { cutAfterBytes: 2_000_000 })
  const { record } = await migrateTo(between.lanes, { pages: 8192 }).result
  assert.equal(record.outcome, 'failed')
  assert.match(record.reason ?? '', /lane/)
  const outcome = await ended
  assert.ok(!(outcome instanceof Error) && outcome.outcome === 'aborted', String(outcome))
  between.close()
})

test('a cancelled migration ends as cancelled, and the guest runs on', async () => {
  const destination = await listen()
  const ended = outcomeOf(destination)
  const between = await relay(destination.lanes, { stallAfterBytes: 2_000_000 })
  const running = migrateTo(between.lanes, { pages: 65_536, workload: { writesPerSecond: 1000 } })
  setTimeout(() => running.cancel(), 300)
  const { record } = await running.result
  assert.equal(record.outcome, 'cancelled')
  between.close()
  assert.ok(!((await ended) instanceof Error))
})
