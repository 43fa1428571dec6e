/** Scenario text to plain data: YAML, `--set` overrides, and the place in the text of every key and value. */

import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml'
import { usageError } from '../support/errors.js'

/** Keys and list indices from the root of the scenario. */
export type KeyPath = readonly (string | number)[]

export interface ScenarioText {
  /** Plain data, as written; nothing is checked yet. */
  readonly value: unknown
  /** The text, overrides applied, comments kept. */
  readonly text: string
  /** Where the value at a path is written, or its key where asked, or else the nearest parent that is written. */
  readonly placeOf: (path: KeyPath, what?: 'key' | 'value') => Place
}

export interface Place {
  /** `file:line:column`, or the `--set` option. */
  readonly name: string
  /** Order in the text; options come first. */
  readonly offset: number
}

/** Longest text accepted: a scenario is written by hand. */
const maxTextLength = 1 << 20

/**
 * Reads YAML and applies overrides `path=value` (the value is YAML too; an empty one removes the key).
 * Throws a usage error with the place of a syntax error.
 */
export function readScenarioText(text: string, fileName: string, overrides: readonly string[]): ScenarioText {
  if (text.length > maxTextLength) {
    throw usageError(`${fileName}: longer than 1 MiB, so not a scenario`, { code: 'scenario-syntax' })
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const placeAt = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${fileName}:${line}:${col}`
  }
  const syntax = document.errors[0] ?? document.warnings[0]
  if (syntax) {
    throw usageError(`${placeAt(syntax.pos[0])}: ${syntax.message}`, { code: 'scenario-syntax' })
  }
  if (document.contents === null) {
    throw usageError(`${fileName}: the scenario is empty`, {
      code: 'scenario-syntax',
      next: 'pagewire scenario prints one to start from.',
    })
  }
  const settings = overrides.map(readOverride)
  for (const setting of settings) {
    if (!reachable(document.contents, setting.path)) {
      throw usageError(`--set ${setting.text}: there is no map or list to set this in`, {
        code: 'bad-override',
      })
    }
    if (setting.value === null) document.deleteIn(setting.path)
    else setKeepingComment(document, setting)
  }
  return {
    value: plain(document.contents.toJS(document, { maxAliasCount: 100 })),
    text: settings.length === 0 ? text : document.toString({ lineWidth: 0 }),
    placeOf: (path, what = 'value') => {
      const setting = settings.findLast(
        (candidate) =>
          candidate.path.length <= path.length &&
          candidate.path.every((step, i) => String(step) === String(path[i])),
      )
      if (setting) return { name: `--set ${setting.text}`, offset: -1 }
      const offset = offsetOf(document.contents, path, what)
      return { name: placeAt(offset), offset }
    },
  }
}

function setKeepingComment(document: Document, { path, value }: Override): void {
  const old: unknown = document.getIn(path, true)
  const node = document.createNode(value)
  if (isScalar(old) && isScalar(node)) node.comment = old.comment ?? null
  document.setIn(path, node)
}

interface Override {
  readonly text: string
  readonly path: KeyPath
  readonly value: unknown
}

function readOverride(text: string): Override {
  const match = /^([A-Za-z0-9_.-]+)=(.*)$/s.exec(text)
  const keys = match?.[1]?.split('.') ?? []
  if (!match || keys.some((key) => key === '')) {
    throw usageError(`--set ${text}: write it like guest.memory=16MiB`, { code: 'bad-override' })
  }
  const value = parseDocument(match[2] ?? '')
  const syntax = value.errors[0]
  if (syntax) throw usageError(`--set ${text}: ${syntax.message}`, { code: 'bad-override' })
  return { text, path: keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key)), value: value.toJS() }
}

/** Whether every parent of the path is absent, a map, or a list with that index (or the next one). */
function reachable(root: unknown, path: KeyPath): boolean {
  let node = root
  for (const step of path) {
    if (isSeq(node)) {
      if (typeof step !== 'number' || step > node.items.length) return false
      node = node.items[step]
    } else if (isMap(node)) node = pairOf(node.items, step)?.value
    else if (node !== undefined || (typeof step === 'number' && step > 0)) return false
  }
  return true
}

function offsetOf(root: Node | null, path: KeyPath, what: 'key' | 'value'): number {
  let node: unknown = root
  let offset = root?.range?.[0] ?? 0
  for (const [i, step] of path.entries()) {
    const pair = isMap(node) ? pairOf(node.items, step) : undefined
    node = isSeq(node) && typeof step === 'number' ? node.items[step] : pair?.value
    const wanted = what === 'key' && i === path.length - 1 ? pair?.key : node
    const start = rangeStart(wanted) ?? rangeStart(pair?.key)
    if (start === undefined) return offset
    offset = start
  }
  return offset
}

function pairOf(items: readonly Pair[], step: string | number): Pair | undefined {
  return items.find(
    (item) => (isScalar(item.key) ? String(item.key.value) : String(item.key)) === String(step),
  )
}

function rangeStart(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined
  return Array.isArray(node.range) && typeof node.range[0] === 'number' ? node.range[0] : undefined
}

/** Aliases make shared objects; a copy through JSON makes them separate, so that filling in defaults cannot leak. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
