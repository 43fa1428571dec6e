/** `pagewire monitor`: live throughput per class on an interface, in the terminal or as JSON lines. */

import { Command } from 'commander'
import type { ClassCount } from '../capture/class-counter.js'
import { type Meter, type MeterInterval, startMeter } from '../capture/meter.js'
import { classOfDscp, defaultTable, pcpServiceOrder } from '../marking/traffic-class.js'
import { exitCode } from '../support/errors.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { outputClosed, printJsonLine, printText } from './output.js'

const intervalMs = 1000
const clearScreen = '\x1b[2J'

export function monitorCommand(): Command {
  return new Command('monitor')
    .description(
      prose(`
Shows, once a second, the throughput and packet rate of each 802.1Q priority and DSCP on an interface, both directions
together. It also compares what it saw with the interface's own counters and says how many frames it missed. Ends with
an interrupt, or with exit 1 when the interface goes away.`),
    )
    .requiredOption('--dev <interface>', 'the interface to watch')
    .action(async (options: { dev: string }, command: Command) => {
      const { json } = globalOptions(command)
      const onTerminal = !json && process.stdout.isTTY
      const show = json ? printJsonLine : onTerminal ? repaint : printBlock
      const totals = new Totals(options.dev)
      const meter = await startMeter({
        inside: [],
        device: options.dev,
        intervalMs,
        onInterval: (interval) => show(totals.report(interval)),
      })
      if (onTerminal) process.stdout.write(clearScreen)
      stopWithSignals(meter)
      outputClosed.addEventListener('abort', () => meter.stop())
      await meter.ended
    })
    .addHelpText(
      'after',
      examples([
        ['sudo pagewire monitor --dev eth0', 'a table, renewed every second'],
        ['sudo pagewire monitor --dev eth0 --json | jq .total', 'one JSON document per second'],
        [
          'sudo ip netns exec pw-hand-switch pagewire monitor --dev destination',
          'the congested port of a lab that `lab up` built',
        ],
      ]),
    )
}

function stopWithSignals(meter: Meter): void {
  for (const [signal, status] of [
    ['SIGINT', exitCode.sigint],
    ['SIGTERM', exitCode.sigterm],
  ] as const) {
    process.once(signal, () => {
      process.exitCode = status
      meter.stop()
    })
  }
}

interface ClassRate {
  readonly pcp: number | null
  readonly dscp: number | null
  /** Name of the DSCP's class; null for what is not IP. */
  readonly class: string | null
  readonly packets: number
  readonly packets_per_s: number
  readonly throughput_mbps: number
}

/** One line of `monitor --json`. */
interface MonitorReport {
  readonly schema: 'pagewire.monitor/1'
  readonly dev: string
  readonly elapsed_s: number
  readonly interval_s: number
  readonly classes: readonly ClassRate[]
  readonly total: { readonly packets_per_s: number; readonly throughput_mbps: number }
  /** Since the start: frames seen, frames that the interface counted, and the share that was missed. */
  readonly seen: number
  readonly on_interface: number
  readonly missed_ratio: number
}

class Totals {
  private elapsedMs = 0
  private seen = 0
  private onInterface = 0

  constructor(private readonly device: string) {}

  report(interval: MeterInterval): MonitorReport {
    const seconds = interval.duration_ms / 1000
    this.elapsedMs += interval.duration_ms
    this.seen += interval.frames
    this.onInterface += interval.frames_on_interface
    const bytes = interval.classes.reduce((sum, row) => sum + row.bytes, 0)
    // A frame may be counted by one side just before the moment of comparison and by the other just after it.
    const missed = Math.max(0, this.onInterface - this.seen)
    return {
      schema: 'pagewire.monitor/1',
      dev: this.device,
      elapsed_s: rounded(this.elapsedMs / 1000),
      interval_s: rounded(seconds),
      classes: [...interval.classes].sort(byService).map((row) => rateOf(row, seconds)),
      total: {
        packets_per_s: rounded(interval.frames / seconds),
        throughput_mbps: rounded((bytes * 8) / seconds / 1e6),
      },
      seen: this.seen,
      on_interface: this.onInterface,
      missed_ratio: this.onInterface === 0 ? 0 : missed / this.onInterface,
    }
  }
}

function rateOf(row: ClassCount, seconds: number): ClassRate {
  return {
    pcp: row.pcp,
    dscp: row.dscp,
    class: row.dscp === null ? null : classOfDscp(defaultTable, row.dscp).name,
    packets: row.frames,
    packets_per_s: rounded(row.frames / seconds),
    throughput_mbps: rounded((row.bytes * 8) / seconds / 1e6),
  }
}

/** As a strict scheduler serves them; untagged frames last. */
function byService(a: ClassCount, b: ClassCount): number {
  const place = (row: ClassCount): number =>
    row.pcp === null ? pcpServiceOrder.length : pcpServiceOrder.indexOf(row.pcp)
  return place(a) - place(b) || (b.dscp ?? -1) - (a.dscp ?? -1)
}

function repaint(report: MonitorReport): void {
  // Cursor home, then each line cleared to its end, then everything below: no flicker, unlike a cleared screen.
  process.stdout.write(`\x1b[H${table(report).join('\x1b[K\n')}\x1b[K\n\x1b[J`)
}

function printBlock(report: MonitorReport): void {
  printText(`${table(report).join('\n')}\n`)
}

function table(report: MonitorReport): readonly string[] {
  const row = (...cells: string[]): string =>
    cells.map((cell, i) => (i === 1 ? cell.padEnd(12) : cell.padStart(i === 0 ? 4 : 10))).join('  ')
  const missed = (report.missed_ratio * 100).toFixed(report.missed_ratio === 0 ? 0 : 3)
  return [
    `${report.dev}  ${report.elapsed_s.toFixed(0)} s  missed ${missed} % of ${report.on_interface} frames`,
    row('PCP', 'class', 'DSCP', 'Mbit/s', 'packets/s'),
    ...report.classes.map((line) =>
      row(
        line.pcp === null ? '-' : String(line.pcp),
        line.class ?? 'not IP',
        line.dscp === null ? '-' : String(line.dscp),
        line.throughput_mbps.toFixed(2),
        line.packets_per_s.toFixed(0),
      ),
    ),
    row('', 'total', '', report.total.throughput_mbps.toFixed(2), report.total.packets_per_s.toFixed(0)),
  ]
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
