/** What a person who writes a scenario relies on: it converts as documented, and every mistake is named with its place. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkPageRate, parseScenario, type Scenario } from '../../src/experiment/scenario.js'
import { defaultScenarioText } from '../../src/experiment/scenario-default.js'
import { scenarioSchema } from '../../src/experiment/scenario-schema.js'
import { PagewireError } from '../../src/support/errors.js'
import { random } from '../../src/support/random.js'

function refused(text: string, overrides: readonly string[] = []): PagewireError {
  try {
    parseScenario(text, 's.yaml', overrides)
  } catch (error) {
    assert.ok(error instanceof PagewireError, String(error))
    assert.equal(error.exit, 2)
    return error
  }
  assert.fail(`accepted: ${text}`)
}

const parsed = (text: string, overrides: readonly string[] = []): Scenario =>
  parseScenario(text, 's.yaml', overrides)

test('the default scenario is the one of the documentation', () => {
  const scenario = parsed(defaultScenarioText)
  assert.equal(scenario.name, 'priority-under-cross-traffic')
  assert.equal(scenario.link.rateBps, 200e6)
  assert.equal(scenario.link.discipline, 'strict')
  assert.equal(scenario.guest.memoryBytes, 64 * 2 ** 20)
  assert.equal(scenario.guest.totalPages, 16384)
  assert.equal(scenario.guest.workload.kind, 'hot')
  assert.equal(scenario.guest.workload.dirtyRatio, 0.5)
  assert.equal(scenario.guest.workload.workingSetPages, 1638)
  assert.equal(scenario.migration.lanes.bulk.name, 'CS7')
  assert.equal(scenario.migration.lanes.final.pcp, 7)
  assert.equal(scenario.migration.maxTotalNs, 120e9)
  assert.equal(scenario.migration.congestionControl, 'cubic')
  assert.deepEqual(
    scenario.crossTraffic.map((stream) => [stream.kind, stream.flows, stream.trafficClass.name]),
    [
      ['udp-cbr', 1, 'best-effort'],
      ['tcp-bulk', 2, 'best-effort'],
    ],
  )
})

test('a key that is left out takes the value of the default scenario, except cross-traffic: then there is none', () => {
  const { given: _, name: __, crossTraffic, ...little } = parsed('name: x')
  const {
    given: ___,
    name: ____,
    crossTraffic: _____,
    ...full
  } = parsed(defaultScenarioText.replace(/^ *options:.*$/m, ''))
  assert.deepEqual(little, full)
  assert.deepEqual(crossTraffic, [])
})

test('what is given is kept as written, without defaults', () => {
  assert.deepEqual(parsed('link: { rate: 50mbit }\nseed: 7', ['guest.memory=16MiB']).given, {
    link: { rate: '50mbit' },
    seed: 7,
    guest: { memory: '16MiB' },
  })
})

test('a shared link, a long and a hostile path become what the lab is asked for', () => {
  const { link, path, dataplane } = parsed(`
link: { discipline: ets, weights: { CS7: 3, BE: 2, AF11: 1 }, delay: 10ms, jitter: 500us, loss: 0.1%, reorder: 2% }
path: { bleach: true, remark: 3, strip: false, police: 50mbit, invert: true }
dataplane: vlan`)
  assert.equal(dataplane, 'vlan')
  assert.deepEqual(link.weights, { 7: 3, 0: 2 }) // AF11 shares the queue of best effort
  assert.deepEqual(link.impairment, { delayNs: 10e6, jitterNs: 500e3, lossRatio: 0.001, reorderRatio: 0.02 })
  assert.deepEqual(path, { bleach: true, remarkPcp: 3, strip: false, policeBps: 50e6, invert: true })
})

test('a dirty ratio is a share of the pages that the idle link can carry', () => {
  // 200 Mbit/s, 1448 payload bytes in frames of 1518 bytes, 4112 bytes per page.
  assert.equal(linkPageRate({ rateBps: 200e6, mtuBytes: 1500 }, 4096).toFixed(3), '5799.408')
  const { workload } = parsed('guest: { workload: { kind: cycle, dirty_ratio: 0.5 } }').guest
  assert.equal(workload.dirtyPagesPerSecond.toFixed(3), '2899.704')
  const rate = parsed('guest: { workload: { kind: cycle, dirty_rate: 3000 pages/s } }').guest.workload
  assert.equal(rate.dirtyPagesPerSecond, 3000)
  assert.equal(rate.dirtyRatio, undefined)
})

test('an idle guest dirties nothing, and kinds without hot pages write everywhere', () => {
  assert.equal(parsed('guest: { workload: { kind: idle } }').guest.workload.dirtyPagesPerSecond, 0)
  assert.equal(parsed('guest: { workload: { kind: scan } }').guest.workload.workingSetPages, 16384)
})

test('classes change the marking that lanes and streams use, and a DSCP number is a class too', () => {
  const scenario = parsed(
    `classes: { CS7: { pcp: 6 }, gold: { dscp: 45, pcp: 5 } }
migration: { marking: { bulk: CS7, final: gold } }
cross_traffic: [{ kind: tcp-bulk, class: 46 }]`,
  )
  assert.equal(scenario.migration.lanes.bulk.pcp, 6)
  assert.equal(scenario.migration.lanes.final.dscp, 45)
  assert.equal(scenario.crossTraffic[0]?.trafficClass.name, 'EF')
})

test('the final lane follows the bulk lane where it is not given', () => {
  const { lanes } = parsed('migration: { marking: { bulk: LE } }').migration
  assert.equal(lanes.final.name, 'LE')
})

test('streams carry their units and their defaults', () => {
  const [stream] = parsed(
    'cross_traffic: [{ kind: udp-cbr, rate: 10mbit, packet_size: 500B, from: source, start: 500ms, stop: 2s }]',
  ).crossTraffic
  assert.ok(stream?.kind === 'udp-cbr')
  assert.equal(stream.rateBps, 10e6)
  assert.equal(stream.packetBytes, 500)
  assert.equal(stream.from, 'source')
  assert.equal(stream.startNs, 500e6)
  assert.equal(stream.stopNs, 2e9)
  const [plain] = parsed('cross_traffic: [{ kind: udp-cbr, rate: 10mbit }]').crossTraffic
  assert.ok(plain?.kind === 'udp-cbr')
  assert.equal(plain.packetBytes, 1500)
})

test('a replayed capture keeps its marks unless it has a class, and goes round unless told not to', () => {
  const [kept, marked] = parsed(
    `cross_traffic:
  - { kind: pcap, file: a.pcap, speed: 2 }
  - { kind: pcap, file: a.pcap, rate: 10mbit, class: AF11, loop: false }`,
  ).crossTraffic
  assert.ok(kept?.kind === 'pcap' && marked?.kind === 'pcap')
  assert.equal(kept.trafficClass.name, 'as captured')
  assert.equal(kept.capture.pcpByDscp?.[56], 7)
  assert.deepEqual([kept.capture.speed, kept.capture.loop], [2, true])
  assert.equal(marked.trafficClass.dscp, 10)
  assert.equal(marked.capture.pcpByDscp, undefined)
  assert.deepEqual([marked.rateBps, marked.capture.loop], [10e6, false])
})

test('--set replaces, adds and removes before anything is checked', () => {
  const scenario = parsed(defaultScenarioText, [
    'guest.memory=16MiB',
    'guest.workload.dirty_ratio=',
    'guest.workload.dirty_rate=100 pages/s',
    'cross_traffic.0.rate=20mbit',
    'capture={snaplen: 256}',
  ])
  assert.equal(scenario.guest.totalPages, 4096)
  assert.equal(scenario.guest.workload.dirtyPagesPerSecond, 100)
  assert.equal(scenario.capture.snaplenBytes, 256)
  const [stream] = scenario.crossTraffic
  assert.ok(stream?.kind === 'udp-cbr')
  assert.equal(stream.rateBps, 20e6)
})

/** Text of a scenario, what the message must say, and the code. The place is line:column of the mistake. */
const mistakes: readonly (readonly [string, RegExp, string])[] = [
  ['link:\n  rat: 1mbit', /^s\.yaml:2:3: link\.rat: unknown key; did you mean rate\?/, 'unknown-key'],
  ['lnik: {}', /^s\.yaml:1:1: lnik: unknown key; did you mean link\?/, 'unknown-key'],
  ['rate: 1mbit', /^s\.yaml:1:1: rate: unknown key; did you mean link\.rate\?/, 'unknown-key'],
  [
    'cross_traffic:\n  - kind: tcp-bulk\n    clas: EF',
    /^s\.yaml:3:5: cross_traffic\.0\.clas: .*class\?/,
    'unknown-key',
  ],
  ['classes: { CS7: { tos: 1 } }', /^s\.yaml:1:19: classes\.CS7\.tos: unknown key/, 'unknown-key'],
  ['link: { rate: 200mb }', /^s\.yaml:1:15: link\.rate: "200mb" is not a rate; .*200mbit/, 'bad-unit'],
  ['guest: { memory: 64MB }', /^s\.yaml:1:18: guest\.memory: "64MB" is not a memory size; .*MiB/, 'bad-unit'],
  ['guest: { memory: 64 }', /^s\.yaml:1:18: guest\.memory: 64 is not a memory size/, 'bad-unit'],
  ['guest: { memory: 99999999999999999TiB }', /^s\.yaml:1:18: guest\.memory: .*too large/, 'bad-unit'],
  ['migration: { max_total_time: 2 }', /max_total_time: 2 is not a duration/, 'bad-unit'],
  ['guest: { workload: { working_set: 10 } }', /working_set: 10 is not a part of memory/, 'bad-unit'],
  ['guest: { workload: { dirty_rate: 30/s } }', /dirty_rate: "30\/s" is not a dirty rate/, 'bad-unit'],
  ['link:', /^s\.yaml:1:6: link: null is not a map of rate, discipline/, 'bad-unit'],
  ['- a', /^s\.yaml:1:1: \["a"\] is not a scenario/, 'bad-unit'],
  ['seed: -1', /seed: -1 is out of range: it must be >= 0/, 'bad-value'],
  ['seed: 1.5', /seed: 1\.5 is not a whole number/, 'bad-unit'],
  ['name: a b', /name: "a b" is not a name of up to 64 letters/, 'bad-unit'],
  ['link: { queue: 0 }', /link\.queue: 0 is out of range: it must be >= 1/, 'bad-value'],
  [
    'link: { discipline: stric }',
    /^s\.yaml:1:21: .*not one of strict, ets, fifo; did you mean strict\?/,
    'bad-value',
  ],
  ['cross_traffic: [{ rate: 1mbit }]', /^s\.yaml:1:17: cross_traffic\.0: kind is missing/, 'bad-value'],
  ['link: { weights: { CS7: 2 } }', /only discipline ets has weights; this one is strict/, 'contradiction'],
  [
    'link: { discipline: ets, weights: { CS8: 2 } }',
    /link\.weights\.CS8: unknown traffic class/,
    'unknown-class',
  ],
  ['link: { discipline: ets, weights: { CS7: 0 } }', /link\.weights\.CS7: 0 is out of range/, 'bad-value'],
  ['link: { delay: 1ms, jitter: 2ms }', /^s\.yaml:1:29: link\.jitter: it must not be more/, 'contradiction'],
  ['link: { reorder: 1% }', /link\.reorder: frames can only overtake delayed ones/, 'contradiction'],
  ['client: { network: other, port: own }', /client\.port: a guest in another network/, 'contradiction'],
  ['client: { network: other, rate: 0 }', /client\.network: nobody asks the guest/, 'contradiction'],
  [
    'link: { guarantees: { best-effort: 300mbit } }',
    /link\.guarantees: together they are more/,
    'contradiction',
  ],
  ['link: { guarantees: { EF: 1 } }', /link\.guarantees\.EF/, 'bad-unit'],
  ['link: { discipline: fifo, guarantees: { EF: 1mbit } }', /only discipline strict has/, 'contradiction'],
  ['link: { discipline: ets, per_flow: true }', /link\.per_flow: only discipline/, 'contradiction'],
  ['path: { remark: 8 }', /^s\.yaml:1:17: path\.remark: 8 is out of range/, 'bad-value'],
  ['path: { police: 10 }', /path\.police: 10 is not a rate/, 'bad-unit'],
  [
    'path: { police: 1mbit }\nlink: { discipline: fifo }',
    /path\.police: a class needs a queue of its own/,
    'contradiction',
  ],
  ['guest: { workload: { kind: trace } }', /kind trace needs a file/, 'contradiction'],
  [
    'migration: { marking: { bulk: CS8 } }',
    /^s\.yaml:1:31: migration\.marking\.bulk: unknown traffic class/,
    'unknown-class',
  ],
  ['migration: { marking: { bulk: 224 } }', /^s\.yaml:1:31: .*DSCP 224 is out of range/, 'dscp-range'],
  ['classes: { CS6: { dscp: 56 } }', /^s\.yaml:1:10: classes: .*both use DSCP 56/, 'ambiguous-class'],
  ['classes: { gold: { dscp: 45 } }', /classes\.gold\.pcp must be a whole number/, 'bad-class'],
  [
    'guest: { workload: { kind: iid, dirty_ratio: 1, dirty_rate: 1 pages/s } }',
    /^s\.yaml:1:61: guest\.workload\.dirty_rate: give dirty_rate or dirty_ratio, not both/,
    'contradiction',
  ],
  ['guest: { workload: { kind: idle, dirty_ratio: 1 } }', /an idle guest writes nothing/, 'contradiction'],
  ['guest: { workload: { kind: iid, hot_share: 1% } }', /only kind hot or phase has it/, 'contradiction'],
  ['guest: { workload: { kind: hot, period: 1s } }', /only kind phase has it/, 'contradiction'],
  ['guest: { workload: { kind: phase, period: 0s } }', /it must be more than 0/, 'contradiction'],
  ['guest: { workload: { working_set: 65MiB } }', /it is more than guest\.memory \(64MiB\)/, 'contradiction'],
  ['guest: { memory: 10KiB }', /it must be a multiple of page_size \(4KiB\)/, 'contradiction'],
  ['guest: { memory: 65GiB }', /it must be at most 64GiB/, 'contradiction'],
  ['guest: { page_size: 5KiB }', /power of two/, 'contradiction'],
  ['link: { rate: 0mbit }', /link\.rate: it must be more than 0/, 'contradiction'],
  ['cross_traffic: [{ kind: pcap }]', /cross_traffic\.0\.kind: pcap needs a file/, 'contradiction'],
  ['cross_traffic: [{ kind: tcp-bulk, file: a.pcap }]', /only kind pcap has it/, 'contradiction'],
  [
    'cross_traffic: [{ kind: pcap, file: a.pcap, rate: 1mbit, speed: 2 }]',
    /give speed or rate, not both/,
    'contradiction',
  ],
  ['cross_traffic: [{ kind: pcap, file: a.pcap, flows: 2 }]', /replayed as it is/, 'contradiction'],
  ['cross_traffic: [{ kind: udp-cbr }]', /cross_traffic\.0\.kind: udp-cbr needs a rate/, 'contradiction'],
  [
    'cross_traffic: [{ kind: tcp-bulk, packet_size: 100B }]',
    /only kind udp-cbr has packets/,
    'contradiction',
  ],
  [
    'cross_traffic: [{ kind: udp-cbr, rate: 1mbit, packet_size: 1501B }]',
    /from 48B to link\.mtu/,
    'contradiction',
  ],
  [
    'cross_traffic: [{ kind: tcp-bulk, start: 2s, stop: 1s }]',
    /stop: it must be after start/,
    'contradiction',
  ],
  ['migration: { strategy: precopy }', /^s\.yaml:1:24: .*'precopy'; did you mean pre-copy\?/, 'bad-value'],
  [
    'migration: { options: { profil: 1 } }',
    /^s\.yaml:1:25: .*no such option; did you mean profile\?/,
    'unknown-key',
  ],
  [
    'migration: { options: { max_rounds: 0 } }',
    /^s\.yaml:1:37: migration\.options\.max_rounds: 0 does not fit\. Give a whole number/,
    'bad-value',
  ],
  ['a: 1\na: 2', /^s\.yaml:2:1: .*unique/, 'scenario-syntax'],
  ['link: { rate: 1mbit', /^s\.yaml:1:20: /, 'scenario-syntax'],
  ['# nothing', /^s\.yaml: the scenario is empty/, 'scenario-syntax'],
]

