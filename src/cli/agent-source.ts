/** `pagewire agent source`: the sending hypervisor agent as a process of its own. */

import { Command } from 'commander'
import { serveSource } from '../agent/controlled.js'
import { startSource } from '../agent/source.js'
import { laneEndpoints, sourceJob } from '../experiment/jobs.js'
import { migrationResult } from '../experiment/result.js'
import { silentJournal } from '../migration/journal.js'
import type { Strategy } from '../migration/strategy.js'
import { strategyNamed } from '../strategies/index.js'
import { failure } from '../support/errors.js'
import { portOption, readSecret, secretOption } from './agent-options.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'
import { printJson, printText } from './output.js'

interface Options {
  readonly control?: true
  readonly to?: string
  readonly port: number
  readonly secretFile?: string
  readonly set: readonly string[]
}

export function sourceCommand(): Command {
  return new Command('source')
    .description(
      prose(`
Runs the source agent by itself: owns a synthetic guest and migrates it to the destination agent, marked as the
scenario says. On two real hosts the downtime includes the way back of the destination's answer, since the hosts share
no clock; under \`run\` it does not.`),
    )
    .argument('[scenario]', 'the scenario that both agents use; - reads stdin')
    .option('--to <address>', 'IPv4 address of the destination agent')
    .addOption(portOption())
    .addOption(secretOption())
    .addOption(setOption())
    .option('--control', 'be driven by JSON lines on stdin and stdout, as `run` does')
    .action(async (file: string | undefined, options: Options, command: Command) => {
      if (options.control) {
        await serveSource({ input: process.stdin, output: process.stdout }, bind)
        process.stdin.destroy()
        return
      }
      if (options.to === undefined) command.error('error: --to ADDRESS is needed')
      else await byHand(file, options.to, options, command)
    })
    .addHelpText(
      'after',
      examples([
        ['sudo pagewire agent source my.yaml --to 192.0.2.7 --secret-file secret', 'migrate to that host'],
        ['pagewire agent source --to 127.0.0.1 --secret-file secret --json', 'unmarked lanes need no root'],
      ]),
    )
}

function bind(name: string, options: Readonly<Record<string, unknown>>): Strategy {
  return strategyNamed(name).create(options)
}

async function byHand(
  file: string | undefined,
  host: string,
  options: Options,
  command: Command,
): Promise<void> {
  const { text, name } = scenarioInput(file)
  // Checking scenarios takes longer to load than all else, and an agent under control is told its job.
  const { readScenario } = await import('../experiment/scenario.js')
  const { scenario } = readScenario(text, name, options.set, beside(name))
  const lanes = laneEndpoints(scenario, options.port)
  const job = sourceJob(scenario, host, lanes, readSecret(options.secretFile), false)
  const running = startSource(job, bind(job.strategy, job.options), silentJournal)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => running.cancel())
  const { record, verified, setupNs } = await running.result
  const result = migrationResult(record, { setupNs, verified, wireBytes: null })
  if (globalOptions(command).json)
    printJson({ outcome: record.outcome, reason: record.reason, migration: result })
  else {
    printText(
      `${record.outcome}: ${result.total_time_ms} ms in all, downtime ${result.downtime_ms ?? '-'} ms, ` +
        `${result.pages_sent} pages, ${result.goodput_mbps} Mbit/s, memory ${verified ? 'verified' : 'not verified'}`,
    )
  }
  if (record.outcome === 'failed') throw failure(record.reason ?? 'failed', { code: 'migration-failed' })
}
