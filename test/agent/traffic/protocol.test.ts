/** What the cross-traffic process accepts as its configuration. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommand, parseConfig } from '../../../src/agent/traffic/protocol.js'

const flow = {
  id: 'a',
  kind: 'udp-cbr',
  flows: 1,
  class: 'EF',
  dscp: 46,
  pcp: 5,
  local: { host: '10.0.0.1', port: 0 },
  peer: { host: '10.0.0.2', port: 5000 },
  rate_bps: 1e6,
  packet_bytes: 1500,
}

test('a complete configuration is taken as it is', () => {
  const config = { role: 'send', flows: [flow] }
  assert.deepEqual(parseConfig(JSON.stringify(config)), config)
})

for (const [what, change] of Object.entries({
  'a DSCP out of range': { dscp: 64 },
  'a sender without a peer': { peer: undefined },
  'udp-cbr without a rate': { rate_bps: undefined },
  'an unknown kind': { kind: 'sctp' },
  'an unknown key': { colour: 'red' },
})) {
  test(`${what} is refused`, () => {
    const line = JSON.stringify({ role: 'send', flows: [{ ...flow, ...change }] })
    assert.throws(() => parseConfig(line), { code: 'bad-traffic-config' })
  })
}

test('lines that are no commands are refused', () => {
  assert.deepEqual(parseCommand('{"do":"stop"}'), { do: 'stop' })
  for (const line of ['', '{', '{"do":"dance"}', '[]', 'null']) {
    assert.throws(() => parseCommand(line), { code: 'bad-traffic-command' })
  }
})
