/** `pagewire probe`: round-trip time, jitter and loss per traffic class, through the lab or between two hosts. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { Command, Option } from 'commander'
import { type ProbeJob, probe } from '../agent/probe/prober.js'
import type { ClassProbe } from '../agent/probe/statistics.js'
import { type ProbePhase, probeLab } from '../experiment/lab-probe.js'
import { readScenario } from '../experiment/scenario.js'
import { defaultTable, type MarkingTable, type TrafficClass, trafficClass } from '../marking/traffic-class.js'
import { failure, messageOf, PagewireError, usageError } from '../support/errors.js'
import { parseDurationNs } from '../support/units.js'
import { requireLab } from '../topology/requirements.js'
import { columns } from './columns.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'
import { interrupts } from './interrupts.js'
import { printJson, printJsonLine, printText } from './output.js'
import { probePortOption } from './probe-options.js'

interface Options {
  readonly to?: string
  readonly from?: string
  readonly port: number
  readonly class: string
  readonly interval: string
  readonly duration: string
  readonly set: readonly string[]
  readonly control?: true
}

/** One class per PCP, from the one served first. */
const eightClasses = 'CS7,CS6,EF,CS4,CS3,CS2,best-effort,LE'
const mostClasses = 64
const shortestIntervalNs = 1e6
const longestDurationNs = 3600e9

export function probeCommand(): Command {
  return new Command('probe')
    .description(
      prose(`
Sends marked UDP probes of several traffic classes at once and reports, for each, round-trip time, jitter and loss, one
way each where both ends share a clock, and whether a DSCP was changed on the way.

Without --to it builds the lab of the scenario and probes from source to destination, first idle, then under the
scenario's cross-traffic. With --to it probes a host that runs \`pagewire agent reflector\`. Needs root.`),
    )
    .argument('[scenario]', 'the lab and its load; - reads stdin, without it the default scenario')
    .addOption(setOption())
    .option('--to <address>', 'IPv4 address of a reflector, instead of a lab')
    .option('--from <address>', 'IPv4 address of this host to probe from (with --to)')
    .addOption(probePortOption())
    .option('--class <names>', 'classes to probe: names or DSCPs, with commas', eightClasses)
    .option('--interval <duration>', 'between two probes of one class', '10ms')
    .option('--duration <duration>', 'of each phase', '5s')
    .addOption(new Option('--control', 'read a job from stdin and print its result as a line').hideHelp())
    .action(async (file: string | undefined, options: Options, command: Command) => {
      if (options.control) await controlled()
      else process.exitCode = await act(file, options, globalOptions(command))
    })
    .addHelpText(
      'after',
      examples([
        ['sudo pagewire probe', 'the default lab, idle and under its cross-traffic'],
        [
          'sudo pagewire probe my.yaml --class CS7,best-effort --duration 20s',
          'two classes of your scenario',
        ],
        ['sudo pagewire probe --to 192.0.2.7 --json', 'to a host with a reflector'],
      ]),
    )
}

/** `probe --json`. */
interface ProbeDocument {
  readonly schema: 'pagewire.probe/1'
  readonly outcome: 'completed' | 'cancelled'
  readonly interval_ms: number
  readonly duration_ms: number
  readonly phases: readonly ProbePhase[]
}

async function act(
  file: string | undefined,
  options: Options,
  { json, quiet }: { readonly json: boolean; readonly quiet: boolean },
): Promise<number> {
  const signals = interrupts()
  try {
    const timing = {
      intervalNs: durationBetween(options.interval, 'interval', shortestIntervalNs, longestDurationNs),
      durationNs: durationBetween(options.duration, 'duration', shortestIntervalNs, longestDurationNs),
    }
    const phases =
      options.to === undefined
        ? await throughLab(file, options, timing, signals.first, !quiet && !json)
        : await toHost(options.to, options, timing, signals.first)
    const cancelled = signals.exitCode !== undefined
    const document: ProbeDocument = {
      schema: 'pagewire.probe/1',
      outcome: cancelled ? 'cancelled' : 'completed',
      interval_ms: timing.intervalNs / 1e6,
      duration_ms: timing.durationNs / 1e6,
      phases,
    }
    if (json) printJson(document)
    else if (phases.length > 0) printText(phases.map(phaseText).join('\n\n'))
    return signals.exitCode ?? 0
  } finally {
    signals.close()
  }
}

type Timing = Pick<ProbeJob, 'intervalNs' | 'durationNs'>

