/** A run directory as `run` leaves it, without a lab: captures of a synthetic network, their figures, checksums. */

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { analyseRun } from '../../src/analysis/run-analysis.js'
import { expectationText, type RunExpectation } from '../../src/analysis/run-expectation.js'
import { defaultTable } from '../../src/marking/traffic-class.js'
import { type NetworkOptions, network } from './network.js'
import { baseSeconds, pcapFile } from './pcap-builder.js'
import { temporaryDirectory } from './temporary.js'

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
  guestMac: '02:00:00:00:00:09',
  windowUnixNs: [(baseSeconds + 0.123456789) * 1e9, (baseSeconds + 1.000000001) * 1e9],
  table: defaultTable,
}

/** With the captures of a network that loses a fifth; `result` is not written yet. */
export async function runDirectory(t: TestContext): Promise<{ directory: string; result: object }> {
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
  const { classes, marks, ledger, outage } = await analyseRun({ ...expectation, captures })
  const seen = { client_ms: 3, wire: outage }
  return { directory, result: { schema: 'pagewire.run/1', classes, marks, ledger, outage: seen } }
}

/** The checksum list that ends a run. */
export function seal(directory: string): void {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .filter((file) => file !== 'SHA256SUMS')
    .sort()
  const lines = files.map((file) => {
    const hash = createHash('sha256').update(readFileSync(join(directory, file)))
    return `${hash.digest('hex')}  ${file}\n`
  })
  writeFileSync(join(directory, 'SHA256SUMS'), lines.join(''))
}
