/** `pagewire agent destination`: the receiving hypervisor agent as a process of its own. */

import { Command } from 'commander'
import { serveDestination } from '../agent/controlled.js'
import { startDestination } from '../agent/destination.js'
import { destinationJob, laneEndpoints, storageEndpoint } from '../experiment/jobs.js'
import { failure, usageError } from '../support/errors.js'
import { defaultPort, defaultStoragePort, portOption, readSecret, secretOption } from './agent-options.js'
import { globalOptions } from './globals.js'
import { examples, prose, setOption } from './help.js'
import { beside, scenarioInput } from './input.js'
import { printJson, printText } from './output.js'

interface Options {
  readonly control?: true
  readonly listen: string
  readonly port: number
  readonly secretFile?: string
  readonly storage?: string
  readonly set: readonly string[]
}

export function destinationCommand(): Command {
  return new Command('destination')
    .description(
      prose(`
Runs the destination agent by itself: waits for one source that proves the secret, takes the guest in, compares every
page that arrives, and ends after the migration. Lanes and their marks come from the scenario, which must be the
source's; each lane listens on a port of its own, from --port upwards. Marks above 6 need CAP_NET_ADMIN.`),
    )
    .argument('[scenario]', 'the scenario that both agents use; - reads stdin')
    .option('--listen <address>', 'IPv4 address to listen on', '0.0.0.0')
    .addOption(portOption())
    .addOption(secretOption())
    .addOption(setOption())
    .option('--storage <address>', 'IPv4 address of `agent storage`, for strategies that read shared storage')
    .option('--control', 'be driven by JSON lines on stdin and stdout, as `run` does')
    .action(async (file: string | undefined, options: Options, command: Command) => {
      if (options.control) {
        await serveDestination({ input: process.stdin, output: process.stdout })
        process.stdin.destroy()
        return
      }
      await byHand(file, options, command)
    })
    .addHelpText(
      'after',
      examples([
        ['head -c 32 /dev/urandom > secret; scp secret other:', 'a secret that both hosts have'],
        [
          'sudo pagewire agent destination my.yaml --secret-file secret',
          `wait on port ${defaultPort} and up`,
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
  const lanes = laneEndpoints(scenario, options.port)
  const storage = storageEndpoint(scenario, defaultStoragePort)
  if (storage !== undefined && options.storage === undefined) {
    throw usageError(`${scenario.migration.strategy} reads shared storage: --storage ADDRESS is needed`, {
      code: 'no-storage',
      next: 'Start `pagewire agent storage` with the same scenario and secret there.',
    })
  }
  const address =
    storage === undefined || options.storage === undefined
      ? undefined
      : { host: options.storage, lane: storage }
  const running = await startDestination(destinationJob(scenario, options.listen, lanes, secret, address))
  const { json, quiet } = globalOptions(command)
  if (!quiet) {
    const ports = running.lanes.map((lane) => `${lane.name} on port ${lane.port}`).join(', ')
    process.stderr.write(`waiting for the source: ${ports}\n`)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => running.stop(`stopped by ${signal}`))
  }
  const result = await running.result
  if (json) printJson(result)
  else
    printText(
      `${result.outcome}: ${result.pagesReceived} pages received, memory ${verifiedText(result.verified)}`,
    )
  if (result.outcome !== 'completed') {
    throw failure(`the migration was not completed: ${result.reason ?? 'unknown'}`, {
      code: 'migration-aborted',
    })
  }
}

function verifiedText(verified: boolean): string {
  return verified ? 'equal to the source’s' : 'not compared'
}
