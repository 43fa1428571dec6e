/** The pacer keeps the rate on average and never bursts, however late it is called. In virtual time. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catchUpNs, Pacer } from '../../../src/agent/traffic/pacer.js'
import { random } from '../../../src/support/random.js'

const frameBytes = 1518
const durationNs = 2e9
const windowNs = 10e6

interface Burst {
  readonly atNs: number
  readonly frames: number
}

/** Calls the pacer every `tickNs()` for two seconds; the kernel takes `take(due)` frames. */
function drive(pacer: Pacer, tickNs: () => number, take = (due: number): number => due): Burst[] {
  const bursts: Burst[] = []
  for (let nowNs = 0; nowNs < durationNs; nowNs += tickNs()) {
    const frames = take(pacer.due(nowNs))
    pacer.sent(frames)
    bursts.push({ atNs: nowNs, frames })
  }
  return bursts
}

function total(bursts: readonly Burst[]): number {
  return bursts.reduce((sum, burst) => sum + burst.frames, 0)
}

/** The most that any window of 10 ms saw. */
function busiestWindow(bursts: readonly Burst[]): number {
  let most = 0
  for (const [i, last] of bursts.entries()) {
    let frames = 0
    for (let j = i; j >= 0 && bursts[j]!.atNs > last.atNs - windowNs; j--) frames += bursts[j]!.frames
    most = Math.max(most, frames)
  }
  return most
}

function framesIn(rateBps: number, timeNs: number): number {
  return (rateBps * timeNs) / 1e9 / (frameBytes * 8)
}

for (const rateBps of [100e3, 1e6, 120e6, 300e6]) {
  test(`at ${rateBps / 1e6} Mbit/s timers of 1 to 4 ms cost nothing and never burst`, () => {
    const seed = 7
    const dice = random(seed)
    const pacer = new Pacer(rateBps, frameBytes)
    const bursts = drive(pacer, () => 1e6 + dice.below(2.9e6))
    const wanted = framesIn(rateBps, durationNs)
    assert(
      Math.abs(total(bursts) - wanted) <= 1 + wanted * 0.003,
      `seed ${seed}: ${total(bursts)} of ${wanted}`,
    )
    assert(busiestWindow(bursts) <= 1 + framesIn(rateBps, windowNs + catchUpNs), `seed ${seed}`)
    assert.equal(pacer.skipped, 0)
  })
}

test('after a stall what was held back is given up and counted', () => {
  const seed = 11
  const dice = random(seed)
  const pacer = new Pacer(300e6, frameBytes)
  const bursts = drive(pacer, () => (dice.below(50) === 0 ? 60e6 : 1e6))
  const wanted = framesIn(300e6, durationNs)
  assert(busiestWindow(bursts) <= 1 + framesIn(300e6, windowNs + catchUpNs), `seed ${seed}`)
  assert(pacer.skipped > wanted * 0.1, `seed ${seed}: ${pacer.skipped} given up`)
  assert(Math.abs(total(bursts) + pacer.skipped - wanted) <= wanted * 0.04, `seed ${seed}`)
})

test('frames that the kernel had no room for are tried again, within the same bound', () => {
  const seed = 13
  const dice = random(seed)
  const pacer = new Pacer(120e6, frameBytes)
  const bursts = drive(
    pacer,
    () => 1e6,
    (due) => (dice.below(4) === 0 ? 0 : due),
  )
  assert(total(bursts) > framesIn(120e6, durationNs) * 0.98, `seed ${seed}`)
  assert(busiestWindow(bursts) <= 1 + framesIn(120e6, windowNs + catchUpNs), `seed ${seed}`)
})
