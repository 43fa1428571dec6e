import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BlockStore, type Image, placeReplicas, type Site, scheduled } from '../../src/model/sites.js'
import { random } from '../../src/support/random.js'

const needs = { maxLatencyNs: 50e6, maxReplicas: 2 }

function site(name: string, compute: number | ((atNs: number) => number), more: Partial<Site> = {}): Site {
  const computeCost = typeof compute === 'number' ? () => compute : compute
  return { name, storageCost: 1, computeCost, latencyNs: 20e6, ...more }
}

/** Blocks from `from` on, none like another. */
function image(blocks: number, from = 0): number[] {
  return Array.from({ length: blocks }, (_, block) => from + block)
}

test('after a synchronisation without a write the next one sends nothing; without any, the whole image', () => {
  const store = new BlockStore()
  const disk: Image = image(100)
  assert.equal(store.missing(disk), 100)
  assert.equal(store.synchronise('guest', disk), 100)
  assert.equal(store.synchronise('guest', disk), 0)
  const written = disk.map((hash, block) => (block % 10 === 0 ? hash + 1000 : hash))
  assert.equal(store.synchronise('guest', written), 10)
  assert.equal(store.blocks, 100, 'what no image holds any more is not stored')
})

test('three sites store at most the sum of the images, and that only where they share nothing', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const numbers = random(seed, 1)
    const shares = numbers.below(60)
    const images = [0, 1, 2].map((guest) =>
      Array.from({ length: 100 }, (_, block) => (block < shares ? block : 1000 * (guest + 1) + block)),
    )
    for (const store of [new BlockStore(), new BlockStore(), new BlockStore()]) {
      let sent = 0
      for (const [guest, one] of images.entries()) sent += store.synchronise(`guest ${guest}`, one)
      assert.equal(store.blocks, 300 - 2 * shares)
      assert.equal(store.blocks === 300, shares === 0)
      assert.equal(sent, store.blocks, 'each content crosses the network once')
    }
  }
})

test('replicas go where computing is cheap, users are near, and blocks are there already', () => {
  const home = site('home', 1000)
  const far = site('far', 0, { latencyNs: 90e6 })
  const cheap = site('cheap', 300)
  const stocked = site('stocked', 350)
  const dear = site('dear', 990)
  const disk = image(200)
  const stores = new Map([home, far, cheap, stocked, dear].map((one) => [one, new BlockStore()]))
  const names = (): string[] => placeReplicas(stores, home, disk, needs, [0]).map(({ name }) => name)
  assert.deepEqual(names(), ['cheap'], 'a second replica would save less than it costs')
  stores.get(stocked)!.synchronise('a similar guest', image(180))
  assert.deepEqual(names(), ['stocked'], 'de-duplication makes it the better place')
})

test('the guest follows the price of three sites over a day, and moves only when it is worth it', () => {
  const hour = 3600e9
  const cheapAt = (from: number) => (atNs: number) =>
    Math.floor(atNs / hour) % 24 >= from && Math.floor(atNs / hour) % 24 < from + 8 ? 100 : 500
  const sites = [site('asia', cheapAt(0)), site('europe', cheapAt(8)), site('america', cheapAt(16))]
  const disk = image(100)
  const holders = new Map(sites.map((one) => [one, new BlockStore()]))
  for (const store of holders.values()) store.synchronise('guest', disk)
  const follow = (costOfMove: number): string[] => {
    let at = sites[0]!
    return Array.from({ length: 24 }, (_, hours) => {
      at = scheduled(at, holders, disk, needs, (blocks) => costOfMove + blocks, hours * hour)
      return at.name
    })
  }
  assert.deepEqual([...new Set(follow(50))], ['asia', 'europe', 'america'])
  assert.deepEqual([...new Set(follow(401))], ['asia'], 'a move that costs more than it saves is not made')
  // A stale replica makes the move dearer: its unsynchronised blocks are in the way.
  assert.equal(
    scheduled(sites[0]!, holders, image(500, 5000), needs, (blocks) => blocks, 9 * hour).name,
    'asia',
  )
})
