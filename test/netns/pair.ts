/** Two throw-away namespaces joined by one veth pair, for tests that look at what a socket puts on the wire. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'

/** Why a test that needs namespaces cannot run here, or false. */
export const withoutRoot: string | false =
  process.getuid?.() === 0 ? false : 'needs root for network namespaces'

export interface Side {
  readonly namespace: string
  readonly device: string
  readonly address: string
}

export interface Pair {
  readonly left: Side
  readonly right: Side
  remove(): void
}

let pairs = 0

/** Makes `pw-t<pid>-<n>l` and `-<n>r`, MTU 1500, offloads off, so that captured frames are packets. */
export function makePair(): Pair {
  const id = `pw-t${process.pid}-${pairs++}`
  const left: Side = { namespace: `${id}l`, device: 'v0', address: '10.77.0.1' }
  const right: Side = { namespace: `${id}r`, device: 'v0', address: '10.77.0.2' }
  for (const side of [left, right]) ip('netns', 'add', side.namespace)
  ip('-n', left.namespace, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'v0', 'netns', right.namespace)
  for (const side of [left, right]) {
    ip('-n', side.namespace, 'address', 'add', `${side.address}/24`, 'dev', side.device)
    ip('-n', side.namespace, 'link', 'set', 'lo', 'up')
    ip('-n', side.namespace, 'link', 'set', side.device, 'up')
    inside(side, 'ethtool', '-K', side.device, 'tso', 'off', 'gso', 'off', 'gro', 'off', 'tx', 'off')
  }
  return { left, right, remove: () => removeAll([left, right]) }
}

/** Runs a command inside a namespace and returns its stdout. */
export function inside(side: Side, command: string, ...args: string[]): string {
  return execFileSync('ip', ['netns', 'exec', side.namespace, command, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Starts a command inside a namespace; the caller ends it. */
export function startInside(side: Side, command: string, ...args: string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', side.namespace, command, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
}

/** A frame as captured: only what these tests look at. */
export interface SeenPacket {
  readonly source: string
  readonly dscp: number
  readonly protocol: number
  readonly bytes: Buffer
}

export interface Capture {
  /** Stops once `enough` holds for what was seen, or after `timeoutMs`, and returns all IPv4 packets. */
  stop(enough: (packets: readonly SeenPacket[]) => boolean, timeoutMs?: number): Promise<SeenPacket[]>
}

/** Captures a device with tcpdump; resolves when it listens. */
export async function capture(side: Side): Promise<Capture> {
  const args = ['-i', side.device, '-U', '-w', '-', '--immediate-mode', 'ip']
  const tcpdump = startInside(side, 'tcpdump', ...args)
  const chunks: Buffer[] = []
  tcpdump.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise<void>((resolve, reject) => {
    let text = ''
    tcpdump.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('listening on')) resolve()
    })
    tcpdump.once('exit', () => reject(new Error(`tcpdump: ${text}`)))
  })
  return {
    stop: async (enough, timeoutMs = 5000) => {
      const end = performance.now() + timeoutMs
      while (performance.now() < end && !enough(packetsOf(Buffer.concat(chunks)))) {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      tcpdump.kill('SIGINT')
      await once(tcpdump, 'close')
      return packetsOf(Buffer.concat(chunks))
    },
  }
}

/** The IPv4 packets of a pcap of Ethernet frames, in this machine's byte order; an incomplete last record is left out. */
function packetsOf(file: Buffer): SeenPacket[] {
  const packets: SeenPacket[] = []
  for (let at = 24; at + 16 <= file.length; ) {
    const length = file.readUInt32LE(at + 8)
    const ipv4 = file.subarray(at + 16 + 14, at + 16 + length)
    at += 16 + length
    if (at > file.length) break
    const source = [...ipv4.subarray(12, 16)].join('.')
    packets.push({ source, dscp: ipv4.readUInt8(1) >> 2, protocol: ipv4.readUInt8(9), bytes: ipv4 })
  }
  return packets
}

function removeAll(sides: readonly Side[]): void {
  for (const side of sides) ip('netns', 'delete', side.namespace)
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
