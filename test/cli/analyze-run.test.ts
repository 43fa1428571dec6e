import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { analyseRun } from '../../src/analysis/run-analysis.js'
import { expectationText, type RunExpectation } from '../../src/analysis/run-expectation.js'
import { defaultTable } from '../../src/marking/traffic-class.js'
import { type NetworkOptions, network } from '../support/network.js'
import { baseSeconds, pcapFile } from '../support/pcap-builder.js'
import { temporaryDirectory } from '../support/temporary.js'
import { pagewire } from './cli.js'

const expectation: RunExpectation = {
  flows: [
    {
      role: 'migration bulk',
      protocol: 'tcp',
      clientAddress: '10.0.0.1',
      serverAddress: '10.0.0.2',
      serverPort: 5001,
      vlan: 100,
      dscp: 8,
      pcp: 1,
      applicationBytes: { clientToServer: 1234, serverToClient: 0 },
    },
  ],
  destinationMac: '02:00:00:00:00:02',
  queues: [{ pcp: 1, packets: 100, bytes: 5000, dropped: 7 }],
  movedMacs: [{ mac: '02:00:00:00:00:09', atUnixNs: baseSeconds * 1e9 + 123 }],
  windowUnixNs: [(baseSeconds + 0.123456789) * 1e9, (baseSeconds + 1.000000001) * 1e9],
  table: defaultTable,
}

/** A run directory as `run` leaves it, with the captures of a network that loses a fifth. */
async function runDirectory(t: TestContext): Promise<{ directory: string; result: object }> {
  const directory = temporaryDirectory(t)
  mkdirSync(join(directory, 'captures'))
  const options: NetworkOptions = { frames: 3000, seed: 4, lossRatio: 0.2 }
  const { a, b } = network(options)
  const file = (point: string): string => join(directory, 'captures', `${point}.pcap`)
  for (const point of ['source', 'switch-in']) writeFileSync(file(point), pcapFile(a))
  for (const point of ['switch-out', 'destination']) writeFileSync(file(point), pcapFile(b))
  writeFileSync(join(directory, 'captures', 'expected.json'), expectationText(expectation))
  const captures = {
    source: file('source'),
    'switch-in': file('switch-in'),
    'switch-out': file('switch-out'),
    destination: file('destination'),
  }
  const { classes, marks, ledger } = await analyseRun({ ...expectation, captures })
  return { directory, result: { schema: 'pagewire.run/1', classes, marks, ledger } }
}

test('a run directory gives its figures again, to the last bit', async (t) => {
  const { directory, result } = await runDirectory(t)
  writeFileSync(join(directory, 'result.json'), JSON.stringify(result))
  const { code, stdout, stderr } = await pagewire(['analyze', directory, '--json'])
  assert.equal(code, 0, stderr)
  const document = JSON.parse(stdout)
  assert.equal(document.runs[0].reproduced, true)
  assert.ok(document.runs[0].classes.some((row: { packets_lost: number }) => row.packets_lost > 0))
  assert.equal(document.files.length, 4)
})

test('a figure that the captures do not give is named, and the exit code is 1', async (t) => {
  const { directory, result } = await runDirectory(t)
  const text = JSON.stringify(result)
  const changed = text.replace(/"packets_lost":(\d+)/, (_, lost) => `"packets_lost":${Number(lost) + 1}`)
  assert.notEqual(changed, text)
  writeFileSync(join(directory, 'result.json'), changed)
  const { code, stdout, stderr } = await pagewire(['analyze', directory, '--json'])
  assert.equal(code, 1)
  const { differences } = JSON.parse(stdout).runs[0]
  assert.equal(differences.length, 1)
  assert.match(differences[0].path, /^classes\[\d+\]\.packets_lost$/)
  assert.equal(differences[0].recorded, differences[0].recomputed + 1)
  assert.match(stderr, /packets_lost/)
})

test('a directory that is none of a run is refused with what is missing', async (t) => {
  const { code, stderr } = await pagewire(['analyze', temporaryDirectory(t)])
  assert.equal(code, 2)
  assert.match(stderr, /cannot (open|read) /)
})
