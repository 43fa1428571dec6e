/** The order in which a lane's pages go: a set in ascending order, from its first page or from a given one round; a list as it is. */

import type { ReadonlyPageSet } from '../memory/page-set.js'
import type { Lane } from './strategy.js'

/** Pages that lanes which share them take at a time: a packet of 512 KiB of usual pages. */
export const sharedBatchPages = 128

/** Hands out the pages of a lane once each. */
export class PageOrder {
  readonly #pages: ReadonlyPageSet | Uint32Array
  readonly #from: number
  #cursor: number
  #wrapped = false

  constructor(lane: Lane) {
    this.#pages = lane.pages
    this.#from = lane.pages instanceof Uint32Array ? 0 : (lane.from ?? 0)
    this.#cursor = this.#from
  }

  /** Writes the next pages into `out`, as many as fit, and returns how many; 0 when all were handed out. */
  take(out: Uint32Array): number {
    const pages = this.#pages
    if (pages instanceof Uint32Array) {
      const part = pages.subarray(this.#cursor, this.#cursor + out.length)
      out.set(part)
      this.#cursor += part.length
      return part.length
    }
    const count = this.#beforeStart(out, pages.fill(this.#cursor, out))
    if (count > 0) {
      this.#cursor = out[count - 1]! + 1
      return count
    }
    if (this.#wrapped || this.#from === 0) return 0
    this.#wrapped = true
    this.#cursor = 0
    return this.take(out)
  }

  /** After the wrap the second pass ends where the first began. */
  #beforeStart(out: Uint32Array, filled: number): number {
    let count = filled
    if (this.#wrapped) while (count > 0 && out[count - 1]! >= this.#from) count--
    return count
  }
}
