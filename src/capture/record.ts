/**
 * Records what passes a point of the network with tcpdump (nanosecond pcap, kernel time stamps and drop counters).
 * A point may have several taps (device and direction each); they become one file in order of time.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { rename, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { environmentError, failure, messageOf } from '../support/errors.js'
import { mergeCaptures } from './write.js'

/** One device watched. */
export interface Tap {
  /** Words in front of tcpdump, such as `['ip', 'netns', 'exec', NAME]`; they must replace themselves by it. */
  readonly prefix: readonly string[]
  readonly device: string
  /** As the device sees it; default `inout`. */
  readonly direction?: 'in' | 'out' | 'inout'
  /** A pcap-filter(7) expression. */
  readonly filter?: string
}

export interface CaptureOptions {
  /** The capture file to make. */
  readonly file: string
  readonly taps: readonly Tap[]
  /** Bytes kept of each frame; default 128: every header and enough payload to tell frames apart. */
  readonly snapLength?: number
  /** Kernel buffer of each tap in KiB; default 65536, which held 0.8 Gbit/s of MTU frames without a drop. */
  readonly bufferKib?: number
}

export interface CaptureSummary {
  readonly file: string
  readonly packets: number
  /** Frames the kernel counted but the file lacks: any but 0 makes loss figures worthless. */
  readonly droppedByKernel: number
}

export interface RunningCapture {
  /** Lets what the kernel still holds reach the file, ends tcpdump and merges the taps. Safe to call twice. */
  stop(): Promise<CaptureSummary>
}

const startTimeoutMs = 10_000
const exitTimeoutMs = 10_000
const pollMs = 100
/** tcpdump asks the kernel for a block at least every second. */
const blockTimeoutMs = 1_300

/**
 * Starts recording; resolves once every tcpdump said that it is listening. Environment error (exit 3) without
 * tcpdump; failure (exit 1) with the command and its stderr if one does not start. Nothing is left running then.
 */
export async function startCapture(options: CaptureOptions): Promise<RunningCapture> {
  const files = options.taps.map((_, i) => `${options.file}.tap${i}`)
  const started = await Promise.allSettled(
    options.taps.map((tap, i) => startTcpdump(tap, files[i] ?? options.file, options)),
  )
  const recorders: Tcpdump[] = []
  for (const one of started) if (one.status === 'fulfilled') recorders.push(one.value)
  const refused = started.find((one) => one.status === 'rejected')
  if (refused) {
    await Promise.allSettled(recorders.map((recorder) => recorder.stop()))
    for (const file of files) await rm(file, { force: true })
    throw refused.reason
  }
  let stopping: Promise<CaptureSummary> | undefined
  return {
    stop: () => {
      stopping ??= finish(options.file, files, recorders)
      return stopping
    },
  }
}

async function finish(file: string, taps: readonly string[], recorders: Tcpdump[]): Promise<CaptureSummary> {
  const ended = await Promise.allSettled(recorders.map((recorder) => recorder.stop()))
  let packets = 0
  let droppedByKernel = 0
  for (const one of ended) {
    if (one.status === 'rejected') throw one.reason
    packets += one.value.packets
    droppedByKernel += one.value.droppedByKernel
  }
  if (taps.length === 1 && taps[0] !== undefined) {
    await rename(taps[0], file)
  } else {
    const merged = await mergeCaptures(taps, file)
    if (merged !== packets) {
      throw failure(`${file}: tcpdump counted ${packets} frames, its files hold ${merged}`, {
        code: 'capture-incomplete',
      })
    }
    for (const tap of taps) await rm(tap)
  }
  return { file, packets, droppedByKernel }
}

/** The argument list of one tcpdump. */
export function tcpdumpArgv(tap: Tap, file: string, snapLength: number, bufferKib: number): string[] {
  return [
    ...tap.prefix,
    'tcpdump',
    '--no-promiscuous-mode',
    '--time-stamp-precision=nano',
    `--buffer-size=${bufferKib}`,
    `--snapshot-length=${snapLength}`,
    // Not the filter words inbound and outbound: libpcap also applies them itself at first, and then nothing passes.
    ...['-n', '-i', tap.device, '-Q', tap.direction ?? 'inout'],
    // Without this, tcpdump gives up root before it opens the file and cannot write to a private run directory.
    ...['-Z', 'root', '-w', file],
    ...(tap.filter === undefined ? [] : [tap.filter]),
  ]
}

