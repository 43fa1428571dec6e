/**
 * What no schema can say: keys of a scenario that contradict each other, limits that depend on other keys, and the
 * options of the strategy, which only the strategy knows.
 */

import { closest } from 'fastest-levenshtein'
import { strategies } from '../strategies/index.js'
import { PagewireError } from '../support/errors.js'
import { formatBytes } from '../support/units.js'
import type { Scenario } from './scenario.js'
import type { Problem } from './scenario-problems.js'
import type { CrossTrafficDocument, ScenarioDocument } from './scenario-schema.js'
import type { KeyPath } from './scenario-text.js'

const guestBytesMax = 64 * 2 ** 30
const deviceStateBytesMax = 2 ** 30
/** A record of a log fits a frame with room to spare. */
const inputBytesMax = 32 * 2 ** 10
const pageBytesMin = 4 * 2 ** 10
const pageBytesMax = 2 * 2 ** 20
/** IPv4 20, UDP 8, and the 20 bytes that number and stamp each datagram (agent/traffic/udp-cbr.ts). */
const packetBytesMin = 48

/** Every contradiction, empty when there is none. */
export function contradictions(document: ScenarioDocument, scenario: Scenario): readonly Problem[] {
  return [
    ...linkProblems(scenario),
    ...guestProblems(scenario),
    ...diskProblems(scenario),
    ...workloadProblems(document, scenario),
    ...migrationProblems(scenario),
    ...strategyProblems(scenario),
    ...clientProblems(document),
    ...document.cross_traffic.flatMap((_, i) => [...streamProblems(document, scenario, i)]),
  ]
}

function* linkProblems({ link, path }: Scenario): Iterable<Problem> {
  if (link.rateBps === 0) yield problem('link.rate', 'it must be more than 0')
  if (link.weights !== undefined && link.discipline !== 'ets') {
    yield problem('link.weights', `only discipline ets has weights; this one is ${link.discipline}`)
  }
  if (link.guarantees !== undefined) {
    if (link.discipline !== 'strict' || link.perFlow) {
      yield problem('link.guarantees', 'only discipline strict has guarantees, and not with per_flow')
    }
    const promised = Object.values(link.guarantees).reduce((sum, bps) => sum + bps, 0)
    if (promised > link.rateBps) yield problem('link.guarantees', 'together they are more than link.rate')
  }
  if (link.perFlow && link.discipline === 'ets') {
    yield problem('link.per_flow', 'only discipline strict or fifo has turns by flow')
  }
  const { delayNs = 0, jitterNs = 0, reorderRatio = 0 } = link.impairment ?? {}
  if (jitterNs > delayNs) yield problem('link.jitter', 'it must not be more than delay')
  if (reorderRatio > 0 && delayNs === 0) {
    yield problem('link.reorder', 'frames can only overtake delayed ones: give delay too')
  }
  if (path?.policeBps === undefined) return
  if (path.policeBps === 0) yield problem('path.police', 'it must be more than 0')
  if (link.discipline === 'fifo') {
    yield problem('path.police', 'a class needs a queue of its own to be limited: discipline strict or ets')
  }
}

function* clientProblems({ client }: ScenarioDocument): Iterable<Problem> {
  if (client.network === 'other' && client.port === 'own') {
    yield problem('client.port', 'a guest in another network is reached through the congested port')
  }
  if (client.network === 'other' && client.rate === 0) {
    yield problem('client.network', 'nobody asks the guest: give client.rate too')
  }
}

function* guestProblems({ guest }: Scenario): Iterable<Problem> {
  const { pageBytes, memoryBytes } = guest
  if (pageBytes < pageBytesMin || pageBytes > pageBytesMax || !Number.isInteger(Math.log2(pageBytes))) {
    yield problem('guest.page_size', 'it must be a power of two from 4KiB to 2MiB')
  } else if (memoryBytes === 0 || memoryBytes % pageBytes !== 0) {
    yield problem(
      'guest.memory',
      `it must be a multiple of page_size (${formatBytes(pageBytes)}), and at least one page`,
    )
  }
  if (guest.freePages >= guest.totalPages) {
    yield problem('guest.free', 'it must leave a page that the guest uses')
  }
  if (guest.balloonedPages > guest.freePages) {
    yield problem('guest.balloon', 'only free memory is returned: it must not be more than guest.free')
  }
  const { bytes: inputBytes = 1 } = guest.inputs ?? {}
  if (inputBytes < 1 || inputBytes > inputBytesMax) {
    yield problem('guest.inputs.size', 'it must be from 1B to 32KiB')
  }
  if (memoryBytes > guestBytesMax) yield problem('guest.memory', 'it must be at most 64GiB')
  if (guest.deviceStateBytes > deviceStateBytesMax)
    yield problem('guest.device_state', 'it must be at most 1GiB')
}

function* diskProblems({ guest: { disk } }: Scenario): Iterable<Problem> {
  const { blockBytes, totalBlocks } = disk
  if (blockBytes < 512 || blockBytes > 2 ** 15 || !Number.isInteger(Math.log2(blockBytes))) {
    yield problem('guest.disk.block_size', 'it must be a power of two from 512B to 32KiB')
  } else if (totalBlocks === 0 || !Number.isInteger(totalBlocks)) {
    yield problem(
      'guest.disk.size',
      `it must be a multiple of block_size (${formatBytes(blockBytes)}), and at least one block`,
    )
  }
  if (totalBlocks * blockBytes > guestBytesMax) yield problem('guest.disk.size', 'it must be at most 64GiB')
}

