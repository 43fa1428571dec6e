/** Seeded randomness: xoshiro128** (Blackman & Vigna, 2018), seeded through splitmix32. Same seed, same numbers, everywhere. */

export interface Random {
  /** A uniform integer in 0..2^32-1. */
  uint32(): number
  /** A uniform number in [0, 1) with 32 bits of resolution. */
  unit(): number
  /** A uniform integer in 0..bound-1; bound is 1..2^32. */
  below(bound: number): number
}

/** One 32-bit mixing step (the finaliser of MurmurHash3): every input bit changes about half of the output bits. */
export function mix32(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

const perUint32 = 2 ** -32

/** A generator for one purpose; give each purpose its own `stream` so that they do not disturb each other. */
export function random(seed: number, stream = 0): Random {
  let mixed = mix32(seed) ^ mix32(stream + 0x9e3779b9)
  const next = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0
    return mix32(mixed)
  }
  // Not four variables: those of a closure are kept as numbers of any kind, which takes three times as long.
  const state = Int32Array.of(next(), next(), next(), next() | 1)

  function uint32(): number {
    const b = state[1]!
    const product = Math.imul(b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    const c = state[2]! ^ state[0]!
    const d = state[3]! ^ b
    state[0] = state[0]! ^ d
    state[1] = b ^ c
    state[2] = c ^ (b << 9)
    state[3] = (d << 11) | (d >>> 21)
    return result
  }

  return {
    uint32,
    unit: () => uint32() * perUint32,
    // Multiply-shift instead of modulo: the bias is below bound / 2^32.
    below: (bound) => (uint32() * bound * perUint32) >>> 0,
  }
}
