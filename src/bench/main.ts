/** `npm run bench`: prints one JSON document on stdout, progress on stderr. `--only NAME` measures a part of it. */

import { spawnSync } from 'node:child_process'
import { cpus, loadavg, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { exitCode, failure, messageOf, PagewireError } from '../support/errors.js'
import { requireLab } from '../topology/requirements.js'
import { benchAnalyze } from './analyze.js'
import { benchLink } from './link.js'
import { benchModel } from './model.js'
import { benchStream } from './stream.js'

const parts = {
  stream: benchStream,
  analyze: benchAnalyze,
  model: benchModel,
  link: benchLink,
} as const
/** What needs root and namespaces. */
const labParts: readonly Part[] = ['stream', 'link']
type Part = keyof typeof parts

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const wanted = chosen(args)
  if (wanted === undefined) {
    process.stderr.write(`usage: npm run bench [-- --only ${Object.keys(parts).join('|')}]\n`)
    return exitCode.usage
  }
  try {
    if (wanted.some((part) => labParts.includes(part))) requireLab(['tcpdump'])
    const document: Record<string, unknown> = {}
    for (const part of wanted) document[part] = wanted.length === 1 ? await measured(part) : inItsOwn(part)
    document['environment'] = environment()
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`)
    return exitCode.ok
  } catch (error) {
    if (!(error instanceof PagewireError)) throw error
    process.stderr.write(
      `pagewire: ${messageOf(error)}\n${error.next === undefined ? '' : `${error.next}\n`}`,
    )
    return error.exit
  }
}

function measured(part: Part): Promise<object> {
  process.stderr.write(`measuring ${part} ...\n`)
  return parts[part]()
}

/** In a process of its own: what one part leaves in the heap made the model half as slow again. */
function inItsOwn(part: Part): unknown {
  const argv = [fileURLToPath(import.meta.url), '--only', part]
  const { status, stdout } = spawnSync(process.execPath, argv, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  if (status === 0) return JSON.parse(stdout)[part]
  throw failure(`measuring ${part} ended with ${status}`, { code: 'bench' })
}

/** The parts to measure; undefined when the arguments are wrong. */
function chosen(args: readonly string[]): readonly Part[] | undefined {
  const names = Object.keys(parts) as Part[]
  if (args.length === 0) return names
  const [flag, name] = args
  const part = names.find((one) => one === name)
  return flag === '--only' && args.length === 2 && part !== undefined ? [part] : undefined
}

function environment(): object {
  return {
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    kernel: release(),
    node: process.version,
    load: loadavg().map((load) => Math.round(load * 100) / 100),
  }
}
