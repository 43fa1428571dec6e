/** `pagewire reproduce stord`: the figures of Cha et al. */

import { Command } from 'commander'
import { stordLab, withEmulatedStord } from '../experiment/emulate-stord.js'
import { reproduceStord, type StordReproduction, type StordRow } from '../experiment/reproduce-stord.js'
import { strategyNamed } from '../strategies/index.js'
import { columns } from './columns.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printJson, printText } from './output.js'
import { emulated, type ReproductionOptions, reproductionOptions, writeFigures } from './reproduction.js'

export function reproduceStordCommand(): Command {
  const command = new Command('stord').description(
    prose(`
Reproduces figures 4, 5 and 6 of Cha et al. (2015): what STORD saves of pre-copy's total time for 1 to 10 pieces and
dirty ratios from 0.2 to 0.9, from the closed form (their equation 3, as re-derived) and from the model, with what the
paper claims beside it, and a sentence on each claim.

The model runs under the paper's own assumptions: a logical clock, writes that stay inside the outstanding memory, and
a pre-copy without any cap. Needs no root. With --emulator, which does, pre-copy and k = 2, 5 and 10 run on real frames
at ratios 0.2, 0.5 and 0.9, with memory and link scaled; the model's error on the same scenario stands beside them.`),
  )
  return reproductionOptions(command, 120)
    .action(async (options: ReproductionOptions, command: Command) => {
      const schemes = { stord: strategyNamed('stord'), preCopy: strategyNamed('pre-copy') }
      const model = await reproduceStord(schemes)
      const result = options.emulator
        ? await emulated(stordLab(), command, (migrate, began) =>
            withEmulatedStord(model, schemes, migrate, began),
          )
        : model
      const files = await writeFigures(options.svg, ({ stordFigures }) => stordFigures(result))
      if (globalOptions(command).json) printJson(result)
      else printText([text(result), ...files].join('\n'))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire reproduce stord', 'the table of savings, and what holds of the claims'],
        ['pagewire reproduce stord --json', 'every row, and the downtime curves of figure 4'],
        ['pagewire reproduce stord --svg figures', 'figures 4, 5 and 6 as pictures'],
        ['sudo pagewire reproduce stord --emulator', 'measured on real frames too'],
      ]),
    )
}

function text({ paper, rows, claims, emulator }: StordReproduction): string {
  const header = '   k  ratio  closed form    model  emulator    paper'
  const verdicts = claims.map(({ claim, verdict, because }) => `  ${claim}\n    ${verdict}: ${because}`)
  return [
    `${paper}: saving of total time against pre-copy`,
    '',
    header,
    ...rows.map(line),
    ...(emulator === undefined ? [] : ['', ...emulatedText(emulator)]),
    '',
    'What the paper claims:',
    ...verdicts,
  ].join('\n')
}

function emulatedText(emulator: NonNullable<StordReproduction['emulator']>): readonly string[] {
  const right = (title: string) => ({ title, align: 'right' as const })
  return [
    `On real frames: ${emulator.memory} at ${emulator.link_rate}, suspended at ${emulator.threshold_pages} pages`,
    columns(
      ['k', 'ratio', 'pages', 'total ms', 'model pages', 'model ms', 'error', 'verified'].map(right),
      emulator.runs.map((run) => [
        run.k === 1 ? 'pre-copy' : String(run.k),
        run.dirty_ratio.toFixed(1),
        String(run.pages_sent),
        run.total_time_ms.toFixed(0),
        String(run.model_pages_sent),
        run.model_total_time_ms.toFixed(0),
        percent(run.model_error),
        String(run.verified),
      ]),
    ),
  ]
}

function line(row: StordRow): string {
  const cells = [
    String(row.k).padStart(4),
    row.dirty_ratio.toFixed(1).padStart(6),
    percent(row.closed_form_saving).padStart(12),
    percent(row.model_saving).padStart(9),
    (row.emulator_saving === undefined ? '-' : percent(row.emulator_saving)).padStart(10),
    (row.paper_saving === undefined ? '-' : percent(row.paper_saving)).padStart(9),
  ]
  return cells.join('')
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`
}
