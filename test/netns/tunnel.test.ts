/** A guest that moves to another network: its old connection lives on through a real tunnel, new ones go by its name. */

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { NameTable, Resolver } from '../../src/agent/resolver.js'
import { netnsScript } from '../../src/topology/requirements.js'
import { freshRunId, needsRoot } from './support.js'

const echo = fileURLToPath(new URL('fixtures/echo.js', import.meta.url))
const script = netnsScript('tunnel.sh')
const port = 7000
const ttlNs = 500e6

interface Echoed {
  readonly last: number
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
}

test('an old connection survives the move and keeps its addresses; new ones go to the new address', {
  skip: needsRoot,
}, async (t) => {
  const run = freshRunId()
  const name = (host: string): string => `pw-${run}-${host}`
  const children: ChildProcess[] = []
  t.after(() => {
    for (const child of children) child.kill('SIGKILL')
    for (const host of hosts) ip('netns', 'del', name(host))
  })
  const hosts = ['wan', 'old', 'new', 'visitor', 'guest']
  for (const host of hosts) ip('netns', 'add', name(host))
  wire(name)
  plugIn(name, 'old', '10.78.1.10', '10.78.1.1')

  const start = (host: string, ...words: readonly string[]): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', name(host), process.execPath, echo, ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    return child
  }
  await line(start('guest', 'server', String(port)))

  const names = new NameTable()
  names.set('guest', '10.78.1.10', ttlNs)
  const visitor = new Resolver(names)
  const address = (): string => visitor.resolve('guest', performance.now() * 1e6)!
  const old = start('visitor', 'client', address(), String(port))
  const heard: Echoed[] = []
  createInterface({ input: old.stdout! }).on('line', (text) => heard.push(JSON.parse(text)))
  await until(() => heard.length >= 10, 'the old connection works')

  // The switch: the guest is on the new host's network, with its old address and a new one.
  ip('-n', name('old'), 'link', 'del', 'guest')
  plugIn(name, 'new', '10.78.2.10', '10.78.2.1')
  ip('-n', name('guest'), 'address', 'add', '10.78.1.10/32', 'dev', 'card')
  const kind = execFileSync(
    script,
    ['up', name('old'), '10.79.0.1', name('new'), '10.79.0.2', '10.78.1.10', 'guest'],
    {
      encoding: 'utf8',
    },
  )
  t.diagnostic(`tunnel: ${kind.trim()}`)
  names.set('guest', '10.78.2.10', ttlNs)
  const before = heard.length
  await until(() => heard.length >= before + 20, 'the old connection goes on')
  const [first, last] = [heard[0]!, heard.at(-1)!]
  assert.deepEqual(
    [last.localAddress, last.localPort, last.remoteAddress],
    [first.localAddress, first.localPort, '10.78.1.10'],
  )
  assert.ok(last.last > first.last)
  assert.ok(received(name('new')) > 10, 'through the tunnel')

  await until(() => address() === '10.78.2.10', 'the old answer has had its time')
  const fresh = start('visitor', 'client', address(), String(port))
  const said: Echoed = JSON.parse(await line(fresh))
  assert.equal(said.remoteAddress, '10.78.2.10')

  // Nobody uses the old address any more: the tunnel goes, and new connections stay.
  old.stdin?.end()
  execFileSync(script, ['down', name('old'), name('new'), '10.78.1.10'])
  assert.ok(!devices(name('old')).includes('pw-tunnel') && !devices(name('new')).includes('pw-tunnel'))
  const again: Echoed = JSON.parse(await line(start('visitor', 'client', address(), String(port))))
  assert.equal(again.remoteAddress, '10.78.2.10')
})

/** Two hosts and a visitor on one network; each host routes to a network of guests behind it. */
function wire(name: (host: string) => string): void {
  ip('-n', name('wan'), 'link', 'add', 'bridge', 'type', 'bridge')
  ip('-n', name('wan'), 'link', 'set', 'bridge', 'up')
  for (const [i, host] of ['old', 'new', 'visitor'].entries()) {
    ip(
      'link',
      'add',
      'uplink',
      'netns',
      name(host),
      'type',
      'veth',
      'peer',
      'name',
      host,
      'netns',
      name('wan'),
    )
    ip('-n', name('wan'), 'link', 'set', host, 'master', 'bridge', 'up')
    ip('-n', name(host), 'address', 'add', `10.79.0.${i + 1}/24`, 'dev', 'uplink')
    ip('-n', name(host), 'link', 'set', 'uplink', 'up')
    execFileSync('ip', [
      'netns',
      'exec',
      name(host),
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.uplink.rp_filter=0',
    ])
  }
  ip('-n', name('visitor'), 'route', 'add', '10.78.1.0/24', 'via', '10.79.0.1')
  ip('-n', name('visitor'), 'route', 'add', '10.78.2.0/24', 'via', '10.79.0.2')
}

/** The guest's card on the network of a host. */
function plugIn(name: (host: string) => string, host: string, address: string, gateway: string): void {
  ip(
    'link',
    'add',
    'guest',
    'netns',
    name(host),
    'type',
    'veth',
    'peer',
    'name',
    'card',
    'netns',
    name('guest'),
  )
  ip('-n', name(host), 'address', 'add', `${gateway}/24`, 'dev', 'guest')
  ip('-n', name(host), 'link', 'set', 'guest', 'up')
  ip('-n', name('guest'), 'address', 'add', `${address}/24`, 'dev', 'card')
  ip('-n', name('guest'), 'link', 'set', 'card', 'up')
  ip('-n', name('guest'), 'route', 'add', 'default', 'via', gateway)
}

function ip(...words: readonly string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8' })
}

function devices(namespace: string): string {
  return ip('-n', namespace, '-o', 'link')
}

/** Packets that came out of the tunnel. */
function received(namespace: string): number {
  const [device]: { stats64: { rx: { packets: number } } }[] = JSON.parse(
    ip('-n', namespace, '-j', '-s', 'link', 'show', 'pw-tunnel'),
  )
  return device?.stats64.rx.packets ?? 0
}

function line(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', resolve)
    child.once('exit', () => reject(new Error('it ended before it said anything')))
  })
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 8000
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
