/** iperf3, the peer of the streaming benchmarks: one TCP stream between two hosts of a lab. */

import { type ChildProcess, spawn } from 'node:child_process'
import { environmentError, failure } from '../support/errors.js'

const port = 5201

/** Payload bits per second that one TCP stream's receiver counted over some seconds. */
export async function iperf3Bps(
  insideClient: readonly string[],
  insideServer: readonly string[],
  serverAddress: string,
  seconds: number,
): Promise<number> {
  return received(await iperf3(insideClient, insideServer, serverAddress, seconds, ['-C', 'cubic']))
}

/** Fills the path for some seconds with UDP at a rate, or with one TCP stream where there is none. */
export async function fillPath(
  insideClient: readonly string[],
  insideServer: readonly string[],
  serverAddress: string,
  seconds: number,
  udpBps: number | undefined,
): Promise<void> {
  const load = udpBps === undefined ? ['-C', 'cubic'] : ['-u', '-b', String(udpBps), '-l', '1470']
  await iperf3(insideClient, insideServer, serverAddress, seconds, load)
}

interface Report {
  readonly end?: { readonly sum_received?: { readonly bits_per_second?: number } }
}

async function iperf3(
  insideClient: readonly string[],
  insideServer: readonly string[],
  serverAddress: string,
  seconds: number,
  load: readonly string[],
): Promise<Report> {
  const place = ['-p', String(port)]
  const server = start([...insideServer, 'iperf3', '-s', '-1', '-B', serverAddress, ...place, '--forceflush'])
  const serverDone = ended(server)
  try {
    await listening(server)
    const time = ['-t', String(seconds)]
    const client = start([...insideClient, 'iperf3', '-c', serverAddress, ...place, ...time, ...load, '-J'])
    const { status, stdout, stderr } = await ended(client)
    if (status !== 0) throw failure(`iperf3 ended with ${status}: ${stderr}${stdout}`, { code: 'iperf3' })
    return JSON.parse(stdout)
  } finally {
    server.kill('SIGTERM')
    await serverDone
  }
}

function received(report: Report): number {
  const bps = report.end?.sum_received?.bits_per_second
  if (bps === undefined) throw failure('iperf3 reported no received rate', { code: 'iperf3' })
  return bps
}

function start(argv: readonly string[]): ChildProcess {
  const [first, ...rest] = argv
  return spawn(first ?? '', rest, { stdio: ['ignore', 'pipe', 'pipe'] })
}

function listening(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    const timer = setTimeout(() => reject(failure('iperf3 -s did not start', { code: 'iperf3' })), 10_000)
    server.stdout?.on('data', (bytes: Buffer) => {
      said += bytes.toString()
      if (!said.includes('Server listening')) return
      clearTimeout(timer)
      resolve()
    })
  })
}

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function ended(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (bytes: Buffer) => {
      stdout += bytes.toString()
    })
    child.stderr?.on('data', (bytes: Buffer) => {
      stderr += bytes.toString()
    })
    child.once('error', () =>
      reject(
        environmentError('iperf3 is not installed', {
          code: 'missing-tool',
          next: 'apt-get install iperf3, or run npm run bench, which installs it.',
        }),
      ),
    )
    child.once('close', (status) => resolve({ status, stdout, stderr }))
  })
}
