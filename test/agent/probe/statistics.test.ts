/** Round-trip time, jitter and the side on which a probe was lost, from made-up answers. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClassSamples, percentilesMs } from '../../../src/agent/probe/statistics.js'
import { defaultTable, trafficClass } from '../../../src/marking/traffic-class.js'

const clock = 7
const ef = trafficClass(defaultTable, 'EF')

/** An answer to probe `sequence`, sent at `sequence` s, `thereMs` on its way, held for 1 ms. */
function reply(
  sequence: number,
  thereMs: number,
  more: { clock?: number; count?: number; seen?: number } = {},
) {
  const sentNs = sequence * 1e9
  const receivedNs = sentNs + thereMs * 1e6
  return {
    session: 1,
    stream: 0,
    dscp: ef.dscp,
    pcp: ef.pcp,
    sequence,
    sentNs,
    receivedNs,
    repliedNs: receivedNs + 1e6,
    receivedCount: more.count ?? sequence + 1,
    clock: more.clock ?? clock,
    dscpSeen: more.seen ?? ef.dscp,
  }
}

function samplesOf(replies: readonly ReturnType<typeof reply>[], sent: number, backMs = 2): ClassSamples {
  const samples = new ClassSamples(ef, clock)
  samples.sent = sent
  for (const one of replies) samples.add(one, one.repliedNs + backMs * 1e6, ef.dscp)
  return samples
}

test('the time that the reflector held a probe is not round-trip time', () => {
  const result = samplesOf([reply(0, 3), reply(1, 5), reply(2, 4)], 3).result()
  assert.deepEqual(result.rtt_ms, { min: 5, mean: 6, p50: 6, p90: 7, p99: 7, max: 7 })
  assert.deepEqual([result.jitter_ms?.min, result.jitter_ms?.max], [1, 2])
  assert.equal(result.one_way_ms?.there.p50, 4)
  assert.equal(result.one_way_ms?.back.p50, 2)
  assert.equal(result.loss_ratio, 0)
})

test('losses are told apart by the side they happened on', () => {
  // Of ten probes the far end saw eight; of its answers six came back, one of them twice.
  const came = [0, 1, 3, 4, 6].map((sequence) => reply(sequence, 1, { count: sequence + 1 }))
  const last = reply(9, 1, { count: 8 })
  const result = samplesOf([...came, last], 10).result()
  assert.equal(result.received, 6)
  assert.equal(result.loss_ratio, 0.4)
  assert.equal(result.lost_there, 2)
  assert.equal(result.lost_back, 2)
  assert.equal(samplesOf([...came, last, last], 10).result().duplicates, 1)
})

test('jitter is taken between neighbours only', () => {
  const result = samplesOf([reply(0, 1), reply(2, 9), reply(3, 10)], 4).result()
  assert.deepEqual([result.jitter_ms?.min, result.jitter_ms?.max], [1, 1])
})

test('without a common clock there is no one-way delay, and without answers nothing', () => {
  assert.equal(samplesOf([reply(0, 1, { clock: 8 })], 1).result().one_way_ms, null)
  const silent = samplesOf([], 5).result()
  assert.deepEqual(
    [silent.rtt_ms, silent.jitter_ms, silent.lost_there, silent.loss_ratio],
    [null, null, null, 1],
  )
})

test('a changed DSCP is seen on either way', () => {
  const samples = new ClassSamples(ef, clock)
  samples.sent = 2
  samples.add(reply(0, 1, { seen: 0 }), 5e9, ef.dscp)
  samples.add(reply(1, 1), 5e9, 10)
  assert.deepEqual([samples.result().remarked_there, samples.result().remarked_back], [1, 1])
})

test('percentiles are nearest ranks', () => {
  const samples = Array.from({ length: 100 }, (_, i) => (100 - i) * 1e6)
  assert.deepEqual(percentilesMs(samples), { min: 1, mean: 50.5, p50: 50, p90: 90, p99: 99, max: 100 })
  assert.equal(percentilesMs([]), null)
})
