/** `pagewire agent traffic`: one host's side of the cross-traffic as a process of its own. */

import { Command } from 'commander'
import { serveTraffic } from '../agent/traffic/serve.js'
import { exitCode } from '../support/errors.js'
import { examples, prose } from './help.js'
import { printJsonLine } from './output.js'

export function trafficAgentCommand(): Command {
  return new Command('traffic')
    .description(
      prose(`
Sends or receives the cross-traffic of one host. It is driven by JSON lines on stdin: first the configuration
{"role": "send" | "receive", "flows": [...]}, then {"do": "start"} and {"do": "stop"}. It answers with JSON lines on
stdout: {"ready": {"ports": {...}}}, {"started": true}, {"stats": [...]}, or {"error": {...}}. The end of stdin stops
everything and ends the process.`),
    )
    .action(async () => {
      const interrupted = new AbortController()
      process.on('SIGINT', () => {
        if (interrupted.signal.aborted) process.exit(exitCode.sigint)
        interrupted.abort()
      })
      process.on('SIGTERM', () => process.exit(exitCode.sigterm))
      process.exitCode = await serveTraffic(process.stdin, printJsonLine, interrupted.signal)
      process.stdin.destroy()
    })
    .addHelpText(
      'after',
      examples([
        [
          `(echo '${exampleConfig}'; cat) | pagewire agent traffic`,
          'count what arrives on TCP port 5201; type {"do": "start"}, then {"do": "stop"}',
        ],
      ]),
    )
}

const exampleConfig = JSON.stringify({
  role: 'receive',
  flows: [
    {
      id: 'a',
      kind: 'tcp-bulk',
      flows: 1,
      class: 'best-effort',
      dscp: 0,
      pcp: 0,
      local: { host: '0.0.0.0', port: 5201 },
    },
  ],
})
