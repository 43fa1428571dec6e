/** Seeds of random tests: fixed unless PAGEWIRE_SEED names one; a failing test says how to replay it. */

import { test } from 'node:test'

/** Runs one test a seed; its name carries the seed and how to replay it. */
export function testSeeds(name: string, count: number, body: (seed: number) => void | Promise<void>): void {
  const given = process.env['PAGEWIRE_SEED']
  const seeds = given === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(given)]
  test(name, async () => {
    for (const seed of seeds) {
      try {
        await body(seed)
      } catch (error) {
        console.error(`failed with seed ${seed}; replay with PAGEWIRE_SEED=${seed}`)
        throw error
      }
    }
  })
}