interface Counts {
  readonly captured: number
  /** Includes what was dropped. */
  readonly received: number
  readonly dropped: number
}

/** One tcpdump process, from `listening` to its last statistics. */
class Tcpdump {
  private readonly process: ChildProcess
  private readonly argv: readonly string[]
  private stderr = ''
  private readonly exited: Promise<number | string | null>
  private ended = false

  constructor(argv: readonly string[]) {
    this.argv = argv
    // A group of its own: an interrupt from the terminal must not end the capture before its senders.
    this.process = spawn(argv[0] ?? '', argv.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.exited = new Promise((resolve) => {
      this.process.once('error', (error) => {
        this.stderr += messageOf(error)
        resolve(null)
      })
      this.process.once('close', (code, signal) => resolve(signal ?? code))
    })
    this.exited.then(() => {
      this.ended = true
    })
  }

  async listening(): Promise<void> {
    for (let waited = 0; waited < startTimeoutMs && !this.ended; waited += pollMs / 5) {
      if (this.stderr.includes('listening on')) return
      await delay(pollMs / 5)
    }
    if (!this.ended) await this.interrupt()
    if (/ENOENT|No such file or directory/.test(this.stderr) && /tcpdump|spawn/.test(this.stderr)) {
      throw environmentError(`cannot start ${this.argv.join(' ')}: ${this.stderr.trim()}`, {
        code: 'tool-missing',
        next: 'Install the package tcpdump (and iproute2 for ip netns).',
      })
    }
    throw this.broken('did not start to listen')
  }

  async stop(): Promise<{ packets: number; droppedByKernel: number }> {
    if (this.ended) throw this.broken('ended before it was told to')
    await this.drain()
    const code = await this.interrupt()
    const last = this.counts().at(-1)
    if (code !== 0 || !last) throw this.broken(`ended with ${code}`)
    return { packets: last.captured, droppedByKernel: last.dropped }
  }

  /**
   * The kernel hands over frames in blocks, up to a second late. Waits that long, or until all that it counted are
   * read (which it never is with a direction, because the frames of the other one are counted too).
   */
  private async drain(): Promise<void> {
    for (let waited = 0; waited < blockTimeoutMs && !this.ended; waited += pollMs) {
      const before = this.counts().length
      this.process.kill('SIGUSR1')
      await delay(pollMs)
      const now = this.counts()
      const last = now.at(-1)
      if (last && now.length > before && last.captured + last.dropped >= last.received) return
    }
  }

  private async interrupt(): Promise<number | string | null> {
    this.process.kill('SIGINT')
    const killer = setTimeout(() => this.process.kill('SIGKILL'), exitTimeoutMs)
    const code = await this.exited
    clearTimeout(killer)
    return code
  }

  /** Every statistics block printed so far. */
  private counts(): Counts[] {
    const pattern =
      /(\d+) packets? captured\D+(\d+) packets? received by filter\D+(\d+) packets? dropped by kernel/g
    return [...this.stderr.matchAll(pattern)].map((match) => ({
      captured: Number(match[1]),
      received: Number(match[2]),
      dropped: Number(match[3]),
    }))
  }

  private broken(what: string): Error {
    return failure(`tcpdump ${what}\n  command: ${this.argv.join(' ')}\n  stderr: ${this.stderr.trim()}`, {
      code: 'capture-failed',
    })
  }
}

async function startTcpdump(tap: Tap, file: string, options: CaptureOptions): Promise<Tcpdump> {
  const argv = tcpdumpArgv(tap, file, options.snapLength ?? 128, options.bufferKib ?? 65_536)
  const tcpdump = new Tcpdump(argv)
  await tcpdump.listening()
  return tcpdump
}
