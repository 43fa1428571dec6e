import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Competitor, framedLink, idlePageRate, shareBps } from '../../src/model/link.js'
import { near } from '../support/model.js'

const rateBps = 200e6
const always = { startNs: 0, stopNs: Number.POSITIVE_INFINITY }
const udp = (pcp: number, offeredBps: number): Competitor => ({ pcp, offeredBps, elasticFlows: 0, ...always })
const tcp = (pcp: number, flows: number): Competitor => ({ pcp, elasticFlows: flows, ...always })

function share(
  discipline: 'strict' | 'ets' | 'fifo',
  pcp: number,
  competitors: readonly Competitor[],
): number {
  return shareBps(framedLink(rateBps, 1500, { discipline, competitors }), pcp, 1, 1e9) / 1e6
}

test('an idle port gives all of itself', () => {
  assert.equal(share('strict', 0, []), 200)
})

test('strict priority: lower classes cost nothing, higher ones come first', () => {
  assert.equal(share('strict', 7, [udp(0, 300e6), tcp(5, 4)]), 200)
  assert.equal(share('strict', 0, [udp(7, 120e6)]), 80)
  assert.equal(share('strict', 0, [tcp(7, 1)]), 0)
  // 802.1Q serves background (1) after best effort (0).
  assert.equal(share('strict', 0, [udp(1, 500e6)]), 200)
  assert.equal(share('strict', 1, [udp(0, 150e6)]), 50)
})

test('strict priority with guarantees: what the port keeps for a class it has, used or not', () => {
  const guarantees = { 0: 50e6, 5: 30e6 }
  const kept = (pcp: number, competitors: readonly Competitor[]): number =>
    shareBps(framedLink(rateBps, 1500, { competitors, guarantees }), pcp, 1, 1e9) / 1e6
  assert.equal(kept(7, [udp(0, 120e6)]), 150)
  assert.equal(kept(7, [udp(0, 20e6), udp(5, 100e6)]), 150, 'what is not used goes to the others')
  assert.equal(kept(0, [udp(7, 300e6)]), 50)
  assert.equal(kept(0, [udp(7, 100e6)]), 100)
  assert.equal(kept(2, [udp(7, 160e6), udp(0, 90e6)]), 0, 'nothing was promised to it')
})

test('within a class, connections share what datagrams leave', () => {
  assert.equal(share('strict', 0, [udp(0, 120e6), tcp(0, 3)]), 20)
  near(share('strict', 0, [udp(0, 300e6)]), 2, 1e-9, 'starved by a flood')
})

test('without classes the mark changes nothing', () => {
  const others = [udp(0, 100e6), tcp(5, 1)]
  assert.equal(share('fifo', 7, others), 50)
  assert.equal(share('fifo', 0, others), 50)
})

test('weighted classes: an idle share goes to the others', () => {
  assert.equal(share('ets', 7, [tcp(0, 5)]), 100)
  assert.equal(share('ets', 7, [udp(0, 20e6)]), 180)
  assert.equal(share('ets', 7, [{ ...tcp(0, 1), weight: 3 }]), 50)
})

test('a limited connection leaves the rest', () => {
  assert.equal(share('fifo', 0, [{ ...tcp(0, 1), offeredBps: 10e6 }]), 190)
})

test('competitors count only while they are active', () => {
  const brief: Competitor = { ...udp(7, 100e6), startNs: 10, stopNs: 20 }
  const at = (nowNs: number): number =>
    shareBps(framedLink(rateBps, 1500, { competitors: [brief] }), 0, 1, nowNs) / 1e6
  assert.deepEqual([at(9), at(10), at(19), at(20)], [200, 100, 100, 200])
})

test('pages per second follow from real frames: 1448 of 1518 bytes, 16 bytes in front of each page', () => {
  near(idlePageRate(framedLink(rateBps, 1500), 4096), ((200e6 / 8) * (1448 / 1518)) / 4112, 1e-6, 'page rate')
})
