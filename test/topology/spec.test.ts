/** Arguments of the scripts, names and addresses: what a person would type, as golden text. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultTable } from '../../src/marking/traffic-class.js'
import { PagewireError } from '../../src/support/errors.js'
import { parseHtbClasses } from '../../src/topology/read-back.js'
import {
  addressOf,
  capturePointsOf,
  checkSpec,
  type LabSpec,
  macOf,
  upArguments,
} from '../../src/topology/spec.js'

const spec: LabSpec = {
  runId: 'demo',
  link: { rateBps: 200e6, discipline: 'strict', queuePackets: 256, mtuBytes: 1500 },
  marking: defaultTable,
  dataplane: 'tc-bpf',
  congestionControl: 'cubic',
  offloads: false,
}

test('arguments of up.sh', () => {
  assert.deepEqual(upArguments(spec, '/o/lab.o'), [
    'demo',
    'dataplane=tc-bpf',
    'rate=200000000',
    'discipline=strict',
    'queue=256',
    'mtu=1500',
    'congestion=cubic',
    'offloads=off',
    'order=7 6 5 4 3 2 0 1',
    'object=/o/lab.o',
  ])
  const unshaped = { ...spec, offloads: true, link: { ...spec.link, rateBps: null } }
  assert.deepEqual(upArguments(unshaped, 'lab.o').slice(2, 3), ['rate=none'])
  assert.ok(upArguments(unshaped, 'lab.o').includes('offloads=on'))
})

test('addresses say VLAN and host', () => {
  assert.equal(addressOf('source', 'migration'), '10.77.100.1')
  assert.equal(addressOf('client', 'tenants'), '10.77.200.4')
  assert.equal(macOf('neighbour'), '02:70:77:00:00:03')
})

test('the capture points stand on both sides of the congested port and at both ends', () => {
  const points = capturePointsOf('demo')
  assert.deepEqual(
    points.map((entry) => [
      entry.point,
      entry.namespace,
      entry.taps.map((tap) => `${tap.device} ${tap.direction}`),
    ]),
    [
      ['source', 'pw-demo-source', ['uplink inout']],
      ['switch-in', 'pw-demo-switch', ['source in', 'neighbour in', 'client in']],
      ['switch-out', 'pw-demo-switch', ['destination out']],
      ['destination', 'pw-demo-destination', ['uplink inout']],
    ],
  )
})

test('a lab that cannot be is refused with the value that is wrong', () => {
  const wrong: readonly [LabSpec, RegExp][] = [
    [{ ...spec, runId: 'a-b' }, /run id 'a-b'/],
    [{ ...spec, runId: 'x'.repeat(13) }, /run id/],
    [{ ...spec, link: { ...spec.link, rateBps: 10 } }, /rate 10/],
    [{ ...spec, link: { ...spec.link, queuePackets: 0 } }, /queue 0/],
    [{ ...spec, link: { ...spec.link, mtuBytes: 65536 } }, /mtu 65536/],
    [{ ...spec, congestionControl: 'x y' }, /'x y'/],
  ]
  checkSpec(spec)
  for (const [value, words] of wrong) {
    assert.throws(
      () => checkSpec(value),
      (error) => error instanceof PagewireError && error.exit === 2 && words.test(error.message),
    )
  }
})

test('classes as tc prints them', () => {
  const text = `class htb 1:11 parent 1:1 leaf 11: prio 7 rate 8bit ceil 800Mbit burst 1b cburst 100000b
class htb 1:1 root rate 1500Kbit ceil 2Gbit burst 25000b cburst 25000b
`
  assert.deepEqual(parseHtbClasses(text), [
    { classid: '1:11', rate_bps: 8, ceil_bps: 800e6, prio: 7 },
    { classid: '1:1', rate_bps: 1.5e6, ceil_bps: 2e9, prio: null },
  ])
})
