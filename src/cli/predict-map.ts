/** `pagewire predict --map`: the convergence map as a picture or a table. */

import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { convergenceMap } from '../experiment/convergence-map.js'
import type { Scenario } from '../experiment/scenario.js'
import { convergenceFigure } from '../report/convergence-figure.js'
import { csvFile, type FigureSpec, svgFile } from '../report/figure.js'
import { strategyNamed } from '../strategies/index.js'
import { failure, messageOf, usageError } from '../support/errors.js'
import { globalOptions } from './globals.js'
import { printJson, printText } from './output.js'

const formats: Readonly<Record<string, (figure: FigureSpec) => string>> = {
  svg: svgFile,
  csv: (figure) => `${csvFile(figure)}\r\n`,
}

export async function printMap(scenario: Scenario, file: string, command: Command): Promise<void> {
  const { json, quiet } = globalOptions(command)
  const format = formats[/\.(\w+)$/.exec(file)?.[1] ?? '']
  if (format === undefined) {
    throw usageError(`--map ${file}: the name says neither svg nor csv`, {
      code: 'bad-map',
      next: 'Name a file that ends with .svg or .csv.',
    })
  }
  const chatty = !json && !quiet && process.stderr.isTTY === true
  const map = await convergenceMap(scenario, strategyNamed(scenario.migration.strategy), (row, of) => {
    if (chatty) process.stderr.write(`\rrow ${row + 1} of ${of}`)
  })
  if (chatty) process.stderr.write('\r\x1b[K')
  try {
    writeFileSync(file, format(convergenceFigure(map)))
  } catch (error) {
    throw failure(`cannot write ${file}: ${messageOf(error)}`, { code: 'unwritable', cause: error })
  }
  if (json) printJson({ schema: 'pagewire.map/1', origin: 'predicted', file, ...map })
  else printText(`${scenario.name}: ${map.cells.length} predictions of ${map.strategy} in ${file}`)
}
