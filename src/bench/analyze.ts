/**
 * How fast `pagewire analyze` is, beside tcptrace and tshark on the same files: whole processes including start-up,
 * interleaved, medians. tcptrace reads through the 802.1Q tag; that it did is checked, like every count printed here.
 */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { analysePair } from '../analysis/pair-analysis.js'
import { programFile } from '../experiment/agent-process.js'
import { defaultTable, trafficClass } from '../marking/traffic-class.js'
import { environmentError, failure } from '../support/errors.js'
import { median } from '../support/median.js'
import { writeTrafficFile } from './traffic-file.js'

export interface AnalyzeBench {
  /** Packets per second of `pagewire analyze` over those of the other, on one bulk TCP flow. */
  readonly vs_tcptrace: number
  readonly vs_tshark: number
  readonly packets_per_s: number
  readonly peak_rss_mib_1m: number
  readonly peak_rss_mib_10m: number
  /** Speed with 10,000 concurrent flows over that with one. */
  readonly flows_10k_vs_1: number
  /** Seconds to match a million frames of one capture with those of another, which reads both twice. */
  readonly pairs_1m_s: number
  /** The least and the largest ratio of the rounds. */
  readonly vs_tcptrace_range: readonly [number, number]
}

const million = 1_000_000
const seed = 1

/** tshark runs once, for it takes as long as a hundred of ours; beside it stands the median of all ours on that file. */
export async function benchAnalyze(rounds = 5): Promise<AnalyzeBench> {
  const directory = mkdtempSync(join(tmpdir(), 'pagewire-bench-'))
  try {
    const one = traffic(join(directory, 'one.pcap'), 2 * million)
    const many = traffic(join(directory, 'many.pcap'), 2 * million, 10_000)
    const ours: number[] = []
    const withMany: number[] = []
    const tcptrace: number[] = []
    for (let round = 0; round < rounds; round++) {
      tcptrace.push(
        (
          await run(['tcptrace', '-l', one], (text) =>
            text.includes('2000000 packets seen, 2000000 TCP packets traced'),
          )
        ).seconds,
      )
      ours.push((await analyze(one, 2 * million)).seconds)
      withMany.push((await analyze(many, 2 * million)).seconds)
      report(
        `round ${round + 1} of ${rounds}: tcptrace ${tcptrace.at(-1)} s, pagewire ${ours.at(-1)} s, with 10,000 flows ${withMany.at(-1)} s`,
      )
    }
    rmSync(many)
    const before = await analyze(one, 2 * million)
    const tshark = await run(tsharkArgv(one), (table) => framesOf(table) === 2 * million)
    const after = await analyze(one, 2 * million)
    report(
      `tshark ${tshark.seconds} s, pagewire before and after it ${before.seconds} and ${after.seconds} s`,
    )
    rmSync(one)
    const ratios = tcptrace.map((seconds, i) => seconds / ours[i]!)
    return {
      vs_tcptrace: rounded(median(ratios)),
      vs_tshark: rounded(tshark.seconds / median([...ours, before.seconds, after.seconds])),
      packets_per_s: Math.round((2 * million) / median(ours)),
      peak_rss_mib_1m: await peakRssMib(directory, million),
      peak_rss_mib_10m: await peakRssMib(directory, 10 * million),
      flows_10k_vs_1: rounded(median(withMany.map((seconds, i) => ours[i]! / seconds))),
      pairs_1m_s: await pairSeconds(directory),
      vs_tcptrace_range: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function traffic(path: string, packets: number, flows = 1, dscp = 'CS7'): string {
  report(`writing ${packets} packets of ${flows} flows`)
  writeTrafficFile(path, { packets, flows, seed, trafficClass: trafficClass(defaultTable, dscp) })
  return path
}

/** A series per second with what our analysis counts too; without a filter tshark would not judge a single segment. */
function tsharkArgv(file: string): string[] {
  const judged = ['retransmission', 'out_of_order', 'duplicate_ack'].map((name) => `tcp.analysis.${name}`)
  return ['tshark', '-r', file, '-q', '-z', ['io,stat,1', 'frame', ...judged].join(',')]
}

/** The sum of the intervals' frames in the table that tshark prints: its first column. */
function framesOf(table: string): number {
  return [...table.matchAll(/<>[^|]+\| *(\d+) *\|/g)].reduce((sum, [, frames]) => sum + Number(frames), 0)
}

/** Makes Node say at its end how much memory it had at most, in KiB. */
const sayPeak = `data:text/javascript,process.on('exit',()=>console.error('peak '+process.resourceUsage().maxRSS))`

function analyze(file: string, packets: number, ...flags: readonly string[]): Promise<Ended> {
  return run([process.execPath, ...flags, programFile, 'analyze', file], (text) =>
    text.includes(` ${packets} packets,`),
  )
}

async function peakRssMib(directory: string, packets: number): Promise<number> {
  const file = traffic(join(directory, 'memory.pcap'), packets)
  const { stderr } = await analyze(file, packets, '--import', sayPeak)
  const kib = Number(/peak (\d+)/.exec(stderr)?.[1])
  return Math.round(kib / 1024)
}

/** The second capture is the first one with other marks, as behind a switch that rewrites them. */
async function pairSeconds(directory: string): Promise<number> {
  const before = traffic(join(directory, 'before.pcap'), million, 1, 'AF41')
  const after = traffic(join(directory, 'after.pcap'), million)
  const began = performance.now()
  const pair = await analysePair(before, after)
  const seconds = (performance.now() - began) / 1000
  if (pair?.matched !== million)
    throw failure(`${pair?.matched} of ${million} frames matched`, { code: 'bench' })
  return rounded(seconds)
}

/**
 * With NODE_EXTRA_CA_CERTS Node reads a file of certificates whenever it starts, which some boxes set and most do not: of
 * a whole system's list that is 60 ms, and says nothing about captures.
 */
const { NODE_EXTRA_CA_CERTS: _, ...withoutCertificates } = process.env

interface Ended {
  readonly seconds: number
  readonly stderr: string
}

/** Runs a command to its end. Failure if it fails, or if its output lacks what shows that it did the work. */
function run(argv: readonly string[], isRight: (stdout: string) => boolean): Promise<Ended> {
  const [command = '', ...args] = argv
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: withoutCertificates })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', () => reject(missing(command)))
    child.once('close', (code) => {
      const seconds = rounded((performance.now() - began) / 1000)
      if (code === 0 && isRight(stdout)) resolve({ seconds, stderr })
      else
        reject(
          failure(`${argv.join(' ')} ended with ${code}: ${stderr}${stdout.slice(0, 500)}`, {
            code: 'bench',
          }),
        )
    })
  })
}

function missing(command: string): Error {
  return environmentError(`${command} is not installed`, {
    code: 'missing-tool',
    next: `apt-get install ${command}, or run npm run bench, which installs it.`,
  })
}

function report(text: string): void {
  process.stderr.write(`  ${text}\n`)
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