function* workloadProblems(
  { guest: { workload, content } }: ScenarioDocument,
  { guest }: Scenario,
): Iterable<Problem> {
  const { kind } = workload
  if (workload.dirty_rate !== undefined && workload.dirty_ratio !== undefined) {
    yield problem('guest.workload.dirty_rate', 'give dirty_rate or dirty_ratio, not both')
  }
  for (const key of ['dirty_rate', 'dirty_ratio'] as const) {
    if (workload[key] === undefined) continue
    if (kind === 'idle')
      yield problem(`guest.workload.${key}`, 'an idle guest writes nothing: leave this out')
    if (kind === 'trace')
      yield problem(`guest.workload.${key}`, 'a trace has a rate of its own: leave this out')
  }
  if ((content.kind === 'mix') !== (content.shares !== undefined)) {
    yield problem('guest.content', 'kind mix and shares belong together')
  }
  if (guest.workload.periodNs === 0) yield problem('guest.workload.period', 'it must be more than 0')
  if (guest.workload.workingSetPages > guest.totalPages - guest.freePages) {
    const free = guest.freePages === 0 ? '' : ' less guest.free'
    yield problem(
      'guest.workload.working_set',
      `it is more than guest.memory${free} (${formatBytes((guest.totalPages - guest.freePages) * guest.pageBytes)})`,
    )
  }
  const belongs = [
    ['working_set', ['cycle', 'iid', 'hot', 'nested', 'phase', 'scan']],
    ['hot_share', ['hot', 'phase']],
    ['growth', ['cycle', 'iid', 'hot', 'nested', 'phase', 'scan']],
    ['period', ['phase']],
    ['file', ['trace']],
  ] as const
  for (const [key, kinds] of belongs) {
    const fits = kinds.some((one) => one === kind)
    if (workload[key] !== undefined && !fits) {
      yield problem(
        `guest.workload.${key}`,
        `only kind ${kinds.join(' or ')} has it; this workload is ${kind}`,
      )
    }
  }
}

function* migrationProblems({ migration }: Scenario): Iterable<Problem> {
  if (migration.maxTotalNs === 0) yield problem('migration.max_total_time', 'it must be more than 0')
  if (migration.laneBufferBytes === 0) yield problem('migration.lane_buffer', 'it must be more than 0')
}

function* strategyProblems({ migration: { strategy, options } }: Scenario): Iterable<Problem> {
  const names = strategies.map((factory) => factory.info.name)
  const factory = strategies.find((candidate) => candidate.info.name === strategy)
  if (!factory) {
    const message = `unknown strategy '${strategy}'; did you mean ${closest(strategy, names)}? (known: ${names.join(', ')})`
    yield { ...problem('migration.strategy', message), code: 'bad-value' }
    return
  }
  const known = factory.info.options.map((option) => option.name)
  for (const [name, value] of Object.entries(options)) {
    const path = ['migration', 'options', name]
    if (!known.includes(name)) {
      const meant =
        known.length > 0 ? `; did you mean ${closest(name, known)}? (known: ${known.join(', ')})` : ''
      yield { path, at: 'key', code: 'unknown-key', message: `${strategy} has no such option${meant}` }
      continue
    }
    // One option at a time, so that the place of a bad value is known.
    try {
      factory.create({ [name]: value })
    } catch (error) {
      if (!(error instanceof PagewireError)) throw error
      yield {
        path,
        code: 'bad-value',
        message: `${JSON.stringify(value)} does not fit. ${error.next ?? ''}`.trim(),
      }
    }
  }
}

function* streamProblems(document: ScenarioDocument, scenario: Scenario, index: number): Iterable<Problem> {
  const written = document.cross_traffic[index]
  const stream = scenario.crossTraffic[index]
  if (!written || !stream) return
  const here = (key: string, message: string): Problem => problem(['cross_traffic', index, key], message)
  if (written.kind === 'udp-cbr' && !written.rate) yield here('kind', 'udp-cbr needs a rate')
  else if ('rateBps' in stream && stream.rateBps === 0) yield here('rate', 'it must be more than 0')
  if (written.packet_size && written.kind !== 'udp-cbr')
    yield here('packet_size', 'only kind udp-cbr has packets of one size')
  if (
    stream.kind === 'udp-cbr' &&
    (stream.packetBytes < packetBytesMin || stream.packetBytes > scenario.link.mtuBytes)
  ) {
    yield here('packet_size', `it must be from ${packetBytesMin}B to link.mtu (${scenario.link.mtuBytes}B)`)
  }
  yield* captureProblems(written, here)
  if (stream.stopNs !== undefined && stream.stopNs <= stream.startNs)
    yield here('stop', 'it must be after start')
}

function* captureProblems(
  written: CrossTrafficDocument,
  here: (key: string, message: string) => Problem,
): Iterable<Problem> {
  if (written.kind === 'pcap') {
    if (written.file === undefined) yield here('kind', 'pcap needs a file')
    if (written.speed !== undefined && written.rate !== undefined)
      yield here('speed', 'give speed or rate, not both')
    if (written.flows !== 1)
      yield here('flows', 'a capture is replayed as it is: give another stream instead')
    return
  }
  for (const key of ['file', 'speed', 'loop'] as const)
    if (written[key] !== undefined) yield here(key, `only kind pcap has it; this stream is ${written.kind}`)
}

function problem(path: string | KeyPath, message: string): Problem {
  return { path: typeof path === 'string' ? path.split('.') : path, message, code: 'contradiction' }
}
