/** Options of a strategy, declared once: how each is written, its default and its meaning; reads what a scenario gives. */

import type { LaneName, OptionHelp } from '../migration/strategy.js'
import { usageError } from '../support/errors.js'
import { parseBytes, parseDurationNs, parseRateBps } from '../support/units.js'

/** One option. `read` throws a plain Error that says what is accepted. */
export interface OptionSpec<Value> {
  readonly unit: string
  readonly fallback: Value
  readonly shown: string
  readonly meaning: string
  read(given: unknown): Value
}

type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>
export type OptionValues<Specs extends OptionSpecs> = {
  readonly [Name in keyof Specs]: Specs[Name] extends OptionSpec<infer Value> ? Value : never
}

/** The help rows of a set of options. */
export function optionHelp(specs: OptionSpecs): OptionHelp[] {
  return Object.entries(specs).map(([name, spec]) => ({
    name,
    unit: spec.unit,
    default: spec.shown,
    meaning: spec.meaning,
  }))
}

/** Reads what a scenario gives under `migration.options`. Throws a usage error for an unknown name or bad value. */
export function readOptions<Specs extends OptionSpecs>(
  strategy: string,
  specs: Specs,
  given: Readonly<Record<string, unknown>>,
): OptionValues<Specs> {
  for (const name of Object.keys(given)) {
    if (!(name in specs)) {
      throw usageError(`migration.options.${name}: ${strategy} has no such option`, {
        code: 'unknown-option',
        next: `Its options are ${Object.keys(specs).join(', ') || 'none'}.`,
      })
    }
  }
  const values = Object.entries(specs).map(([name, spec]) => [
    name,
    readOne(strategy, name, spec, given[name]),
  ])
  return Object.fromEntries(values)
}

function readOne(strategy: string, name: string, spec: OptionSpec<unknown>, given: unknown): unknown {
  if (given === undefined) return spec.fallback
  try {
    return spec.read(given)
  } catch (error) {
    throw usageError(
      `migration.options.${name} of ${strategy}: ${JSON.stringify(given)} is not ${spec.unit}`,
      {
        code: 'bad-option',
        next: error instanceof Error ? error.message : spec.meaning,
      },
    )
  }
}

/** A whole number between two bounds, inclusive. */
export function integer(fallback: number, min: number, max: number, meaning: string): OptionSpec<number> {
  return numeric('a whole number', Number.isInteger, fallback, min, max, meaning)
}

/** A number between two bounds, inclusive. */
export function decimal(fallback: number, min: number, max: number, meaning: string): OptionSpec<number> {
  return numeric('a number', Number.isFinite, fallback, min, max, meaning)
}

function numeric(
  unit: string,
  fits: (value: number) => boolean,
  fallback: number,
  min: number,
  max: number,
  meaning: string,
): OptionSpec<number> {
  return {
    unit,
    fallback,
    shown: String(fallback),
    meaning,
    read: (given) => {
      if (typeof given === 'number' && fits(given) && given >= min && given <= max) return given
      throw new Error(`Give ${unit} from ${min} to ${max}.`)
    },
  }
}

/** One of a few words. */
export function choice<Word extends string>(
  words: readonly Word[],
  fallback: Word,
  meaning: string,
): OptionSpec<Word> {
  return {
    unit: words.join(' | '),
    fallback,
    shown: fallback,
    meaning,
    read: (given) => {
      const word = words.find((candidate) => candidate === given)
      if (word !== undefined) return word
      throw new Error(`Use one of ${words.join(', ')}.`)
    },
  }
}

/** A duration such as `300ms`, in nanoseconds. */
export function duration(fallback: string, meaning: string): OptionSpec<number> {
  return {
    unit: 'a duration',
    fallback: parseDurationNs(fallback),
    shown: fallback,
    meaning,
    read: (given) => parseDurationNs(String(given)),
  }
}

/** A rate such as `200mbit`, in bits per second. */
export function rate(fallback: string, meaning: string): OptionSpec<number> {
  return {
    unit: 'a rate',
    fallback: parseRateBps(fallback),
    shown: fallback,
    meaning,
    read: (given) => parseRateBps(String(given)),
  }
}

/** A memory size such as `64MiB`, in bytes. */
export function memorySize(fallback: string, meaning: string): OptionSpec<number> {
  return {
    unit: 'a memory size',
    fallback: parseBytes(fallback),
    shown: fallback,
    meaning,
    read: (given) => parseBytes(String(given)),
  }
}

/** A switch. */
export function flag(fallback: boolean, meaning: string): OptionSpec<boolean> {
  return {
    unit: 'true | false',
    fallback,
    shown: String(fallback),
    meaning,
    read: (given) => {
      if (typeof given === 'boolean') return given
      throw new Error('Give true or false.')
    },
  }
}

/** The lane that a phase uses. */
export function lane(fallback: LaneName, meaning: string): OptionSpec<LaneName> {
  return choice<LaneName>(['bulk', 'final'], fallback, meaning)
}