for (const [text, message, code] of mistakes) {
  test(`refused with its place: ${JSON.stringify(text)}`, () => {
    const error = refused(text)
    assert.match(error.message, message)
    assert.equal(error.code, code)
  })
}

test('several mistakes are told at once, in the order of the text', () => {
  const { message } = refused('seed: x\nlink: { rate: 1mb, queue: 0 }\nguets: {}')
  const places = message.split('\n').map((line) => line.split(': ')[0])
  assert.deepEqual(places, ['s.yaml:1:7', 's.yaml:2:15', 's.yaml:2:27', 's.yaml:3:1'])
})

test('a mistake in --set names the option, not a line', () => {
  assert.match(
    refused('seed: 1', ['link.rate=1']).message,
    /^--set link\.rate=1: link\.rate: 1 is not a rate/,
  )
  assert.match(refused('seed: 1', ['seed.x=1']).message, /^--set seed\.x=1: there is no map or list/)
  assert.match(refused('seed: 1', ['seed']).message, /^--set seed: write it like/)
  assert.match(
    refused('seed: 1', ['cross_traffic.3.rate=1mbit']).message,
    /^--set cross_traffic\.3\.rate=1mbit: /,
  )
})

test('a stream may be written once and named again', () => {
  const text = 'cross_traffic:\n  - &one { kind: tcp-bulk, flows: 3 }\n  - *one'
  const flows = parsed(text).crossTraffic.map((stream) => stream.flows)
  assert.deepEqual(flows, [3, 3])
})

