/** `pagewire replay`: puts a capture on the wire again, re-marked if asked for, and says exactly what went. */

import { Command } from 'commander'
import { standardInput } from '../capture/bytes.js'
import { defaultTable, trafficClass } from '../marking/traffic-class.js'
import type { Pace } from '../replay/pacing.js'
import { type Preflight, preflight, type ReplayClass } from '../replay/preflight.js'
import { interfaceGone, prepareReplay, type ReplayCounts, type Replayer } from '../replay/replayer.js'
import type { Rewrite } from '../replay/rewrite.js'
import type { ReplayContent } from '../replay/source.js'
import { exitCode, usageError } from '../support/errors.js'
import { execute } from '../topology/command.js'
import { columns } from './columns.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { interrupts } from './interrupts.js'
import { printError, printJson, printText } from './output.js'

interface Options {
  readonly dev: string
  readonly filter?: string
  readonly speed?: string
  readonly mbps?: string
  readonly pps?: string
  readonly loop: string
  readonly vlan?: string
  readonly pcp?: string
  readonly dscp?: string
  readonly dryRun?: boolean
}

export function replayCommand(): Command {
  return new Command('replay')
    .description(
      prose(`
Sends the Ethernet frames of a capture on an interface: at their own times, faster or slower, or at a rate; as they are,
or with another tag, priority or DSCP and checksums that fit again. First it goes through the file and prints what will
be sent: frames, bytes, duration, rate, classes, and what cannot go or is not whole. Afterwards it prints how many frames
went and how many did not. If any frame of the file was not sent, the exit code is 1.

Frames that the snaplen cut are sent at their full length, with zeros for what is missing. Reads what analyze reads.`),
    )
    .argument('<file>', 'the capture')
    .requiredOption('--dev <interface>', 'the interface to send on')
    .option('-Y, --filter <expression>', 'only frames that pass, as for analyze, e.g. "vlan.id==200 && udp"')
    .option('--speed <factor>', 'times the speed of the capture, e.g. 0.5 or 10 (default: 1)')
    .option('--mbps <rate>', 'at this many Mbit/s of whole frames instead')
    .option('--pps <rate>', 'at this many frames per second instead')
    .option('--loop <n>', 'go through the file n times', '1')
    .option('--vlan <id>', 'set the 802.1Q VLAN number, on untagged frames as well; none takes tags off')
    .option('--pcp <0-7>', 'set the 802.1Q priority; an untagged frame gets a tag (of VLAN 0 without --vlan)')
    .option('--dscp <class>', 'set the DSCP of IPv4 and IPv6: CS7, EF, AF41, LE, ... or 0-63')
    .option('--dry-run', 'print what would be sent, and send nothing')
    .action(async (file: string, options: Options, command: Command) => {
      await replay(file, options, command)
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire replay trace.pcap --dev eth0 --dry-run', 'what would be sent; needs no root'],
        ['sudo pagewire replay trace.pcap --dev eth0', 'at the times of the capture'],
        ['sudo pagewire replay trace.pcap --dev eth0 --mbps 50 --loop 10', 'ten times, at 50 Mbit/s'],
        [
          'sudo pagewire replay trace.pcap --dev eth0 --vlan 200 --pcp 1 --dscp LE',
          'as background traffic of VLAN 200',
        ],
        [
          'sudo ip netns exec pw-hand-neighbour pagewire replay trace.pcap --dev uplink --vlan 200',
          'into a lab that `lab up` built',
        ],
      ]),
    )
}

/** The document of `replay --json`. */
interface ReplayDocument {
  readonly schema: 'pagewire.replay/1'
  readonly file: string
  readonly dev: string
  readonly mtu: number
  readonly dry_run: boolean
  /** What is to be sent, over all passes. */
  readonly planned: {
    readonly passes: number
    readonly frames: number
    readonly bytes: number
    readonly duration_s: number
    readonly throughput_mbps: number
    readonly packets_per_s: number
    readonly classes: readonly ReplayClass[]
  }
  /** Of one pass: frames that cannot be sent, and frames that are sent with zeros for what was not captured. */
  readonly not_sendable: {
    readonly too_long: number
    readonly too_short: number
    readonly not_ethernet: number
  }
  readonly cut_by_snaplen: number
  readonly truncated_at?: number
  /** Absent after a dry run. `frames_not_sent` are all frames of the file that did not go, for whatever reason. */
  readonly result?: ReplayCounts & { readonly frames_not_sent: number; readonly throughput_mbps: number }
}

