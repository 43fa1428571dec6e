/** What both ends of a probe have in common on the command line. */

import { InvalidArgumentError, Option } from 'commander'

export const probePort = 4460

export function probePortOption(): Option {
  return new Option('--port <port>', 'UDP port of the reflector').default(probePort).argParser((text) => {
    const port = Number(text)
    if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
    throw new InvalidArgumentError('A port is a whole number from 0 to 65535; 0 takes any free one.')
  })
}
