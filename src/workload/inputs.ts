/**
 * What reaches a guest from outside, such as packets and timer interrupts: the only part of its behaviour that is not a
 * function of its seed. A guest that gets the same inputs at the same points of its execution does the same again.
 */

import { mix32, type Random, random } from '../support/random.js'

export interface InputSpec {
  /** Of guest time, on average; gaps are exponential. */
  readonly perSecond: number
  /** Of each input; 1 or more. */
  readonly bytes: number
}

/** One input, and after how many of its own accesses the guest took it. */
export interface InputEvent {
  readonly accesses: number
  readonly payload: Uint8Array
}

export class InputStream {
  readonly #spec: InputSpec
  readonly #numbers: Random
  /** Guest time of the next input; Infinity when none ever comes. */
  nextNs: number

  constructor(spec: InputSpec, seed: number) {
    this.#spec = spec
    this.#numbers = random(seed, 0x696e7075)
    this.nextNs = this.#gapNs()
  }

  /** The input that is due. */
  take(): Uint8Array {
    const payload = new Uint8Array(this.#spec.bytes)
    for (let i = 0; i < payload.length; i++) payload[i] = this.#numbers.below(256)
    this.nextNs += this.#gapNs()
    return payload
  }

  #gapNs(): number {
    const { perSecond } = this.#spec
    return perSecond === 0
      ? Number.POSITIVE_INFINITY
      : (-Math.log(1 - this.#numbers.unit()) * 1e9) / perSecond
  }
}

/** Where a guest puts an input: a number that depends on every byte of it. */
export function inputHash(payload: Uint8Array): number {
  let hash = payload.length
  for (const byte of payload) hash = Math.imul(hash ^ byte, 0x01000193)
  return mix32(hash)
}
