/**
 * A model that does what worlds do at their worst: copies that end early or move nothing for a while, bursts of
 * writes between two intents, and somebody who asks to stop.
 */

import type { PageSet } from '../../src/memory/page-set.js'
import type { CopyRequest, CopyResult } from '../../src/migration/testbed.js'
import { type ModelSpec, ModelTestbed } from '../../src/model/testbed.js'
import { type Random, random } from '../../src/support/random.js'
import { pageNs } from '../support/model.js'

export interface Hazards {
  /** Of a copy: ends early, moves nothing; of any intent: is followed by a burst. 0..1 each. */
  readonly cutShort: number
  readonly nothing: number
  readonly burst: number
  /** Intents after which somebody asks to stop; never when absent. */
  readonly cancelAfter?: number
}

export class HostileTestbed extends ModelTestbed {
  readonly #hazards: Hazards
  readonly #numbers: Random
  #intents = 0

  constructor(spec: ModelSpec, hazards: Hazards, seed: number) {
    super(spec)
    this.#hazards = hazards
    this.#numbers = random(seed, 0x686f7374)
  }

  override async copy(request: CopyRequest): Promise<CopyResult> {
    this.#disturb()
    if (this.#happens(this.#hazards.nothing)) {
      await super.wait(Math.min((1 + this.#numbers.below(200)) * pageNs, request.feedUntilNs - this.nowNs()))
      return { payloadBytes: 0, messageBytes: 0, zeroPages: 0 }
    }
    const cutNs = this.#happens(this.#hazards.cutShort)
      ? (1 + this.#numbers.below(300)) * pageNs
      : Number.POSITIVE_INFINITY
    return super.copy({ ...request, feedUntilNs: Math.min(request.feedUntilNs, this.nowNs() + cutNs) })
  }

  override async syncDirty(into: PageSet): Promise<number> {
    this.#disturb()
    return super.syncDirty(into)
  }

  override async suspend(into: PageSet): Promise<number> {
    this.#disturb()
    return super.suspend(into)
  }

  #disturb(): void {
    this.#intents++
    if (this.#intents === this.#hazards.cancelAfter) this.cancelled = true
    if (!this.guest.running || !this.#happens(this.#hazards.burst)) return
    const from = this.#numbers.below(this.totalPages)
    const count = this.#numbers.below(this.totalPages / 4)
    // A guest that is executed again writes what its inputs make it write, and nothing by itself.
    if (this.guest.logsInputs) this.guest.deliver(Uint8Array.of(from & 255, count & 255))
    else for (let i = 0; i < count; i++) this.guest.memory.write((from + i) % this.totalPages)
  }

  #happens(share: number): boolean {
    return this.#numbers.unit() < share
  }
}
