import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { decode } from '../../src/capture/decode.js'
import { openCapture } from '../../src/capture/read.js'
import { startCapture } from '../../src/capture/record.js'
import { temporaryDirectory } from '../support/temporary.js'

const skip = process.getuid?.() === 0 ? false : 'needs root: it makes network namespaces'

/** Two namespaces with a veth between them, 10.199.0.1 and .2. */
function namespacePair(t: TestContext): { near: string; far: string } {
  const near = `pw-record${process.pid}-a`
  const far = `pw-record${process.pid}-b`
  const ip = (...words: string[]): void => {
    execFileSync('ip', words)
  }
  t.after(() => {
    for (const name of [near, far]) ip('netns', 'del', name)
  })
  for (const name of [near, far]) ip('netns', 'add', name)
  ip('link', 'add', 'veth0', 'netns', near, 'type', 'veth', 'peer', 'name', 'veth0', 'netns', far)
  for (const [i, name] of [near, far].entries()) {
    ip('-n', name, 'addr', 'add', `10.199.0.${i + 1}/24`, 'dev', 'veth0')
    ip('-n', name, 'link', 'set', 'veth0', 'up')
  }
  return { near, far }
}

function sendDatagrams(namespace: string, to: string, count: number): void {
  const script = `
    const socket = require('node:dgram').createSocket('udp4')
    let left = ${count}
    const next = () => left-- > 0 ? socket.send(Buffer.alloc(700, left), 7777, '${to}', next) : socket.close()
    next()`
  execFileSync('ip', ['netns', 'exec', namespace, process.execPath, '-e', script], { timeout: 20_000 })
}

test('both directions of a point end up in one file, in order, without a frame missing', {
  skip,
}, async (t) => {
  const { near, far } = namespacePair(t)
  const directory = temporaryDirectory(t)
  const prefix = ['ip', 'netns', 'exec', near]
  const file = `${directory}/point.pcap`
  const capture = await startCapture({
    file,
    taps: [
      { prefix, device: 'veth0', direction: 'in', filter: 'udp port 7777' },
      { prefix, device: 'veth0', direction: 'out', filter: 'udp port 7777' },
    ],
  })
  sendDatagrams(near, '10.199.0.2', 500)
  sendDatagrams(far, '10.199.0.1', 300)
  const summary = await capture.stop()
  assert.deepEqual(summary, { file, packets: 800, droppedByKernel: 0 })
  assert.deepEqual(readdirSync(directory), ['point.pcap'])
  assert.deepEqual(await capture.stop(), summary, 'stopping twice is safe')

  const reader = await openCapture(file)
  const { frame } = reader
  const sources = new Map<number, number>()
  let lastNs = 0
  do {
    while (reader.next()) {
      decode(frame)
      assert.equal(frame.capLength, 128)
      assert.equal(frame.payloadLength, 700)
      assert.ok(frame.timeNs >= lastNs)
      lastNs = frame.timeNs
      sources.set(frame.sourceAddress & 255, (sources.get(frame.sourceAddress & 255) ?? 0) + 1)
    }
  } while (await reader.fill())
  await reader.close()
  assert.deepEqual(Object.fromEntries(sources), { 1: 500, 2: 300 })
})

test('a device that is not there is an error with the command and its stderr', { skip }, async (t) => {
  const directory = temporaryDirectory(t)
  const taps = [
    { prefix: [], device: 'lo' },
    { prefix: [], device: 'pw-nothing' },
  ]
  await assert.rejects(startCapture({ file: `${directory}/x.pcap`, taps }), {
    exit: 1,
    message: /command: tcpdump .*pw-nothing[\s\S]*No such device/,
  })
  assert.equal(existsSync(`${directory}/x.pcap.tap0`), false, 'the tap that did start left nothing behind')
})
