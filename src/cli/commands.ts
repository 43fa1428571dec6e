/** Every command, one entry each, in the order of the help. An unfinished command is simply not here. */

import type { Command } from 'commander'

export interface CommandEntry {
  /** The words that name it: `run`, `agent source`. */
  readonly path: string
  /** One line of the list in `pagewire --help`. */
  readonly summary: string
  /** Heading that it stands under. */
  readonly group: 'Migrate' | 'Look at captures' | 'By hand'
  /** Loads the file of the command, and with it whatever native modules that file needs. */
  readonly load: () => Promise<() => Command>
}

export const commands: readonly CommandEntry[] = [
  {
    path: 'run',
    summary: 'one migration under contention, on real frames',
    group: 'Migrate',
    load: async () => (await import('./run.js')).runCommand,
  },
  {
    path: 'validate',
    summary: 'does priority help, and how sure are we: pairs of runs with and without marks',
    group: 'Migrate',
    load: async () => (await import('./validate.js')).validateCommand,
  },
  {
    path: 'compare',
    summary: 'schemes x workloads x marks x loads, repeated, resumable',
    group: 'Migrate',
    load: async () => (await import('./compare.js')).compareCommand,
  },
  {
    path: 'report',
    summary: 'results as one HTML file',
    group: 'Migrate',
    load: async () => (await import('./report.js')).reportCommand,
  },
  {
    path: 'verify',
    summary: 'recompute every number of a bundle from its captures',
    group: 'Migrate',
    load: async () => (await import('./verify.js')).verifyCommand,
  },
  {
    path: 'scenario',
    summary: 'print the default scenario, or check one',
    group: 'Migrate',
    load: async () => (await import('./scenario.js')).scenarioCommand,
  },
  {
    path: 'predict',
    summary: 'the same in virtual time, without root',
    group: 'Migrate',
    load: async () => (await import('./predict.js')).predictCommand,
  },
  {
    path: 'trace',
    summary: 'working set, dirty rate and reuse of a trace of writes',
    group: 'Migrate',
    load: async () => (await import('./trace.js')).traceCommand,
  },
  {
    path: 'reproduce moslehi',
    summary: 'the tables of Moslehi & Mohebbi beside what the model gives',
    group: 'Migrate',
    load: async () => (await import('./reproduce-moslehi.js')).reproduceMoslehiCommand,
  },
  {
    path: 'reproduce stord',
    summary: 'the figures of Cha et al. beside what the model gives',
    group: 'Migrate',
    load: async () => (await import('./reproduce-stord.js')).reproduceStordCommand,
  },
  {
    path: 'schemes',
    summary: 'the migration schemes and their options',
    group: 'Migrate',
    load: async () => (await import('./schemes.js')).schemesCommand,
  },
  {
    path: 'analyze',
    summary: 'everything that can be told from captures',
    group: 'Look at captures',
    load: async () => (await import('./analyze.js')).analyzeCommand,
  },
  {
    path: 'replay',
    summary: 'put a capture on the wire again, re-marked if you like',
    group: 'Look at captures',
    load: async () => (await import('./replay.js')).replayCommand,
  },
  {
    path: 'doctor',
    summary: 'what this box can do, and how to get the rest',
    group: 'By hand',
    load: async () => (await import('./doctor.js')).doctorCommand,
  },
  {
    path: 'lab',
    summary: 'the topology alone, to play with',
    group: 'By hand',
    load: async () => (await import('./lab.js')).labCommand,
  },
  {
    path: 'probe',
    summary: 'round-trip time, jitter and loss per class',
    group: 'By hand',
    load: async () => (await import('./probe.js')).probeCommand,
  },
  {
    path: 'monitor',
    summary: 'live throughput per class on an interface',
    group: 'By hand',
    load: async () => (await import('./monitor.js')).monitorCommand,
  },
  {
    path: 'agent source',
    summary: 'the sending agent by itself',
    group: 'By hand',
    load: async () => (await import('./agent-source.js')).sourceCommand,
  },
  {
    path: 'agent destination',
    summary: 'the receiving agent by itself',
    group: 'By hand',
    load: async () => (await import('./agent-destination.js')).destinationCommand,
  },
  {
    path: 'agent storage',
    summary: 'the shared storage that some schemes read',
    group: 'By hand',
    load: async () => (await import('./agent-storage.js')).storageCommand,
  },
  {
    path: 'agent traffic',
    summary: "one host's side of the cross-traffic",
    group: 'By hand',
    load: async () => (await import('./agent-traffic.js')).trafficAgentCommand,
  },
  {
    path: 'agent client',
    summary: 'who asks the guest of a run',
    group: 'By hand',
    load: async () => (await import('./agent-client.js')).clientAgentCommand,
  },
  {
    path: 'agent reflector',
    summary: 'the far end of probe',
    group: 'By hand',
    load: async () => (await import('./agent-reflector.js')).reflectorCommand,
  },
]
