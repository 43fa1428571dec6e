/** `pagewire trace`: what a trace of writes says. */

import { Command } from 'commander'
import { type TraceSummary, traceSummary } from '../experiment/trace-summary.js'
import { parseTrace } from '../workload/trace.js'
import { columns } from './columns.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { readText } from './input.js'
import { printJson, printText } from './output.js'

/** Pages of the largest guest. */
const pagesMax = 2 ** 24

export function traceCommand(): Command {
  return new Command('trace')
    .description(
      prose(`
Summarises a trace of page writes: working set, dirty rate over time, and reuse distances, which are the different pages
written between two writes of the same page.

A trace is text: one write a line, the time in seconds since the start and the page number, times in order. # begins a
comment. A scenario replays it, over and over, with guest.workload: { kind: trace, file: FILE }.`),
    )
    .argument('<file>', 'the trace; - reads stdin')
    .action((file: string, _options: unknown, command: Command) => {
      const summary = traceSummary(parseTrace(readText(file), file, pagesMax))
      if (globalOptions(command).json) printJson({ file, ...summary })
      else printText(text(file, summary))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire predict my.yaml --record-trace writes.txt', 'makes one of a modelled guest'],
        ['pagewire trace writes.txt', 'what is in it'],
        [
          "pagewire predict --set 'guest.workload={kind: trace, file: writes.txt}'",
          'migrates a guest that writes so',
        ],
      ]),
    )
}

function text(file: string, summary: TraceSummary): string {
  const { reuse } = summary
  const right = (title: string) => ({ title, align: 'right' as const })
  const again = summary.writes - reuse.first_writes
  return [
    `${file}: ${summary.writes} writes in ${summary.duration_s} s, ${summary.writes_per_s} a second`,
    `working set ${summary.working_set_pages} pages, the highest is page ${summary.highest_page}`,
    '',
    columns(
      ['from s', 'to s', 'writes', 'dirty pages', 'first written'].map(right),
      summary.over_time.map((row) =>
        [row.from_s, row.to_s, row.writes, row.dirty_pages, row.new_pages].map(String),
      ),
    ),
    '',
    reuse.distance_median === null
      ? 'No page is written twice.'
      : `Reuse distance of the ${again} later writes: median ${reuse.distance_median} pages, 90 % below ${reuse.distance_p90}`,
    ...(again === 0
      ? []
      : [
          columns(
            ['distance below', 'writes', 'share'].map(right),
            reuse.histogram
              .filter(({ writes }) => writes > 0)
              .map(({ below, writes }) => [
                String(below),
                String(writes),
                `${((100 * writes) / again).toFixed(1)} %`,
              ]),
          ),
        ]),
  ].join('\n')
}
