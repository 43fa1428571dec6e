/** `pagewire reproduce moslehi`: the tables of Moslehi & Mohebbi. */

import { Command } from 'commander'
import { moslehiLab, withEmulatedMoslehi } from '../experiment/emulate-moslehi.js'
import {
  type MoslehiFigures,
  type MoslehiReproduction,
  type MoslehiRow,
  reproduceMoslehi,
} from '../experiment/reproduce-moslehi.js'
import { strategyNamed } from '../strategies/index.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printJson, printText } from './output.js'
import { emulated, type ReproductionOptions, reproductionOptions, writeFigures } from './reproduction.js'

export function reproduceMoslehiCommand(): Command {
  const command = new Command('moslehi').description(
    prose(`
Sets the proposal of Moslehi & Mohebbi against Xen's pre-copy on the model: its cache alone, its priority alone, both,
with an idle network as in the paper and with cross-traffic, which the paper never had; and says which of the paper's
own figures contradict each other. Needs no root; with --emulator the same is measured on real frames, which does.

The paper gives neither dirty rates nor page counts to set a guest by: compare directions, not digits.`),
  )
  return reproductionOptions(command, 240)
    .action(async (options: ReproductionOptions, command: Command) => {
      const model = await reproduceMoslehi({
        xen: strategyNamed('pre-copy'),
        cache: strategyNamed('async-cache'),
      })
      const result = options.emulator
        ? await emulated(moslehiLab(), command, (migrate, began) =>
            withEmulatedMoslehi(model, migrate, began),
          )
        : model
      const files = await writeFigures(options.svg, ({ moslehiFigures }) => moslehiFigures(result))
      if (globalOptions(command).json) printJson(result)
      else printText([text(result), ...files].join('\n'))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire reproduce moslehi', 'the table, and what holds of the claims'],
        ['pagewire reproduce moslehi --json', 'the same for programs'],
        ['sudo pagewire reproduce moslehi --emulator --svg figures', 'on real frames too, with pictures'],
      ]),
    )
}

function text({ paper, setting, emulator, rows, table2, claims }: MoslehiReproduction): string {
  const saved = [table2.pages_saving, table2.time_saving, table2.downtime_saving].map(percent).join(', ')
  const verdicts = claims.map(({ claim, verdict, because }) => `  ${claim}\n    ${verdict}: ${because}`)
  return [
    `${paper}, on the model`,
    setting,
    '',
    'workload  traffic  scheme            pages   time ms  downtime ms   saved of pages, time, downtime',
    ...rows.map((row) => line(row, row, [row.pages_saving, row.time_saving, row.downtime_saving])),
    ...(emulator === undefined
      ? []
      : ['', `On real frames: ${emulator.setting}`, ...rows.flatMap(emulatedLine)]),
    '',
    `Table 2 of the paper, recomputed: ${saved} of pages, time and downtime.`,
    '',
    'What the paper claims:',
    ...verdicts,
  ].join('\n')
}

function emulatedLine(row: MoslehiRow): string[] {
  const { emulator, emulator_pages_saving, emulator_time_saving, emulator_downtime_saving } = row
  if (emulator === undefined) return []
  const saved = [emulator_pages_saving, emulator_time_saving, emulator_downtime_saving]
  return [`${line(row, emulator, saved)}${emulator.verified ? '' : '  not verified'}`]
}

function line(
  row: MoslehiRow,
  figures: MoslehiFigures,
  saved: readonly (number | null | undefined)[],
): string {
  return [
    row.workload.padEnd(10),
    (row.cross_traffic ? 'yes' : 'no').padEnd(9),
    row.scheme.padEnd(15),
    String(figures.pages_sent).padStart(8),
    String(Math.round(figures.total_time_ms)).padStart(10),
    (figures.downtime_ms === null ? figures.outcome : figures.downtime_ms.toFixed(1)).padStart(13),
    '   ',
    saved.map((fraction) => (typeof fraction === 'number' ? percent(fraction) : '-').padStart(9)).join(''),
  ].join('')
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`
}
