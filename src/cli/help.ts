/** What the help of every command shares: examples, and the option that changes a scenario. */

import { Option } from 'commander'

/** A description written over several lines: an empty line ends a paragraph, the terminal's width breaks the rest. */
export function prose(text: string): string {
  return text.trim().replaceAll(/(?<!\n)\n(?!\n)/g, ' ')
}

/** Text for `addHelpText('after', ...)`: each example with what it does. */
export function examples(rows: readonly (readonly [line: string, meaning: string])[]): string {
  const lines = rows.map(([line, meaning]) => `  ${line}\n      ${meaning}`)
  return `\nExamples:\n${lines.join('\n')}`
}

/** `--set path=value`, as often as needed; its value is a list of texts for `parseScenario`. */
export function setOption(): Option {
  return new Option('--set <path=value>', 'change the scenario, e.g. guest.memory=16MiB; repeatable')
    .argParser((text: string, earlier: readonly string[]) => [...earlier, text])
    .default([], 'nothing changed')
}
