/** What both agents' commands have in common. */

import { readFileSync } from 'node:fs'
import { InvalidArgumentError, Option } from 'commander'
import { messageOf, usageError } from '../support/errors.js'

/** First port of a migration; each further lane takes the next one. */
export const defaultPort = 4444

/** Where shared storage listens. */
export const defaultStoragePort = 4440

const shortestSecretBytes = 16

export function portOption(): Option {
  return new Option('--port <port>', 'port of the first lane; each further lane takes the next one')
    .default(defaultPort)
    .argParser((text) => {
      const port = Number(text)
      if (Number.isInteger(port) && port >= 1 && port <= 65_000) return port
      throw new InvalidArgumentError('A port is a whole number from 1 to 65000.')
    })
}

export function secretOption(): Option {
  return new Option(
    '--secret-file <file>',
    `file with the secret of this migration, ${shortestSecretBytes} bytes or more`,
  )
}

/** The secret as hex. Throws a usage error when there is none, or one that could be guessed. */
export function readSecret(file: string | undefined): string {
  const make = 'Make one with: head -c 32 /dev/urandom > secret'
  if (file === undefined) throw usageError('--secret-file is needed', { code: 'no-secret', next: make })
  let secret: Buffer
  try {
    secret = readFileSync(file)
  } catch (cause) {
    throw usageError(`cannot read the secret: ${messageOf(cause)}`, { code: 'no-secret', next: make, cause })
  }
  if (secret.length < shortestSecretBytes) {
    throw usageError(`${file} has ${secret.length} bytes; a secret has ${shortestSecretBytes} or more`, {
      code: 'short-secret',
      next: make,
    })
  }
  return secret.toString('hex')
}
