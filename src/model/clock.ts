/** Virtual time: whole nanoseconds that pass only when somebody says so. Fractions are carried, never lost. */

import { assert } from '../support/assert.js'

export class VirtualClock {
  #wholeNs = 0
  #fractionNs = 0

  get nowNs(): number {
    return this.#wholeNs
  }

  /** Lets a duration pass; fractions of a nanosecond add up. */
  pass(durationNs: number): void {
    assert(durationNs >= 0 && Number.isFinite(durationNs), 'time passes forwards')
    const total = this.#fractionNs + durationNs
    const whole = Math.floor(total)
    this.#wholeNs += whole
    this.#fractionNs = total - whole
  }

  /** Lets time pass up to a moment, which may already be over. */
  passTo(momentNs: number): void {
    if (momentNs > this.#wholeNs) {
      this.#wholeNs = Math.ceil(momentNs)
      this.#fractionNs = 0
    }
  }
}
