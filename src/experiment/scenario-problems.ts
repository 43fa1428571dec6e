/** Checks a scenario against its schema and says what is wrong in sentences that a person can act on. */

import type { ErrorObject, FuncKeywordDefinition } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { closest } from 'fastest-levenshtein'
import { type PagewireError, usageError } from '../support/errors.js'
import { type ScenarioDocument, scenarioSchema } from './scenario-schema.js'
import type { KeyPath, ScenarioText } from './scenario-text.js'

/** One thing that is wrong, with the path that it is wrong at. */
export interface Problem {
  readonly path: KeyPath
  readonly message: string
  readonly code: ProblemCode
  readonly at?: 'key' | 'value'
}

export type ProblemCode = 'unknown-key' | 'bad-unit' | 'bad-value' | 'unsupported' | 'contradiction'

/** More problems than this are counted, not shown. */
const maxShown = 10

const planned: FuncKeywordDefinition = {
  keyword: 'planned',
  schemaType: ['boolean', 'array'],
  validate: (words: boolean | readonly unknown[], data: unknown) =>
    typeof words === 'boolean' ? !words : !words.includes(data),
}

const validator = new Ajv2020({ allErrors: true, useDefaults: true, verbose: true, allowUnionTypes: true })
  .addKeyword(planned)
  .compile<ScenarioDocument>(scenarioSchema)

/** The document with defaults filled in. Throws a usage error that lists every problem with its place. */
export function checkedDocument(text: ScenarioText): ScenarioDocument {
  const value: unknown = structuredClone(text.value)
  if (validator(value)) return value
  const problems = (validator.errors ?? []).map(problemOf)
  // An enumeration also refuses what `type` refuses; one sentence per path is enough.
  const byPath = new Map(problems.toReversed().map((problem) => [problem.path.join('.'), problem]))
  throw problemsError(text, [...byPath.values()].toReversed())
}

/** One error for all problems, in the order of the text. `problems` is not empty. */
export function problemsError(text: ScenarioText, problems: readonly Problem[]): PagewireError {
  const placed = problems
    .map((problem) => ({ problem, place: text.placeOf(problem.path, problem.at) }))
    .sort((a, b) => a.place.offset - b.place.offset)
  const shown = placed.slice(0, maxShown).map(({ problem, place }) => {
    const path = problem.path.length === 0 ? '' : `${problem.path.join('.')}: `
    return `${place.name}: ${path}${problem.message}`
  })
  const hidden = problems.length - shown.length
  if (hidden > 0) shown.push(`and ${hidden} more`)
  return usageError(shown.join('\n'), {
    code: placed[0]?.problem.code ?? 'bad-value',
    next: 'pagewire scenario prints a scenario with every key explained; pagewire scenario --schema the whole schema.',
  })
}

function problemOf(error: ErrorObject): Problem {
  const path = pathOf(error.instancePath)
  const written = JSON.stringify(error.data)
  const limit = String(error.params['limit'])
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(error.params['additionalProperty'])
      return {
        path: [...path, key],
        at: 'key',
        code: 'unknown-key',
        message: unknownKey(key, error.parentSchema),
      }
    }
    case 'propertyNames':
      return {
        path: [...path, String(error.params['propertyName'])],
        at: 'key',
        code: 'bad-value',
        message: 'this is no class name: use letters, digits and hyphens',
      }
    case 'planned':
      return { path, code: 'unsupported', message: unsupported(error) }
    case 'enum':
      return { path, code: 'bad-value', message: notOneOf(error.data, error.params['allowedValues']) }
    case 'required':
      return { path, code: 'bad-value', message: `${String(error.params['missingProperty'])} is missing` }
    case 'minimum':
    case 'exclusiveMinimum':
    case 'maximum':
      return {
        path,
        code: 'bad-value',
        message: `${written} is out of range: it must be ${String(error.params['comparison'])} ${limit}`,
      }
    default:
      return { path, code: 'bad-unit', message: `${written} is not ${expected(error.parentSchema)}` }
  }
}

function unknownKey(key: string, parent: object | undefined): string {
  const known = Object.entries(propertiesOf(parent))
    .filter(([, schema]) => !('planned' in schema && schema.planned === true))
    .map(([name]) => name)
  const elsewhere = pathsOfKey(key, scenarioSchema, '')
  const meant = elsewhere[0] ?? closest(key, known)
  return `unknown key; did you mean ${meant}? (known here: ${known.join(', ')})`
}

/** Where the schema has a key of exactly this name, as dotted paths. */
function pathsOfKey(key: string, schema: object, prefix: string): string[] {
  return Object.entries(propertiesOf(schema)).flatMap(([name, inner]) => [
    ...(name === key ? [`${prefix}${name}`] : []),
    ...pathsOfKey(key, inner, `${prefix}${name}.`),
  ])
}

function unsupported(error: ErrorObject): string {
  const words: unknown = error.schema
  const choices: unknown = error.parentSchema?.['enum']
  const usable =
    Array.isArray(words) && Array.isArray(choices) ? choices.filter((choice) => !words.includes(choice)) : []
  const instead = usable.length > 0 ? `; use ${usable.join(', ')}` : ''
  return `${usable.length > 0 ? JSON.stringify(error.data) : 'this'} is not supported by this version${instead}`
}

function notOneOf(data: unknown, allowed: unknown): string {
  const words = Array.isArray(allowed) ? allowed.map(String) : []
  const nearest = typeof data === 'string' ? `; did you mean ${closest(data, words)}?` : ''
  return `${JSON.stringify(data)} is not one of ${words.join(', ')}${nearest}`
}

/** What the schema wants here, as the end of the sentence "X is not ...". */
function expected(schema: object | undefined): string {
  if (schema && 'description' in schema && typeof schema.description === 'string') return schema.description
  if (schema && 'type' in schema)
    return schema.type === 'integer' ? 'a whole number' : `a ${String(schema.type)}`
  return 'what belongs here'
}

function propertiesOf(schema: object | undefined): Readonly<Record<string, object>> {
  const properties = schema && 'properties' in schema ? schema.properties : undefined
  return Object.fromEntries(
    Object.entries(properties ?? {}).filter(
      (entry): entry is [string, object] => typeof entry[1] === 'object',
    ),
  )
}

function pathOf(pointer: string): KeyPath {
  const steps = pointer.split('/').slice(1)
  return steps
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step))
}
