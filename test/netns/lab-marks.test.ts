/** Every row of the marking table on real frames: TCP with handshake, UDP and ICMP, both directions, both dataplanes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultTable, pcpByDscp, withOverrides } from '../../src/marking/traffic-class.js'
import { labUp } from '../../src/topology/lab.js'
import { captured, exchangeAll, needsRoot, type SeenFrame, testSpec } from './support.js'

test('each class arrives with the DSCP and the PCP of the marking table', {
  skip: needsRoot,
}, async (context) => {
  // A row of the scenario's own, and a code point without a row: both must travel as the table says.
  const marking = withOverrides(defaultTable, { gold: { dscp: 45, pcp: 6 } })
  const dscps = [...marking.map((row) => row.dscp), 3]
  const lab = await labUp(testSpec({ marking }))
  context.after(() => lab.down())
  let atSource: readonly SeenFrame[] = []
  const atDestination = await captured(context, lab, 'destination', async () => {
    atSource = await captured(context, lab, 'source', () =>
      exchangeAll(lab, { from: 'source', to: 'destination', vlan: 'migration', dscps }),
    )
  })
  const pcps = pcpByDscp(marking)
  const [to, from] = [
    '10\\.77\\.100\\.1(\\.\\d+)? > 10\\.77\\.100\\.2',
    '10\\.77\\.100\\.2(\\.\\d+)? > 10\\.77\\.100\\.1',
  ]
  for (const frames of [atSource, atDestination]) {
    for (const dscp of dscps) {
      const marked = frames.filter((frame) => frame.dscp === dscp)
      const has = (pattern: string): boolean => marked.some((frame) => new RegExp(pattern).test(frame.text))
      const port = 7700 + dscp
      for (const [what, pattern] of [
        ['SYN', `${to}\\.${port}: Flags \\[S\\]`],
        ['SYN-ACK', `${from}\\.\\d+: Flags \\[S\\.\\]`],
        ['pure ACK', `${to}\\.${port}: Flags \\[\\.\\].* length 0`],
        ['FIN', `${to}\\.${port}: Flags \\[F\\.\\]`],
        ['UDP', `${to}\\.${port}: UDP`],
        ['UDP back', `${from}\\.\\d+: UDP`],
        ['echo request', `${to}: ICMP echo request`],
        ['echo reply', `${from}: ICMP echo reply`],
      ] as const) {
        assert.ok(has(pattern), `DSCP ${dscp}: no ${what}`)
      }
      for (const frame of marked) assert.equal(frame.pcp, pcps[dscp], `DSCP ${dscp}: ${frame.text}`)
    }
    for (const frame of frames) assert.equal(frame.vlan, 100, frame.text)
  }
})