async function replay(file: string, options: Options, command: Command): Promise<void> {
  const { json, quiet } = globalOptions(command)
  if (file === standardInput) {
    throw usageError('replay reads its file more than once, and cannot read standard input', {
      code: 'bad-option',
    })
  }
  const pace = paceOf(options)
  const passes = passesOf(options.loop)
  const rewrite = rewriteOf(options)
  const content: ReplayContent = {
    file,
    rewrite,
    ...(options.filter === undefined ? {} : { filter: options.filter }),
  }
  const mtuBytes = await mtuOf(options.dev)
  const found = await preflight(content, pace, mtuBytes)
  const planned = documentOf({ file, options, found, passes, mtuBytes })
  const { problem } = found
  if (!json && !quiet) printText(plannedText(planned, found))
  if (planned.planned.frames === 0) {
    if (json) printJson(planned)
    throw usageError(`${file} has no frame that could be sent on ${options.dev}`, { code: 'nothing-to-send' })
  }
  if (options.dryRun === true) {
    if (json) printJson(planned)
  } else {
    const { counts, error } = await sendAll(
      await prepareReplay({ ...content, device: options.dev, mtuBytes, pace, passes, exact: true }),
    )
    const notSent = passes * found.frames - counts.frames_sent
    const throughput = rate(counts.bytes_sent * 8, counts.duration_ms / 1000) / 1e6
    const result = { ...counts, frames_not_sent: notSent, throughput_mbps: throughput }
    if (json) printJson({ ...planned, result })
    else if (!quiet) printText(resultText(result))
    if (notSent > 0 && process.exitCode === undefined) process.exitCode = exitCode.failure
    if (error !== undefined) throw error
  }
  if (problem === undefined) return
  process.exitCode ??= exitCode.usage
  const next = `The ${found.frames} frames before byte ${problem.offset} are all there is.`
  printError({ code: 'capture-truncated', message: `${file}: ${problem.message}`, next }, false)
}

/** Sends until everything was tried, a signal came, or the interface went away. */
async function sendAll(
  replayer: Replayer,
): Promise<{ readonly counts: ReplayCounts; readonly error?: unknown }> {
  const signals = interrupts()
  signals.first.addEventListener('abort', () => {
    process.exitCode = signals.exitCode
    replayer.stop()
  })
  try {
    replayer.start()
    await replayer.ended
    return { counts: replayer.counts }
  } catch (error) {
    if (interfaceGone(error)) return { counts: replayer.counts, error }
    throw error
  } finally {
    signals.close()
  }
}

function paceOf({ speed, mbps, pps }: Options): Pace {
  const given = [speed, mbps, pps].filter((value) => value !== undefined)
  if (given.length > 1) {
    throw usageError('--speed, --mbps and --pps exclude each other', { code: 'bad-option' })
  }
  if (mbps !== undefined) return { kind: 'bps', bps: positive('--mbps', mbps) * 1e6 }
  if (pps !== undefined) return { kind: 'pps', pps: positive('--pps', pps) }
  return { kind: 'speed', speed: speed === undefined ? 1 : positive('--speed', speed) }
}

function rewriteOf({ vlan, pcp, dscp }: Options): Rewrite {
  if (vlan === 'none' && pcp !== undefined) {
    throw usageError('--vlan none leaves no tag that --pcp could set', { code: 'bad-option' })
  }
  return {
    ...(vlan === undefined ? {} : { vlan: vlan === 'none' ? vlan : whole('--vlan', vlan, 0, 4094) }),
    ...(pcp === undefined ? {} : { pcp: whole('--pcp', pcp, 0, 7) }),
    ...(dscp === undefined ? {} : { dscp: trafficClass(defaultTable, dscp).dscp }),
  }
}

function passesOf(loop: string): number {
  return whole('--loop', loop, 1, 1e9)
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && value > 0) return value
  throw usageError(`${option} ${text} is not a number above 0`, { code: 'bad-option' })
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw usageError(`${option} ${text} is not a whole number from ${min} to ${max}`, { code: 'bad-option' })
}

