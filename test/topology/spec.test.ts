/** Arguments of the scripts, names and addresses: what a person would type, as golden text. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultTable } from '../../src/marking/traffic-class.js'
import { PagewireError } from '../../src/support/errors.js'
import { parseClasses, parseFilters } from '../../src/topology/kernel-state.js'
import {
  addressOf,
  capturePointsOf,
  checkSpec,
  dataplaneFor,
  type LabSpec,
  macOf,
  queueNames,
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

test('a guest of its own address is copied in front of the port, and passes beside it where asked', () => {
  const words = (guest: 'congested' | 'own'): readonly string[] =>
    upArguments({ ...spec, guest }, 'lab.o').filter((word) => word.includes('02:70:77'))
  assert.deepEqual(words('congested'), ['guest=02:70:77:00:01:00'])
  assert.deepEqual(words('own'), ['guest=02:70:77:00:01:00', 'beside=02:70:77:00:01:00'])
  const taps = capturePointsOf('demo', true).flatMap((entry) => entry.taps)
  assert.ok(taps.some(({ device, direction }) => device === 'guest' && direction === 'out'))
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

test('a hostile path and a long one, in the words of the script', () => {
  const hostile = upArguments(
    { ...spec, path: { bleach: true, remarkPcp: 2, strip: true, policeBps: 5e6, invert: true } },
    'lab.o',
  )
  assert.ok(hostile.includes('hostile=bleach remark=2 strip police=7:5000000'))
  assert.ok(hostile.includes('order=1 0 2 3 4 5 6 7'))
  const long = upArguments(
    {
      ...spec,
      dataplane: 'vlan',
      link: {
        ...spec.link,
        discipline: 'ets',
        weights: { 7: 2, 0: 1 },
        impairment: { delayNs: 10e6, jitterNs: 500e3, lossRatio: 0.001, reorderRatio: 0.02 },
      },
    },
    '',
  )
  const wanted = ['weights=0:1 7:2', 'delay=10000us', 'jitter=500us', 'loss=0.1%', 'reorder=2%']
  for (const word of wanted) assert.ok(long.includes(word), `${word} in ${long.join(', ')}`)
  assert.ok(long.some((word) => /^marks=0 1 0 .* 7 0 0 0 0 0 0 0$/.test(word)))
})

test('a delayed path is refused on the dataplane without netem, with exit 3', () => {
  const delayed = { ...spec, link: { ...spec.link, impairment: { delayNs: 1e6 } } }
  assert.throws(
    () => checkSpec(delayed),
    (error) => error instanceof PagewireError && error.exit === 3 && /netem/.test(error.message),
  )
  checkSpec({ ...delayed, dataplane: 'vlan' })
})

test('parallel paths and turns: one name for each queue, and only where the dataplane has them', () => {
  const link = { ...spec.link, paths: 3, perFlow: true }
  const words = upArguments({ ...spec, link }, 'lab.o').filter((word) => /^(paths|flows)=/.test(word))
  assert.deepEqual(words, ['paths=3', 'flows=16'])
  assert.deepEqual(queueNames(spec, 7), ['17'])
  assert.deepEqual(queueNames({ ...spec, link: { ...link, perFlow: false } }, 7), ['17', '117', '217'])
  const names = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((pcp) => queueNames({ ...spec, link }, pcp))
  assert.equal(new Set(names).size, 8 * 3 * 16)
  assert.deepEqual([names[0], names[1], names.at(-1)], ['10', '1010', 'f217'])
  const refused = (value: LabSpec, exit: number, words: RegExp): void => {
    assert.throws(
      () => checkSpec(value),
      (error) => error instanceof PagewireError && error.exit === exit && words.test(error.message),
    )
  }
  refused({ ...spec, link: { ...link, paths: 9 } }, 2, /paths 9/)
  const guaranteed = { ...spec, link: { ...spec.link, guarantees: { 0: 20e6, 5: 5e6 } } }
  assert.ok(upArguments(guaranteed, 'lab.o').includes('guarantees=0:20000000 5:5000000'))
  checkSpec(guaranteed)
  refused(
    { ...spec, link: { ...spec.link, guarantees: { 0: 190e6, 5: 20e6 } } },
    2,
    /more than the link rate/,
  )
  refused({ ...spec, link: { ...link, guarantees: { 0: 1e6 } } }, 2, /without per_flow/)
  assert.equal(dataplaneFor(guaranteed.link, 'auto'), 'tc-bpf')
  assert.equal(dataplaneFor(guaranteed.link, 'vlan'), 'vlan', 'named, and then refused')
  assert.equal(dataplaneFor(spec.link, 'auto'), 'auto')
  refused({ ...guaranteed, dataplane: 'vlan' }, 3, /need dataplane tc-bpf/)
  refused({ ...spec, link: { ...link, discipline: 'ets' } }, 2, /per_flow needs discipline/)
  refused({ ...spec, link: { ...link, rateBps: null } }, 2, /need a link rate/)
  refused({ ...spec, link, path: { policeBps: 5e6 } }, 2, /police needs one path/)
  refused({ ...spec, link, dataplane: 'vlan' }, 3, /need dataplane tc-bpf/)
})

test('classes as tc prints them', () => {
  const text = `class htb 1:11 parent 1:1 leaf 11: prio 7 quantum 1518 rate 8bit ceil 800Mbit linklayer ethernet burst 1b/1
class htb 1:1 root rate 1500Kbit ceil 2Gbit linklayer ethernet burst 25000b/1 mpu 0b cburst 25000b/1 mpu 0b level 7
class drr 2:1 root leaf 17: quantum 3036b
class tbf 17:1 parent 17:
`
  assert.deepEqual(parseClasses(text), [
    { kind: 'htb', classid: '1:11', rate_bps: 8, ceil_bps: 800e6, prio: 7, quantum_bytes: 1518 },
    { kind: 'htb', classid: '1:1', rate_bps: 1.5e6, ceil_bps: 2e9, prio: null, quantum_bytes: null },
    { kind: 'drr', classid: '2:1', rate_bps: null, ceil_bps: null, prio: null, quantum_bytes: 3036 },
  ])
})

test('filters as tc prints them', () => {
  const text = `filter protocol all pref 1 bpf chain 0 handle 0x1 lab.o:[host_egress] direct-action not_in_hw id 101
filter protocol 802.1Q pref 1 flower chain 0 handle 0x1 classid 2:1
  vlan_prio 7
filter protocol all pref 1 matchall chain 0 handle 0x1
	action order 1: skbedit  priority none inheritdsfield pipe
	action order 1:  pedit action pipe keys 1
	action order 1: vlan  modify id 100 protocol 802.1Q priority 3 continue
	action order 1: vlan  pop pipe
	action order 1: vlan  push id 200 protocol 802.1Q priority 0 pipe
`
  assert.deepEqual(parseFilters(text), [
    'host_egress',
    'pcp 7 to 2:1',
    'inheritdsfield',
    'bleach',
    'remark 3',
    'strip',
    'push 200',
  ])
})
