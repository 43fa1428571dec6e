/** Reads the jobs that come over the control channel. */

import { usageError } from '../support/errors.js'
import type { DestinationJob } from './destination.js'
import type { SourceJob } from './source.js'
import type { StorageJob } from './storage.js'

/** A source's job names its strategy; the caller binds it. */
export interface NamedSourceJob extends SourceJob {
  readonly strategy: string
  readonly options: Readonly<Record<string, unknown>>
}

/** Version of the control channel: whoever starts an agent must be of the same build. */
export const controlVersion = 1

export interface Envelope<Job> {
  readonly version: typeof controlVersion
  readonly job: Job
}

const sourceFields = [
  'host',
  'lanes',
  'secret',
  'congestionControl',
  'guest',
  'content',
  'strategy',
  'maxTotalNs',
]
const destinationFields = ['host', 'lanes', 'secret', 'congestionControl']
const storageFields = ['host', 'lane', 'secret', 'congestionControl', 'totalPages', 'pageBytes', 'content']

export function readSourceJob(value: unknown): NamedSourceJob {
  return checked(value, sourceFields) as NamedSourceJob
}

export function readDestinationJob(value: unknown): DestinationJob {
  return checked(value, destinationFields) as DestinationJob
}

export function readStorageJob(value: unknown): StorageJob {
  return checked(value, storageFields) as StorageJob
}

/** Both ends of the control channel are one build; what is checked is that they are, and that nothing is missing. */
function checked(value: unknown, fields: readonly string[]): unknown {
  const envelope = objectOf(value)
  if (envelope['version'] !== controlVersion) {
    throw usageError(`control version ${String(envelope['version'])}, this agent has ${controlVersion}`, {
      code: 'control-version',
      next: 'Start the agent from the same Pagewire version as the runner.',
    })
  }
  const job = objectOf(envelope['job'])
  const missing = fields.filter((field) => !(field in job))
  if (missing.length > 0) {
    throw usageError(`the job lacks ${missing.join(', ')}`, { code: 'bad-control' })
  }
  return job
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value))
  throw usageError('a job is an object', { code: 'bad-control' })
}
