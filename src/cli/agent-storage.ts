/** `pagewire agent storage`: the shared storage that a destination reads pages from, as a process of its own. */

import { Command } from 'commander'
import { serveStorage } from '../agent/controlled.js'
import { startStorage } from '../agent/storage.js'
import { storageEndpoint, storageJob } from '../experiment/jobs.js'
import { usageError } from '../support/errors.js'
import { defaultStoragePort, readSecret, secretOption } from './agent-options.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'

interface Options {
  readonly control?: true
  readonly listen: string
  readonly secretFile?: string
  readonly set: readonly string[]
}

export function storageCommand(): Command {
  return new Command('storage')
    .description(
      prose(`
Runs shared storage by itself: holds the blocks that the scenario's guest has read, and sends them to a destination
agent that proves the secret, marked as \`migration.marking.storage\` says. Only strategies that read shared storage have
a use for it. It runs until it is interrupted.`),
    )
    .argument('[scenario]', 'the scenario that all agents use; - reads stdin')
    .option('--listen <address>', 'IPv4 address to listen on', '0.0.0.0')
    .addOption(secretOption())
    .addOption(setOption())
    .option('--control', 'be driven by JSON lines on stdin and stdout, as `run` does')
    .action(async (file: string | undefined, options: Options, command: Command) => {
      if (options.control) {
        await serveStorage({ input: process.stdin, output: process.stdout })
        process.stdin.destroy()
        return
      }
      await byHand(file, options, command)
    })
    .addHelpText(
      'after',
      examples([
        [
          'sudo pagewire agent storage my.yaml --secret-file secret',
          `serve the blocks on port ${defaultStoragePort}`,
        ],
        [
          'sudo pagewire agent destination my.yaml --secret-file secret --storage 192.0.2.9',
          'and let a destination read them',
        ],
      ]),
    )
}

async function byHand(file: string | undefined, options: Options, command: Command): Promise<void> {
  const { text, name } = scenarioInput(file)
  // Checking scenarios takes longer to load than all else, and an agent under control is told its job.
  const { readScenario } = await import('../experiment/scenario.js')
  const { scenario } = readScenario(text, name, options.set, beside(name))
  const secret = readSecret(options.secretFile)
  const lane = storageEndpoint(scenario, defaultStoragePort)
  if (lane === undefined) {
    throw usageError(`${scenario.migration.strategy} reads no shared storage`, {
      code: 'no-storage',
      next: 'Give a scenario whose migration.strategy does, such as shared-storage.',
    })
  }
  const running = await startStorage(storageJob(scenario, options.listen, lane, secret))
  if (!globalOptions(command).quiet) {
    process.stderr.write(`storage waits for the destination on port ${running.lane.port}\n`)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => running.stop())
}
