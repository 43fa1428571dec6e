/** Durations that segments of a batch have completed, each with its segment: written and read by compiled loops, too. */

import { batchFrames } from '../capture/segment-batch.js'
import { type Code, f64, i32, type Local, type WasmArena } from '../support/wasm.js'

const indicesAt = 8
const durationsAt = indicesAt + 4 * batchFrames

export class AnswerList {
  readonly place: number
  private readonly counted: Int32Array
  private readonly indices: Int32Array
  private readonly durations: Float64Array

  constructor(arena: WasmArena) {
    this.place = arena.allocate(durationsAt + 8 * batchFrames)
    this.counted = new Int32Array(arena.buffer, this.place, 1)
    this.indices = new Int32Array(arena.buffer, this.place + indicesAt, batchFrames)
    this.durations = new Float64Array(arena.buffer, this.place + durationsAt, batchFrames)
  }

  get count(): number {
    return this.counted[0]!
  }

  clear(): void {
    this.counted[0] = 0
  }

  push(index: number, ns: number): void {
    const at = this.count
    this.indices[at] = index
    this.durations[at] = ns
    this.counted[0] = at + 1
  }

  /** Which segment of the batch completed the `k`th one. */
  index(k: number): number {
    return this.indices[k]!
  }

  ns(k: number): number {
    return this.durations[k]!
  }

  /** `push` as code; `at` is free for its use. */
  pushCode(index: Local, ns: Local, at: Local): readonly Code[] {
    const n = i32.constant
    return [
      at.set(i32.load(n(this.place))),
      i32.store(i32.shiftLeft(at.get, n(2)), this.place + indicesAt, index.get),
      f64.store(i32.shiftLeft(at.get, n(3)), this.place + durationsAt, ns.get),
      i32.store(n(this.place), 0, i32.add(at.get, n(1))),
    ]
  }

  /** `index` and `ns` as code. */
  indexCode(k: Local): Code {
    return i32.load(i32.shiftLeft(k.get, i32.constant(2)), this.place + indicesAt)
  }
  nsCode(k: Local): Code {
    return f64.load(i32.shiftLeft(k.get, i32.constant(3)), this.place + durationsAt)
  }
}