async function throughLab(
  file: string | undefined,
  options: Options,
  timing: Timing,
  cancel: AbortSignal,
  chatty: boolean,
): Promise<readonly ProbePhase[]> {
  const { text, name } = scenarioInput(file)
  const { scenario } = readScenario(text, name, options.set, beside(name))
  const classes = classesOf(scenario.marking, options.class)
  requireLab()
  const onPhase = (what: string): void => {
    if (chatty && process.stderr.isTTY) process.stderr.write(`${what}\n`)
  }
  return await probeLab({ scenario, classes, ...timing, onPhase, cancel })
}

async function toHost(
  to: string,
  options: Options,
  timing: Timing,
  stop: AbortSignal,
): Promise<readonly ProbePhase[]> {
  for (const address of [to, options.from ?? to]) {
    if (!net.isIPv4(address)) throw usageError(`'${address}' is not an IPv4 address`, { code: 'bad-address' })
  }
  const reflector = { host: to, port: options.port }
  const local = options.from ?? (await localAddressTowards(to))
  const classes = await probe(
    { local, reflector, classes: classesOf(defaultTable, options.class), ...timing },
    stop,
  )
  if (!stop.aborted && classes.every(({ received }) => received === 0)) {
    throw failure(`no answer from ${to}:${options.port}`, {
      code: 'no-reflector',
      next: `Start one there: sudo pagewire agent reflector --address ${to}`,
    })
  }
  return [{ phase: 'idle', classes, cross_traffic: [] }]
}

/** The address that the routing table would choose. */
async function localAddressTowards(host: string): Promise<string> {
  const socket = createSocket('udp4')
  try {
    socket.connect(9, host)
    await once(socket, 'connect')
    return socket.address().address
  } catch (cause) {
    throw failure(`there is no way to ${host}: ${messageOf(cause)}`, { code: 'no-route', cause })
  } finally {
    socket.close()
  }
}

/** One job from whoever started this process; its end of stdin stops the probing. */
async function controlled(): Promise<void> {
  const stop = new AbortController()
  let answered: Promise<void> | undefined
  for await (const line of createInterface({ input: process.stdin })) answered ??= answer(line, stop.signal)
  stop.abort()
  await answered
}

async function answer(line: string, stop: AbortSignal): Promise<void> {
  try {
    // Written by lab-probe.ts, of the same build.
    const job = JSON.parse(line) as ProbeJob
    printJsonLine({ classes: await probe(job, stop) })
  } catch (error) {
    const known = error instanceof PagewireError ? error : undefined
    printJsonLine({
      error: {
        code: known?.code ?? 'internal',
        message: messageOf(error),
        ...(known?.next !== undefined && { next: known.next }),
      },
    })
  }
}

function classesOf(table: MarkingTable, names: string): readonly TrafficClass[] {
  const classes = names.split(',').map((name) => trafficClass(table, name))
  if (classes.length <= mostClasses) return classes
  throw usageError(`${classes.length} classes are too many; there are ${mostClasses} DSCPs`, {
    code: 'too-many-classes',
  })
}

function durationBetween(text: string, what: string, leastNs: number, mostNs: number): number {
  const ns = parseDurationNs(text)
  if (ns >= leastNs && ns <= mostNs) return ns
  throw usageError(`--${what} ${text} is not between 1ms and 1h`, { code: 'bad-duration' })
}

function phaseText({ phase, classes, cross_traffic: traffic }: ProbePhase): string {
  const load = traffic.map((row) => `${row.kind} ${row.class} ${row.achieved_mbps.toFixed(1)} Mbit/s`)
  const title = phase === 'idle' ? 'Idle' : `Under load: ${load.join(', ')}`
  return `${title}\n${columns(heads, classes.map(rowText))}${remarkText(classes)}`
}

const heads = [
  { title: 'class', align: 'left' },
  ...['DSCP', 'PCP', 'sent', 'lost', 'loss %', 'RTT p50 ms', 'p90', 'p99', 'max', 'jitter ms'].map(
    (title) => ({ title, align: 'right' }) as const,
  ),
] as const

function rowText(row: ClassProbe): readonly string[] {
  const { rtt_ms: rtt, jitter_ms: jitter } = row
  const ms = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(3))
  return [
    row.class,
    ...[row.dscp, row.pcp, row.sent, row.sent - row.received].map(String),
    (row.loss_ratio * 100).toFixed(2),
    ...[rtt?.p50, rtt?.p90, rtt?.p99, rtt?.max, jitter?.mean].map(ms),
  ]
}

function remarkText(classes: readonly ClassProbe[]): string {
  const changed = classes.filter((row) => row.remarked_there + row.remarked_back > 0)
  const lines = changed.map(
    (row) =>
      `\nThe DSCP of ${row.class} was changed on ${row.remarked_there} probes on the way there, ${row.remarked_back} on the way back.`,
  )
  return lines.join('')
}
