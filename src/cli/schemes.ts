/** `pagewire schemes`: what each migration scheme does, where it comes from and how it is set. */

import { Command } from 'commander'
import type { OptionHelp, SchemeInfo } from '../migration/strategy.js'
import { predictors, strategies, strategyNamed } from '../strategies/index.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printJson, printText } from './output.js'

export function schemesCommand(): Command {
  return new Command('schemes')
    .description(
      prose(`
Lists the migration schemes that \`migration.strategy\` may name, or tells all about one. Where the public record of a
scheme is too thin to follow, it says "our reconstruction", and which rules are ours.`),
    )
    .argument('[name]', 'the scheme to tell all about')
    .action((name: string | undefined, _options: unknown, command: Command) => {
      const all = [...strategies.map(({ info }) => info), ...predictors]
      const known = all.filter((info) => name === undefined || info.name === name)
      // The error of a wrong name is the strategies' own.
      const chosen = name === undefined || known.length > 0 ? known : [strategyNamed(name).info]
      const infos = chosen.toSorted((a, b) => a.number - b.number)
      if (globalOptions(command).json) printJson(infos)
      else printText(infos.map(name === undefined ? line : page).join('\n'))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire schemes', 'one line each'],
        ['pagewire schemes stord', 'source, idea, and every option with its unit and default'],
        ['pagewire schemes --json', 'the same for programs'],
      ]),
    )
}

function line(info: SchemeInfo): string {
  const mark = info.origin === 'reconstruction' ? ' (our reconstruction)' : ''
  return `${String(info.number).padStart(3)}  ${info.name.padEnd(18)} ${info.idea}${mark}`
}

function page(info: SchemeInfo): string {
  const origin = info.origin === 'reconstruction' ? 'our reconstruction' : 'published'
  const facts: readonly (readonly [string, string])[] = [
    ['idea', info.idea],
    ['source', info.source],
    ['origin', info.ours === undefined ? origin : `${origin}. Ours: ${info.ours}`],
  ]
  const asked = info.predictor === undefined ? [] : [['use', info.predictor] as const]
  const rows = [...facts, ...asked].map(([label, value]) => `  ${label.padEnd(8)} ${value}`)
  const options =
    info.options.length === 0 ? ['', 'No options.'] : ['', 'Options:', ...info.options.map(option)]
  return [`${info.number}. ${info.title} (${info.name})`, ...rows, ...options].join('\n')
}

function option({ name, unit, default: value, meaning }: OptionHelp): string {
  return `  ${name.padEnd(18)} ${meaning}\n${' '.repeat(21)}${unit}; default ${value}`
}
