/** `pagewire lab up|down|status`: the topology alone, to play with by hand. */

import { Command, Option } from 'commander'
import { defaultTable } from '../marking/traffic-class.js'
import { usageError } from '../support/errors.js'
import { parseRateBps } from '../support/units.js'
import { labDown, labStatus, labUp } from '../topology/lab.js'
import { resolveDataplane } from '../topology/requirements.js'
import type { DataplaneName, Discipline } from '../topology/spec.js'
import { examples } from './help.js'

interface UpOptions {
  readonly rate: string
  readonly discipline: Discipline
  readonly dataplane: DataplaneName | 'auto'
  readonly queue: string
  readonly mtu: string
  readonly congestion: string
}

export function labCommand(): Command {
  const lab = new Command('lab').description('build the topology alone, to play with by hand')
  lab
    .command('up')
    .description('build a lab that stays until `lab down`')
    .argument('[run]', 'its name: 1 to 12 of a-z and 0-9', 'hand')
    .option('--rate <rate>', "rate of the congested port, or 'none' for an unshaped one", '200mbit')
    .addOption(
      new Option('--discipline <name>', 'strict: a queue per PCP; ets: weighted; fifo: a switch without QoS')
        .choices(['strict', 'ets', 'fifo'])
        .default('strict'),
    )
    .addOption(
      new Option('--dataplane <name>', 'who tags and queues; auto: what doctor says')
        .choices(['auto', 'vlan', 'tc-bpf'])
        .default('auto'),
    )
    .option('--queue <packets>', 'packets that each queue holds', '256')
    .option('--mtu <bytes>', 'bytes of IP packet', '1500')
    .option('--congestion <name>', 'TCP congestion control of all routes', 'cubic')
    .action(async (run: string, options: UpOptions, command: Command) => up(run, options, wantsJson(command)))
  lab
    .command('down')
    .description('take a lab away')
    .argument('[run]', 'its name', 'hand')
    .option('--force', 'even if a running process owns it')
    .action(async (run: string, options: { force?: boolean }) => down(run, options.force ?? false))
  lab
    .command('status')
    .description('list the labs that are up')
    .action(async (_options: unknown, command: Command) => status(wantsJson(command)))
  return lab.addHelpText(
    'after',
    examples([
      ['sudo pagewire lab up --rate 50mbit', 'a lab named `hand` that stays, and how to get into it'],
      ['sudo pagewire lab up other --discipline fifo', 'a second one beside it: a switch without QoS'],
      ['pagewire lab status', 'the labs that are up, and whose they are'],
      ['sudo pagewire lab down', 'take `hand` away'],
    ]),
  )
}

function wantsJson(command: Command): boolean {
  return command.optsWithGlobals()['json'] === true
}

async function up(runId: string, options: UpOptions, json: boolean): Promise<void> {
  const lab = await labUp(
    {
      runId,
      link: {
        rateBps: options.rate === 'none' ? null : parseRateBps(options.rate),
        discipline: options.discipline,
        queuePackets: Number(options.queue),
        mtuBytes: Number(options.mtu),
      },
      marking: defaultTable,
      dataplane: await resolveDataplane(options.dataplane, 'lab'),
      congestionControl: options.congestion,
      offloads: false,
    },
    { keep: true },
  )
  if (json) return print({ run_id: runId, applied: lab.applied })
  console.log(`Lab '${runId}' is up on dataplane ${lab.spec.dataplane}. Look around:`)
  console.log(`  ${lab.inside('source').join(' ')} sh`)
  console.log(`  tc -n ${lab.namespace('switch')} -s qdisc show dev destination`)
  console.log(`Take it away: pagewire lab down ${runId}`)
}

async function down(runId: string, force: boolean): Promise<void> {
  const found = (await labStatus()).find((lab) => lab.run_id === runId)
  if (found?.owner === 'running' && !force) {
    throw usageError(`lab '${runId}' belongs to the running process ${found.owner_pid}`, {
      code: 'lab-in-use',
      next: 'Stop that process, or add --force.',
    })
  }
  const wasThere = await labDown(runId)
  console.error(wasThere ? `Lab '${runId}' is gone.` : `There is no lab '${runId}'; nothing to do.`)
}

async function status(json: boolean): Promise<void> {
  const labs = await labStatus()
  if (json) return print({ labs })
  if (labs.length === 0) console.log('No lab is up.')
  for (const lab of labs) {
    const owner = lab.owner === 'running' ? `owned by process ${lab.owner_pid}` : lab.owner
    console.log(`${lab.run_id}: ${owner}, since ${lab.created}, ${lab.namespaces.length} namespaces`)
  }
}

function print(document: unknown): void {
  console.log(JSON.stringify(document, null, 2))
}
