/**
 * `describe [RUNS]`: prints what captures/expected.json says, as `pagewire analyze` sees the captures there. With a
 * directory of the runs that they are of, what those runs counted themselves stands beside it.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { analyzeFiles } from '../../src/cli/analyze.js'
import type { RunResult } from '../../src/experiment/result.js'
import { capturesDirectory, type Expected, type ExpectedCapture } from './expected.js'

/** Which run and which queue counter a capture belongs to. */
const runOf: Readonly<Record<string, string>> = {
  'marked.pcap.gz': 'marked',
  'unmarked.pcap.gz': 'unmarked',
  'fifo.pcap.gz': 'fifo',
  'lossy-after.pcap.gz': 'lossy',
  'whole.pcap.gz': 'whole',
}

const [runs] = process.argv.slice(2)
const expected: Record<string, ExpectedCapture> = {}
for (const name of readdirSync(capturesDirectory).toSorted()) {
  if (/\.pcap(ng)?(\.gz)?$/.test(name)) expected[name] = await described(name)
}
const document: Expected = expected
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`)

async function described(name: string): Promise<ExpectedCapture> {
  const { document } = await analyzeFiles([join(capturesDirectory, name)], { intervalNs: 1e9 })
  const [file] = document.files
  if (file === undefined) throw new Error(`${name} was not analysed`)
  const run = runOf[name]
  const { migration } = document
  return {
    format: file.format,
    packets: file.packets,
    bytes: file.bytes,
    ...(file.truncated_at === undefined ? {} : { truncated_at: file.truncated_at }),
    classes: document.classes.map(({ vlan, pcp, dscp, packets, bytes }) => ({
      vlan,
      pcp,
      dscp,
      packets,
      bytes,
    })),
    ...(migration === undefined
      ? {}
      : {
          migration: {
            protocol: migration.protocol,
            pages_sent: migration.pages.sent,
            pages_unique: migration.pages.unique,
            rounds: migration.rounds.map(({ phase, pages }) => ({ phase, pages })),
          },
        }),
    ...(runs === undefined || run === undefined ? {} : { run: counted(join(runs, run, 'result.json')) }),
  }
}

/** What the agents and the queues of the run counted, whatever the captures say. */
function counted(path: string): NonNullable<ExpectedCapture['run']> {
  const result = JSON.parse(readFileSync(path, 'utf8')) as RunResult
  const frames = (result.ledger as { frames: readonly { frames_out: number; dropped: number }[] }).frames
  return {
    pages_sent: result.migration?.pages_sent ?? 0,
    dropped_by_queues: frames.reduce((sum, { dropped }) => sum + dropped, 0),
  }
}