test('any typo in a key is refused and the key is named', () => {
  const seed = Number(process.env['SEED'] ?? 20251)
  const draw = random(seed)
  const keys = allKeys(scenarioSchema, [])
  for (let i = 0; i < 400; i++) {
    const path = keys[draw.below(keys.length)] ?? []
    const key = path.at(-1) ?? ''
    const at = draw.below(key.length)
    // A capital letter inside a word keeps every other key further away than the one that was meant.
    const wrong = `${key.slice(0, at)}Q${key.slice(at)}`
    const text = [...path.slice(0, -1).entries()].map(([depth, step]) => `${'  '.repeat(depth)}${step}:\n`)
    const yaml = `${text.join('')}${'  '.repeat(path.length - 1)}${wrong}: 1\n`
    const { message } = refused(yaml)
    const place = `s.yaml:${path.length}:${2 * (path.length - 1) + 1}`
    assert.ok(message.startsWith(`${place}: `), `${message}\n(SEED=${seed})\n${yaml}`)
    assert.ok(message.includes(`did you mean ${key}?`), `${message}\n(SEED=${seed})\n${yaml}`)
  }
})

/** The paths of all keys that this version accepts. */
function allKeys(schema: object, prefix: readonly string[]): (readonly string[])[] {
  if (!('properties' in schema) || typeof schema.properties !== 'object' || schema.properties === null)
    return []
  return Object.entries(schema.properties).flatMap(([key, inner]: [string, unknown]) => {
    if (typeof inner !== 'object' || inner === null) return []
    if ('planned' in inner && inner.planned === true) return []
    return [[...prefix, key], ...allKeys(inner, [...prefix, key])]
  })
}

test('free and ballooned memory: parts of memory that must fit into each other', () => {
  const guest = (keys: string): string => `guest: { memory: 64MiB, ${keys} }`
  const { guest: read } = parseScenario(guest('free: 25%, balloon: 4MiB'), 'free.yaml')
  assert.equal(read.freePages, 4096)
  assert.equal(read.balloonedPages, 1024)
  const cycle = parseScenario(guest('free: 25%, workload: { kind: cycle }'), 'free.yaml')
  assert.equal(cycle.guest.workload.workingSetPages, 12_288, 'what is not given is what is used')
  for (const [keys, sentence] of [
    ['free: 100%', /leave a page/],
    ['free: 1MiB, balloon: 2MiB', /must not be more than guest\.free/],
    ['free: 50%, workload: { kind: cycle, working_set: 60% }', /more than guest\.memory less guest\.free/],
    ['inputs: { per_second: 5, size: 64KiB }', /from 1B to 32KiB/],
  ] as const) {
    assert.throws(() => parseScenario(guest(keys), 'free.yaml'), sentence)
  }
})
