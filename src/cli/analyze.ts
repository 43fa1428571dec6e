/**
 * `pagewire analyze`: everything that can be told from captures. Loads no native module, and what only some calls need
 * (pairs, runs, pictures, CSV) only for them: one capture is analysed in not much more time than it takes to start.
 */

import { statSync, writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import {
  type ClassDocument,
  classRows,
  type FileRow,
  type FlowDocument,
  fileRow,
  flowRows,
  type SeriesDocument,
  seriesRows,
} from '../analysis/analysis-document.js'
import { analyseCapture, type CaptureOptions } from '../analysis/capture-analysis.js'
import type { CapturePass } from '../analysis/capture-pass.js'
import { eventMeanings } from '../analysis/event-meanings.js'
import type { EventWatch } from '../analysis/events.js'
import { compileFilter, filterFields } from '../analysis/filter.js'
import type { MigrationDocument } from '../analysis/migration-watch.js'
import type { PairResult } from '../analysis/pair-analysis.js'
import { standardInput } from '../capture/bytes.js'
import { openCapture } from '../capture/read.js'
import { TimeBase } from '../capture/record-scanner.js'
import { exitCode, failure, messageOf, usageError } from '../support/errors.js'
import { parseDurationNs } from '../support/units.js'
import type { EventLines } from './analyze-events.js'
import type { RunComparison } from './analyze-run.js'
import { analysisText } from './analyze-text.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printError, printJson, printText } from './output.js'

interface Options {
  readonly filter?: string
  readonly from?: string
  readonly to?: string
  readonly interval: string
  readonly csv?: string
  readonly events?: string
  readonly by: 'class' | 'flow'
  readonly plot?: string
  readonly top: string
  /** True with --pair, false with --no-pair, absent without either. */
  readonly pair?: boolean
}

/** The document of `analyze --json`. */
export interface AnalysisDocument {
  readonly schema: 'pagewire.analysis/1'
  readonly files: readonly FileRow[]
  readonly classes: readonly ClassDocument[]
  readonly flows: readonly FlowDocument[]
  readonly series?: readonly SeriesDocument[]
  /** Each capture compared with the next, if they show the same traffic. */
  readonly pairs?: readonly PairResult[]
  /** The largest migration that was recognised, and all of them if there are several. */
  readonly migration?: MigrationDocument
  readonly migrations?: readonly MigrationDocument[]
  /** Run directories: their figures from the captures, compared with their result.json. */
  readonly runs?: readonly RunComparison[]
}

const defaultInterval = '1s'

export function analyzeCommand(): Command {
  return new Command('analyze')
    .description(
      prose(`
Tells from captures what each class (VLAN, PCP, DSCP) and each flow got: packets, bytes, goodput, retransmissions,
reordering, duplicate acknowledgements, windows, round trips, time series. Reads pcap (micro- and nanosecond, both byte
orders) and pcapng, plain or compressed with gzip or zstd, of Ethernet, raw IP, Linux cooked and BSD loopback links; -
reads standard input.

A live migration in the capture, of Pagewire or of QEMU (pre- and post-copy over TCP), is recognised on any port and
told round by round, as far as its payload was captured.

Two captures of the same traffic at two points are compared frame by frame: true loss, one-way and queueing delay,
reordering, rewritten marks, and the offset between the clocks.

A capture that is cut off or broken is analysed up to there; the byte offset is reported and the exit code is 2.`),
    )
    .argument('<file...>', 'captures, or directories of runs; - for standard input')
    .option('-Y, --filter <expression>', 'only frames that pass, e.g. "pcp==7 && tcp"')
    .option('--from <time>', 'only frames from this long after the first one, e.g. 2s')
    .option('--to <time>', 'only frames before this long after the first one')
    .option(
      '--interval <duration>',
      'bins of the time series, which begin at the first frame of the file, whatever is left out',
      defaultInterval,
    )
    .option('--csv <file>', 'write the time series as CSV; - for standard output')
    .addOption(
      new Option('--by <what>', 'whose time series the CSV has').choices(['class', 'flow']).default('class'),
    )
    .option('--events <file>', 'write what happened as JSON lines, one per event; - for standard output')
    .option('--plot <file>', 'draw the pages of the migration over time, as SVG')
    .option(
      '--pair',
      'the captures are of the same traffic at one point after another: match frames between neighbours (default for two)',
    )
    .option('--no-pair', 'two captures have nothing to do with each other')
    .option('--top <n>', 'flows that the summary shows', '10')
    .action(async (files: readonly string[], options: Options, command: Command) => {
      await analyze(files, options, command)
    })
    .addHelpText('after', filterHelp())
    .addHelpText('after', eventHelp())
    .addHelpText(
      'after',
      examples([
        ['pagewire analyze trace.pcap', 'classes and flows of one capture'],
        ['pagewire analyze *.pcapng.gz --json | jq .classes', 'several at once, as one document'],
        [
          'pagewire analyze trace.pcap -Y "pcp==7 && tcp" --csv - --interval 100ms',
          'throughput in steps of 100 ms',
        ],
        ['pagewire analyze before.pcap after.pcap', 'what was lost, delayed or re-marked between two points'],
        [
          'pagewire analyze pagewire-runs/20260131-235959-demo',
          'do the captures still give the figures of result.json?',
        ],
        [
          'pagewire analyze qemu.pcap --plot pages.svg',
          'the rounds of a migration, and a picture of its pages',
        ],
        [
          'pagewire analyze trace.pcap --events - | jq \'select(.event == "mark-change")\'',
          'where marks changed in mid-flow',
        ],
        ['tcpdump -w - -i eth0 -c 10000 | pagewire analyze -', 'from a pipe'],
      ]),
    )
}

function filterHelp(): string {
  const width = Math.max(...[...filterFields.keys()].map((name) => name.length))
  const fields = [...filterFields].map(([name, { meaning }]) => `  ${name.padEnd(width)}  ${meaning}`)
  return [
    '',
    'Filters: == != > < >= <= (or eq ne gt lt ge le), in {1 5..7}, && || ! (or and or not), parentheses.',
    'Fields, as in Wireshark:',
    ...fields,
  ].join('\n')
}

function eventHelp(): string {
  const width = Math.max(...[...eventMeanings.keys()].map((name) => name.length))
  const lines = [...eventMeanings].map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`.trimEnd())
  return [
    '',
    'Events, each with file, at_s (since the first frame) and, without filter and time range, frame (its number):',
    ...lines,
  ].join('\n')
}

export interface Analysed {
  readonly file: FileRow
  readonly pass: CapturePass
  readonly migrations: readonly MigrationDocument[]
}

async function analyze(inputs: readonly string[], options: Options, command: Command): Promise<void> {
  const { json, quiet } = globalOptions(command)
  const directories = inputs.filter(isDirectory)
  const run = directories.length === 0 ? undefined : await import('./analyze-run.js')
  const files = inputs.flatMap((input) =>
    run !== undefined && directories.includes(input) ? run.runCaptures(input) : [input],
  )
  const captureOptions = readOptions(options)
  const top = Number(options.top)
  if (!Number.isInteger(top) || top < 0) {
    throw usageError(`--top ${options.top} is not a number of flows`, { code: 'bad-option' })
  }
  const withSeries = command.getOptionValueSource('interval') === 'cli'
  const { events: eventPath } = options
  if (json && eventPath === '-') {
    throw usageError('--json and --events - both want standard output', { code: 'bad-option' })
  }
  const events =
    eventPath === undefined ? undefined : new (await import('./analyze-events.js')).EventLines(eventPath)
  const { analysed, document: single } = await analyzeFiles(
    files,
    captureOptions,
    withSeries,
    events,
    // The summary shows no more of them; ten thousand rows take longer than their packets.
    json ? Number.POSITIVE_INFINITY : top,
  )
  events?.close()
  const pairs = await comparePairs(files, options)
  const runs: RunComparison[] = []
  for (const directory of directories) if (run !== undefined) runs.push(await run.compareRun(directory))
  const document: AnalysisDocument = {
    ...single,
    ...(pairs === undefined ? {} : { pairs }),
    ...(runs.length === 0 ? {} : { runs }),
  }
  if (options.csv !== undefined) {
    const { seriesCsv } = await import('./analyze-csv.js')
    writeOut(options.csv, seriesCsv(analysed, options.by))
  }
  if (options.plot !== undefined) await writePlot(options.plot, analysed)
  if (json) printJson(document)
  else if (!quiet && options.csv !== '-' && eventPath !== '-') {
    const flowCounts = new Map(analysed.map(({ file, pass }) => [file.file, pass.flows.count]))
    printText(analysisText(document, top, flowCounts))
  }
  for (const { file } of analysed) reportProblem(file)
  for (const run of runs) reportDifferences(run)
}

function isDirectory(path: string): boolean {
  return path !== standardInput && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false)
}

/** All but reading options and printing. The document has the `mostFlows` largest flows of each file. */
export async function analyzeFiles(
  files: readonly string[],
  options: CaptureOptions,
  withSeries = false,
  events?: EventLines,
  mostFlows = Number.POSITIVE_INFINITY,
): Promise<{ readonly analysed: readonly Analysed[]; readonly document: AnalysisDocument }> {
  const analysed: Analysed[] = []
  for (const file of files) analysed.push(await analyzeFile(file, options, events))
  return { analysed, document: documentOf(analysed, withSeries, mostFlows) }
}

/** Neighbours among the captures; undefined if none is wanted, or if two captures turn out to be no pair. */
async function comparePairs(files: readonly string[], options: Options): Promise<PairResult[] | undefined> {
  const wanted = options.pair === true
  if (options.pair === false || (!wanted && (files.length !== 2 || files.includes(standardInput))))
    return undefined
  if (files.length < 2 || files.includes(standardInput)) {
    throw usageError('--pair needs two files or more, and reads each of them twice', { code: 'bad-option' })
  }
  const { analysePair } = await import('../analysis/pair-analysis.js')
  const pairs: PairResult[] = []
  for (const [i, file] of files.slice(1).entries()) {
    const before = files[i] ?? ''
    const pair = await analysePair(before, file)
    if (pair) pairs.push(pair)
    else if (wanted) {
      throw usageError(`${before} and ${file} have no frame in common`, {
        code: 'no-pair',
        next: 'Order the captures as the traffic passes them, and leave out --pair if they are of different traffic.',
      })
    }
  }
  return pairs.length === 0 ? undefined : pairs
}

function readOptions(options: Options): CaptureOptions {
  const intervalNs = parseDurationNs(options.interval)
  if (intervalNs <= 0) throw usageError('--interval must be longer than 0', { code: 'bad-option' })
  return {
    intervalNs,
    filter: options.filter === undefined ? undefined : compileFilter(options.filter),
    fromNs: options.from === undefined ? undefined : parseDurationNs(options.from),
    toNs: options.to === undefined ? undefined : parseDurationNs(options.to),
    seriesOfFlows: options.csv !== undefined && options.by === 'flow',
    pageDots: options.plot !== undefined,
  }
}

async function analyzeFile(path: string, options: CaptureOptions, events?: EventLines): Promise<Analysed> {
  const timeBase = new TimeBase()
  const reader = await openCapture(path, timeBase)
  const watch = events && (await watchFor(path, options, events))
  try {
    const pass = await analyseCapture(
      reader,
      watch === undefined ? options : { ...options, also: (frame, at) => watch.frame(frame, at) },
    )
    const migrations = pass.migrations.result()
    watch?.end(pass)
    return { file: fileRow(path, reader, pass, timeBase), pass, migrations }
  } finally {
    await reader.close()
  }
}

async function watchFor(
  path: string,
  { filter, fromNs, toNs }: CaptureOptions,
  events: EventLines,
): Promise<EventWatch> {
  const { EventWatch } = await import('../analysis/events.js')
  const numbered = filter === undefined && fromNs === undefined && toNs === undefined
  return new EventWatch((event) => events.add(path, event), numbered)
}

function documentOf(analysed: readonly Analysed[], withSeries: boolean, mostFlows: number): AnalysisDocument {
  const migrations = analysed
    .flatMap(({ migrations: found }) => found)
    .toSorted((a, b) => b.pages.sent - a.pages.sent)
  const [migration] = migrations
  return {
    schema: 'pagewire.analysis/1',
    files: analysed.map(({ file }) => file),
    classes: analysed.flatMap(({ file, pass }) => classRows(file.file, pass)),
    flows: analysed.flatMap(({ file, pass }) => flowRows(file.file, pass, mostFlows)),
    ...(migration === undefined ? {} : { migration }),
    ...(migrations.length > 1 ? { migrations } : {}),
    ...(withSeries ? { series: analysed.flatMap(({ file, pass }) => seriesRows(file.file, pass)) } : {}),
  }
}

/** The results are out by now: what was good is still printed. */
function reportProblem(file: FileRow): void {
  if (file.problem === undefined) return
  process.exitCode = exitCode.usage
  printError(
    {
      code: 'capture-truncated',
      message: `${file.file}: ${file.problem}`,
      next: `The ${file.packets} frames before byte ${file.truncated_at} were analysed.`,
    },
    false,
  )
}

function reportDifferences({ run_dir, differences }: RunComparison): void {
  if (differences.length === 0) return
  process.exitCode = exitCode.failure
  const paths = differences.map(({ path }) => path).join(', ')
  printError(
    { code: 'not-reproduced', message: `${run_dir}: result.json and the captures differ in ${paths}` },
    false,
  )
}

async function writePlot(path: string, analysed: readonly Analysed[]): Promise<void> {
  const { pagePlot } = await import('../analysis/page-plot.js')
  for (const { file, pass, migrations } of analysed) {
    const dots = pass.migrations.pageDots()
    const [first] = migrations
    if (dots === undefined || first === undefined) continue
    const title = `${first.protocol} migration ${first.source} to ${first.destination}, ${file.file}`
    writeOut(path, pagePlot(dots, title))
    return
  }
  throw usageError('no migration was recognised, so there is nothing to draw', {
    code: 'no-migration',
    next: 'The payload must be in the capture: record it with a snaplen of 0.',
  })
}

function writeOut(path: string, text: string): void {
  if (path === '-') {
    printText(text)
    return
  }
  try {
    writeFileSync(path, text)
  } catch (error) {
    throw failure(`cannot write ${path}: ${messageOf(error)}`, { code: 'cannot-write', cause: error })
  }
}