/** Largest IP packet of the interface, in bytes. Usage error when there is no such interface. */
async function mtuOf(device: string): Promise<number> {
  const outcome = await execute(['ip', '-j', 'link', 'show', 'dev', device])
  const [link] = outcome.status === 0 ? (JSON.parse(outcome.stdout) as readonly { mtu?: number }[]) : []
  if (link?.mtu !== undefined) return link.mtu
  throw usageError(`there is no interface '${device}'`, {
    code: 'unknown-interface',
    next: 'List them with: ip link',
  })
}

function documentOf(of: {
  readonly file: string
  readonly options: Options
  readonly found: Preflight
  readonly passes: number
  readonly mtuBytes: number
}): ReplayDocument {
  const { file, options, found, passes, mtuBytes } = of
  const { tooLong, tooShort, notEthernet, durationNs, problem } = found
  const frames = found.frames - tooLong - tooShort - notEthernet
  const gapNs = frames > 1 ? durationNs / (frames - 1) : 0
  const seconds = (passes * durationNs + (passes - 1) * gapNs) / 1e9
  return {
    schema: 'pagewire.replay/1',
    file,
    dev: options.dev,
    mtu: mtuBytes,
    dry_run: options.dryRun ?? false,
    planned: {
      passes,
      frames: passes * frames,
      bytes: passes * found.bytes,
      duration_s: seconds,
      throughput_mbps: rate(passes * found.bytes * 8, seconds) / 1e6,
      packets_per_s: rate(passes * frames, seconds),
      classes: found.classes,
    },
    not_sendable: { too_long: tooLong, too_short: tooShort, not_ethernet: notEthernet },
    cut_by_snaplen: found.cut,
    ...(problem === undefined ? {} : { truncated_at: problem.offset }),
  }
}

function plannedText(document: ReplayDocument, found: Preflight): string {
  const { planned, not_sendable, mtu, dev, dry_run } = document
  const each = planned.passes === 1 ? '' : ' in each pass'
  const lines = [
    `${dry_run ? 'Would send' : 'Sending'} ${document.file} on ${dev}${planned.passes === 1 ? '' : `, ${planned.passes} times`}`,
    '',
    `  frames    ${planned.frames}, ${planned.bytes} bytes`,
    `  duration  ${planned.duration_s.toFixed(3)} s: ${planned.throughput_mbps.toFixed(1)} Mbit/s, ${planned.packets_per_s.toFixed(0)} frames/s`,
    ...told(
      found.cut,
      `cut       ${found.cut} frames were cut by the snaplen${each}: zeros for what is missing`,
    ),
    ...told(
      not_sendable.too_long,
      `too long  ${not_sendable.too_long} frames${each} exceed the MTU of ${dev}, ${mtu}: not sent`,
    ),
    ...told(
      not_sendable.too_short,
      `too short ${not_sendable.too_short} frames${each} have no Ethernet header: not sent`,
    ),
    ...told(
      not_sendable.not_ethernet,
      `link      ${not_sendable.not_ethernet} frames${each} are not of an Ethernet link: not sent`,
    ),
  ]
  const rows = planned.classes.map((row) =>
    [row.vlan, row.pcp, row.dscp]
      .map((mark) => (mark === null ? '-' : String(mark)))
      .concat(String(row.frames), String(row.bytes)),
  )
  const heads = ['VLAN', 'PCP', 'DSCP', 'frames', 'bytes'].map((title) => ({
    title,
    align: 'right' as const,
  }))
  return `${lines.join('\n')}\n\n${columns(heads, rows)}\n`
}

function told(count: number, line: string): readonly string[] {
  return count === 0 ? [] : [`  ${line}`]
}

function resultText(result: NonNullable<ReplayDocument['result']>): string {
  const { frames_sent, bytes_sent, frames_not_sent, duration_ms, failure } = result
  const why = failure === null ? '' : ` (${failure})`
  const late = (ms: number | null): string => (ms ?? 0).toFixed(3)
  return [
    `Sent ${frames_sent} frames, ${bytes_sent} bytes in ${(duration_ms / 1000).toFixed(3)} s: ${result.throughput_mbps.toFixed(1)} Mbit/s`,
    `Not sent ${frames_not_sent}${why}`,
    `Late by ${late(result.late_ms_p50)} ms at the median, ${late(result.late_ms_p99)} ms at the 99th percentile, ${late(result.late_ms_max)} ms at most`,
  ].join('\n')
}

function rate(amount: number, seconds: number): number {
  return seconds > 0 ? amount / seconds : 0
}
