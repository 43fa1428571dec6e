/** `pagewire report`: a run, a validation, a comparison or a reproduction as one HTML file that needs no network. */

import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import type { RunSeries } from '../analysis/run-series.js'
import { type Comparison, comparisonSchema } from '../experiment/comparison.js'
import type { MoslehiReproduction } from '../experiment/reproduce-moslehi.js'
import { reproductionSchema, type StordReproduction } from '../experiment/reproduce-stord.js'
import { type RunResult, runSchema } from '../experiment/result.js'
import { giveFile } from '../experiment/run-directory.js'
import { type Validation, validationSchema } from '../experiment/validate.js'
import type { JournalEntry } from '../migration/journal.js'
import { comparisonReport } from '../report/comparison-report.js'
import { reproductionReport } from '../report/reproduction-report.js'
import { runReport } from '../report/run-report.js'
import { runsReport } from '../report/runs-report.js'
import { validationReport } from '../report/validation-report.js'
import { failure, messageOf, usageError } from '../support/errors.js'
import { version } from '../topology/version.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { readText } from './input.js'
import { printJson, printText } from './output.js'

export function reportCommand(): Command {
  return new Command('report')
    .description(
      prose(`
Writes one HTML file that opens from disk, without a network: from a run directory, a validation, or the JSON of one of
them or of \`reproduce\`. Several runs come out side by side. It shows light or dark as the reader prefers, prints, and
every figure is there as SVG and CSV too.

With --bundle it writes an archive of run, validation or comparison directories instead: scenario, seeds, versions,
kernel, sysctls, queues, captures as far as they were kept, results and checksums. The same directories give the same
bytes. \`pagewire verify\` recomputes the numbers from it.`),
    )
    .argument('<path...>', 'run directory, validation directory or JSON document; - reads stdin')
    .option('-o, --out <file>', 'the file to write (default: report.html in the directory, or beside you)')
    .option('--bundle', 'write one archive instead: all there is of these directories, with checksums')
    .action(async (paths: readonly string[], options: Options, command: Command) => {
      const { json } = globalOptions(command)
      if (options.bundle) {
        await bundle(paths, options.out ?? 'bundle.zip', json)
        return
      }
      const file = options.out ?? defaultFile(paths)
      write(file, render(paths))
      if (json) printJson({ report: file })
      else printText(`Report in ${file}`)
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire report pagewire-runs/20260101-120000-mine', 'writes report.html in that run directory'],
        ['pagewire report run-a run-b run-c -o three.html', 'three runs side by side'],
        ['pagewire report --bundle run-a -o run-a.zip', 'everything of a run, for pagewire verify elsewhere'],
        ['pagewire reproduce stord --json | pagewire report - -o stord.html', 'a reproduction'],
      ]),
    )
}

interface Options {
  readonly out?: string
  readonly bundle?: true
}

async function bundle(paths: readonly string[], file: string, json: boolean): Promise<void> {
  const documents = paths.map((path) => ({ directory: path, kind: kindOf(path) }))
  const several = documents.length > 1
  const sources = documents.map(({ directory, kind }, i) => ({
    directory,
    kind,
    path: several ? `${i + 1}-${kind}` : kind,
  }))
  const { packBundle } = await import('../bundle/pack.js')
  const { files } = await packBundle(sources, file, version())
  giveFile(file)
  const captures = files.filter(({ path }) => path.endsWith('.pcap')).length
  if (json) printJson({ bundle: file, files: files.length, captures })
  else printText(`Bundle in ${file}: ${files.length} files, ${captures} of them captures`)
  if (captures === 0 && !json) {
    process.stderr.write(
      'No captures were kept, so nobody can recompute what they say; see --keep-captures.\n',
    )
  }
}

function kindOf(path: string): 'run' | 'validation' | 'comparison' {
  const { kind } = read(path)
  if (kind !== 'reproduction' && statSync(path).isDirectory()) return kind
  throw usageError(`${path} is no directory of a run, a validation or a comparison`, { code: 'not-a-result' })
}

function render(paths: readonly string[]): string {
  const documents = paths.map(read)
  const [first] = documents
  if (first !== undefined && documents.length === 1) return renderOne(first)
  const runs = documents.map((document) => {
    if (document.kind === 'run') return { name: document.path, result: document.result }
    throw usageError(`${document.path} is a ${document.kind}: only runs can stand side by side`, {
      code: 'mixed-report',
      next: 'Make a report of each.',
    })
  })
  return runsReport(runs)
}

type Document = { readonly path: string } & (
  | {
      readonly kind: 'run'
      readonly result: RunResult
      readonly series?: RunSeries
      readonly journal: readonly JournalEntry[]
    }
  | { readonly kind: 'validation'; readonly result: Validation }
  | { readonly kind: 'comparison'; readonly result: Comparison }
  | { readonly kind: 'reproduction'; readonly result: StordReproduction | MoslehiReproduction }
)

function renderOne(document: Document): string {
  switch (document.kind) {
    case 'run':
      return runReport(document)
    case 'validation':
      return validationReport(document.result)
    case 'comparison':
      return comparisonReport(document.result)
    case 'reproduction':
      return reproductionReport(document.result)
  }
}

/** Documents are of this program; the schema says which. */
function read(path: string): Document {
  const file = documentFile(path)
  const value = parse(readText(file), file)
  const schema = typeof value === 'object' && value !== null && 'schema' in value ? value.schema : undefined
  switch (schema) {
    case runSchema:
      return { path, kind: 'run', result: value as RunResult, ...besides(path) }
    case validationSchema:
      return { path, kind: 'validation', result: value as Validation }
    case comparisonSchema:
      return { path, kind: 'comparison', result: value as Comparison }
    case reproductionSchema:
      return { path, kind: 'reproduction', result: value as StordReproduction | MoslehiReproduction }
    default:
      throw usageError(
        `${file} is none of ${[runSchema, validationSchema, comparisonSchema, reproductionSchema].join(', ')}`,
        {
          code: 'not-a-result',
          next: 'Give a run directory, or what a command printed with --json.',
        },
      )
  }
}

function documentFile(path: string): string {
  if (path === '-' || !existsSync(path) || !statSync(path).isDirectory()) return path
  const found = ['validation.json', 'comparison.json', 'result.json']
    .map((name) => join(path, name))
    .find(existsSync)
  if (found !== undefined) return found
  throw usageError(`${path} holds no result.json, validation.json or comparison.json`, {
    code: 'not-a-result',
    next: 'Name the directory that a run, a validation or a comparison wrote.',
  })
}

/** What a run directory has besides the result. */
function besides(path: string): { series?: RunSeries; journal: readonly JournalEntry[] } {
  const series = join(path, 'series.json')
  const events = join(path, 'events.jsonl')
  return {
    ...(existsSync(series) ? { series: parse(readText(series), series) as RunSeries } : {}),
    journal: existsSync(events)
      ? readText(events)
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => parse(line, events) as JournalEntry)
      : [],
  }
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw usageError(`${file} is not JSON: ${messageOf(error)}`, { code: 'unreadable-input', cause: error })
  }
}

function defaultFile([path, ...more]: readonly string[]): string {
  const inside = path !== undefined && more.length === 0 && existsSync(path) && statSync(path).isDirectory()
  return inside ? join(path, 'report.html') : 'report.html'
}

function write(file: string, html: string): void {
  try {
    writeFileSync(file, html)
  } catch (error) {
    throw failure(`cannot write ${file}: ${messageOf(error)}`, { code: 'unwritable', cause: error })
  }
}
