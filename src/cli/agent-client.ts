/** `pagewire agent client`: who asks the guest of a run, as a process of its own. */

import { Command } from 'commander'
import { serveClient } from '../agent/client/serve.js'
import { examples, prose } from './help.js'

export function clientAgentCommand(): Command {
  return new Command('client')
    .description(
      prose(`
Asks a guest over UDP at a steady rate and notes every answer: the client whose longest gap is the outage of a run. It
is driven by JSON lines on stdin, {"do": "start", "job": {...}} and {"do": "finish", "how": {...}}, and answers with
JSON lines on stdout. The end of stdin ends the process. Needs root for the marks.`),
    )
    .action(async () => {
      await serveClient({ input: process.stdin, output: process.stdout })
      process.stdin.destroy()
    })
    .addHelpText(
      'after',
      examples([
        [
          `(echo '${exampleJob}'; cat) | sudo pagewire agent client`,
          'ask UDP port 7 of that address 1000 times a second',
        ],
      ]),
    )
}

const exampleJob = JSON.stringify({
  do: 'start',
  job: { local: '192.0.2.4', guest: { host: '192.0.2.100', port: 7 }, dscp: 0, pcp: 0, rate: 1000 },
})
