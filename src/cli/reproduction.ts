/** What both reproductions share: the options, the lab of the emulator, the pictures. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { SourceResult } from '../agent/source.js'
import { inMigrationLab } from '../experiment/migration-lab.js'
import type { Scenario } from '../experiment/scenario.js'
import { undisturbed } from '../experiment/undisturbed.js'
import type { FigureSpec } from '../report/figure.js'
import { failure, messageOf } from '../support/errors.js'
import { requireLab } from '../topology/requirements.js'
import { globalOptions } from './globals.js'
import { interrupts } from './interrupts.js'

export interface ReproductionOptions {
  readonly emulator?: true
  readonly svg?: string
}

export function reproductionOptions(command: Command, seconds: number): Command {
  return command
    .addOption(new Option('--emulator', `measure on real frames too; needs root, takes some ${seconds} s`))
    .addOption(new Option('--svg <directory>', 'write the figures there, as SVG'))
}

/** Adds the emulator's part in a lab of its own; `began` of the work goes to a terminal. */
export async function emulated<T>(
  lab: Scenario,
  command: Command,
  work: (migrate: (scenario: Scenario) => Promise<SourceResult>, began: (what: string) => void) => Promise<T>,
): Promise<T> {
  requireLab()
  const { json, quiet } = globalOptions(command)
  const chatty = !json && !quiet && process.stderr.isTTY === true
  const signals = interrupts()
  try {
    const say = (what: string): void => {
      if (chatty) process.stderr.write(`${what}\n`)
    }
    return await inMigrationLab(lab, signals.first, ({ migrate }) =>
      work(
        (scenario) =>
          undisturbed(
            () => migrate(scenario),
            (wait) => say(`  the source waited ${(100 * wait).toFixed(1)} % for a processor: once more`),
          ),
        say,
      ),
    )
  } finally {
    signals.close()
  }
}

type Figures = typeof import('../report/reproduction-figures.js')

/** Writes each figure as FIGURE.svg into the directory, where there is one; returns the files. */
export async function writeFigures(
  directory: string | undefined,
  choose: (figures: Figures) => readonly FigureSpec[],
): Promise<readonly string[]> {
  if (directory === undefined) return []
  // What draws takes long to load, and is seldom asked for.
  const figures = choose(await import('../report/reproduction-figures.js'))
  const { svgFile } = await import('../report/figure.js')
  try {
    mkdirSync(directory, { recursive: true })
    return figures.map((figure) => {
      const file = join(directory, `${figure.id}.svg`)
      writeFileSync(file, svgFile(figure))
      return file
    })
  } catch (error) {
    throw failure(`the figures cannot be written to ${directory}: ${messageOf(error)}`, {
      code: 'cannot-write',
      next: 'Name a directory that you may write to.',
    })
  }
}
