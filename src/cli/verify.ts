/** `pagewire verify`: does a bundle report what its captures say? */

import { Command } from 'commander'
import type { Verification } from '../bundle/verify.js'
import { exitCode } from '../support/errors.js'
import { columns } from './columns.js'
import { globalOptions } from './globals.js'
import { examples, prose } from './help.js'
import { printJson, printText } from './output.js'

export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      prose(`
Checks a bundle that \`report --bundle\` made, on any machine and without root: every checksum; every number of a run
that its captures tell (classes over time, loss, delays, marks, ledger), recomputed from them; the pairs, intervals and
verdict of a validation and the rows of a comparison, recomputed from their runs. What only the agents know (rounds,
downtime, page counts) has no second witness and is covered by the checksums alone.

Exit 0 if all match, 1 if some differ (each with both values), 2 if the bundle is cut off, damaged or was changed.`),
    )
    .argument('<bundle>', 'the archive')
    .action(async (bundle: string, _options: object, command: Command) => {
      process.exitCode = await verify(bundle, globalOptions(command))
    })
    .addHelpText(
      'after',
      examples([
        ['pagewire verify results.zip', 'every number that can be recomputed, and whether it matches'],
        ['pagewire verify results.zip --json | jq .matches', 'for a script'],
      ]),
    )
}

async function verify(bundle: string, { json, quiet }: { json: boolean; quiet: boolean }): Promise<number> {
  const { verifyBundle } = await import('../bundle/verify.js')
  const { stderr } = process
  const shown = !quiet && !json && stderr.isTTY
  const verification = await verifyBundle(bundle, {
    predictAgain: async (text, job) =>
      (await import('./predict-worker.js')).predictCell({ text, name: job.cell, overrides: job.overrides }),
    onPart: (part) => {
      if (shown) stderr.write(`\r\x1b[K${part}`.slice(0, stderr.columns ?? 80))
    },
  })
  if (shown) stderr.write('\r\x1b[K')
  if (json) printJson(verification)
  else printText(verificationText(verification))
  return verification.matches ? exitCode.ok : exitCode.failure
}

function verificationText({ findings, files, bytes, numbers, matches }: Verification): string {
  const heads = [
    { title: 'part', align: 'left' },
    { title: 'recomputed from', align: 'left' },
    { title: 'numbers', align: 'right' },
    { title: 'differ', align: 'right' },
  ] as const
  const rows = findings.map(({ part, from, numbers, differences, skipped }) => [
    part,
    skipped ?? from,
    skipped === undefined ? String(numbers) : '-',
    skipped === undefined ? String(differences.length) : '-',
  ])
  const differences = findings.flatMap(({ part, differences }) =>
    differences.map(
      ({ path, recorded, recomputed }) =>
        `${part}: ${path}: reported ${shown(recorded)}, recomputed ${shown(recomputed)}`,
    ),
  )
  const kept = findings.filter(({ from, skipped }) => from === 'captures' && skipped === undefined).length
  const runs = findings.filter(({ from }) => from === 'captures').length
  return [
    columns(heads, rows),
    ...(differences.length === 0 ? [] : [differences.join('\n')]),
    [
      `Checksums hold: ${files} files, ${(bytes / 2 ** 20).toFixed(1)} MiB.`,
      `Captures of ${kept} of ${runs} runs are there.`,
      matches
        ? `All ${numbers} recomputed numbers match.`
        : `${differences.length} of ${numbers} recomputed numbers differ.`,
    ].join(' '),
  ].join('\n\n')
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value)
}
