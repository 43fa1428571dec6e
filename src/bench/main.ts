/** `npm run bench`: prints one JSON document on stdout, progress on stderr. `--only NAME` measures a part of it. */

import { cpus, loadavg, release } from 'node:os'
import { exitCode, messageOf, PagewireError } from '../support/errors.js'
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
    for (const part of wanted) {
      process.stderr.write(`measuring ${part} ...\n`)
      document[part] = await parts[part]()
    }
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
