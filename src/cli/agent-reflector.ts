/** `pagewire agent reflector`: the far end of `pagewire probe`. */

import { Command } from 'commander'
import { startReflector } from '../agent/probe/reflector.js'
import { exitCode, type PagewireError } from '../support/errors.js'
import { examples, prose } from './help.js'
import { printJsonLine, printText } from './output.js'
import { probePort, probePortOption } from './probe-options.js'

interface Options {
  readonly address: string
  readonly port: number
  readonly control?: true
}

export function reflectorCommand(): Command {
  return new Command('reflector')
    .description(
      prose(`
Answers the probes of \`pagewire probe\` with the mark that each of them asks for. Runs until it is interrupted; with
--control until stdin ends.`),
    )
    .requiredOption('--address <address>', 'IPv4 address of this host to answer on')
    .addOption(probePortOption())
    .option('--control', 'print {"ready": {"port": ...}} and end with stdin')
    .action((options: Options) => reflect(options))
    .addHelpText(
      'after',
      examples([['sudo pagewire agent reflector --address 192.0.2.7', `answer on UDP port ${probePort}`]]),
    )
}

async function reflect(options: Options): Promise<void> {
  let fail = (_error: PagewireError): void => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  const reflector = startReflector({ host: options.address, port: options.port, onError: (e) => fail(e) })
  if (options.control) printJsonLine({ ready: { port: reflector.port } })
  else printText(`answering probes on ${options.address}:${reflector.port}`)
  try {
    await Promise.race([failed, options.control ? inputEnded() : interrupted()])
  } finally {
    reflector.close()
  }
}

function inputEnded(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.resume().once('end', resolve).once('error', resolve)
  })
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const [signal, status] of [
      ['SIGINT', exitCode.sigint],
      ['SIGTERM', exitCode.sigterm],
    ] as const) {
      process.once(signal, () => {
        process.exitCode = status
        resolve()
      })
    }
  })
}
