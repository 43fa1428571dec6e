/**
 * A random order of the numbers 0..size-1, computed place by place and not kept: a long list takes long to shuffle, swap by
 * swap across more memory than a cache holds, and the list of a 64 GiB guest's pages is 64 MiB.
 */

import { assert } from './assert.js'
import type { Random } from './random.js'

/** A step can be undone, so that no two numbers of so many bits meet; four of them mix every bit into every other. */
interface Step {
  readonly add: number
  /** Odd. */
  readonly multiply: number
}

export class Permutation {
  readonly size: number
  readonly #steps: readonly [Step, Step, Step, Step]
  readonly #mask: number
  readonly #shift: number

  constructor(size: number, numbers: Random) {
    assert(size >= 1 && size <= 2 ** 31, 'a permutation has between 1 and 2^31 numbers')
    const step = (): Step => ({ add: numbers.uint32() | 0, multiply: numbers.uint32() | 1 })
    const bits = 32 - Math.clz32(size - 1)
    this.size = size
    this.#steps = [step(), step(), step(), step()]
    this.#mask = 2 ** bits - 1
    this.#shift = Math.max(1, bits >>> 1)
  }

  /** The numbers at the places from..from+count-1, into out[0..count). */
  fill(from: number, out: Uint32Array, count: number): void {
    assert(from + count <= this.size && count <= out.length, 'a permutation has as many places as numbers')
    const size = this.size
    const mask = this.#mask
    const shift = this.#shift
    const [a, b, c, d] = this.#steps
    for (let i = 0; i < count; i++) {
      let x = from + i
      // Of the numbers of so many bits those from `size` on lead on to the next, and each way ends below.
      do {
        x = Math.imul(x + a.add, a.multiply) & mask
        x ^= x >>> shift
        x = Math.imul(x + b.add, b.multiply) & mask
        x ^= x >>> shift
        x = Math.imul(x + c.add, c.multiply) & mask
        x ^= x >>> shift
        x = Math.imul(x + d.add, d.multiply) & mask
        x ^= x >>> shift
      } while (x >= size)
      out[i] = x
    }
  }

  /** All of them. */
  list(): Uint32Array {
    const all = new Uint32Array(this.size)
    this.fill(0, all, this.size)
    return all
  }
}
