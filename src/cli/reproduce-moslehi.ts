/** `pagewire reproduce moslehi`: the tables of Moslehi & Mohebbi. */

import { Command } from 'commander'
import {
  type MoslehiReproduction,
  type MoslehiRow,
  reproduceMoslehi,
} from '../experiment/reproduce-moslehi.js'
import { strategyNamed } from '../strategies/index.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printJson, printText } from './output.js'

export function reproduceMoslehiCommand(): Command {
  return new Command('moslehi')
    .description(
      prose(`
Sets the proposal of Moslehi & Mohebbi against Xen's pre-copy on the model: its cache alone, its priority alone, both,
with an idle network as in the paper and with cross-traffic, which the paper never had; and says which of the paper's
own figures contradict each other. Needs no root.

The paper gives neither dirty rates nor page counts to set a guest by: compare directions, not digits.`),
    )
    .action(async (_options: unknown, command: Command) => {
      const result = await reproduceMoslehi({
        xen: strategyNamed('pre-copy'),
        cache: strategyNamed('async-cache'),
      })
      if (globalOptions(command).json) printJson(result)
      else printText(text(result))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire reproduce moslehi', 'the table, and what holds of the claims'],
        ['pagewire reproduce moslehi --json', 'the same for programs'],
      ]),
    )
}

function text({ paper, setting, rows, table2, claims }: MoslehiReproduction): string {
  const saved = [table2.pages_saving, table2.time_saving, table2.downtime_saving].map(percent).join(', ')
  const verdicts = claims.map(({ claim, verdict, because }) => `  ${claim}\n    ${verdict}: ${because}`)
  return [
    `${paper}, on the model`,
    setting,
    '',
    'workload  traffic  scheme            pages   time ms  downtime ms   saved of pages, time, downtime',
    ...rows.map(line),
    '',
    `Table 2 of the paper, recomputed: ${saved} of pages, time and downtime.`,
    '',
    'What the paper claims:',
    ...verdicts,
  ].join('\n')
}

function line(row: MoslehiRow): string {
  const saved = [row.pages_saving, row.time_saving, row.downtime_saving]
  return [
    row.workload.padEnd(10),
    (row.cross_traffic ? 'yes' : 'no').padEnd(9),
    row.scheme.padEnd(15),
    String(row.pages_sent).padStart(8),
    String(Math.round(row.total_time_ms)).padStart(10),
    (row.downtime_ms === null ? row.outcome : row.downtime_ms.toFixed(1)).padStart(13),
    '   ',
    saved.map((fraction) => (fraction === null ? '-' : percent(fraction)).padStart(9)).join(''),
  ].join('')
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`
}
