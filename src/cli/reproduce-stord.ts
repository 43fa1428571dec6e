/** `pagewire reproduce stord`: the figures of Cha et al. */

import { Command } from 'commander'
import { reproduceStord, type StordReproduction, type StordRow } from '../experiment/reproduce-stord.js'
import { strategyNamed } from '../strategies/index.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printJson, printText } from './output.js'

export function reproduceStordCommand(): Command {
  return new Command('stord')
    .description(
      prose(`
Reproduces figures 4, 5 and 6 of Cha et al. (2015): what STORD saves of pre-copy's total time for 1 to 10 pieces and
dirty ratios from 0.2 to 0.9, from the closed form (their equation 3, as re-derived) and from the model, with what the
paper claims beside it, and a sentence on each claim.

The model runs under the paper's own assumptions: a logical clock, writes that stay inside the outstanding memory, and
a pre-copy without any cap. Needs no root.`),
    )
    .action(async (_options: unknown, command: Command) => {
      const result = await reproduceStord({
        stord: strategyNamed('stord'),
        preCopy: strategyNamed('pre-copy'),
      })
      if (globalOptions(command).json) printJson(result)
      else printText(text(result))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire reproduce stord', 'the table of savings, and what holds of the claims'],
        ['pagewire reproduce stord --json', 'every row, and the downtime curves of figure 4'],
      ]),
    )
}

function text({ paper, rows, claims }: StordReproduction): string {
  const header = '   k  ratio  closed form    model    paper'
  const verdicts = claims.map(({ claim, verdict, because }) => `  ${claim}\n    ${verdict}: ${because}`)
  return [
    `${paper}: saving of total time against pre-copy`,
    '',
    header,
    ...rows.map(line),
    '',
    'What the paper claims:',
    ...verdicts,
  ].join('\n')
}

function line(row: StordRow): string {
  const cells = [
    String(row.k).padStart(4),
    row.dirty_ratio.toFixed(1).padStart(6),
    percent(row.closed_form_saving).padStart(12),
    percent(row.model_saving).padStart(9),
    (row.paper_saving === undefined ? '-' : percent(row.paper_saving)).padStart(9),
  ]
  return cells.join('')
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`
}
