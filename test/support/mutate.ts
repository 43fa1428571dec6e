/** Seeded damage to the bytes of a file, of the kinds that files suffer and that attackers choose. */

import type { Random } from '../../src/support/random.js'

const extremes = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** A copy of `bytes` with one to eight wounds. */
export function mutate(bytes: Uint8Array, draw: Random): Uint8Array {
  let wounded: Uint8Array = new Uint8Array(bytes)
  const wounds = 1 + draw.below(8)
  for (let i = 0; i < wounds; i++) wounded = wound(wounded, draw)
  return wounded
}

function wound(bytes: Uint8Array, draw: Random): Uint8Array {
  if (bytes.length < 8) return bytes
  const at = draw.below(bytes.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = draw.below(bytes.length - 4)
  switch (draw.below(9)) {
    case 0:
      bytes[at] = bytes[at]! ^ (1 << draw.below(8))
      return bytes
    case 1:
      bytes[at] = draw.below(256)
      return bytes
    case 2:
      view.setUint32(word, extremes[draw.below(extremes.length)]!, draw.below(2) === 0)
      return bytes
    case 3:
      view.setUint16(word, extremes[draw.below(extremes.length)]! & 0xffff, draw.below(2) === 0)
      return bytes
    case 4:
      view.setUint32(word, view.getUint32(word) + draw.below(9) - 4)
      return bytes
    case 5:
      return bytes.slice(0, at)
    case 6:
      return joined(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + draw.below(64))))
    case 7:
      return joined(bytes.subarray(0, at), bytes.subarray(draw.below(bytes.length)))
    default:
      return joined(
        bytes.subarray(0, at),
        Uint8Array.from({ length: 1 + draw.below(40) }, () => draw.below(256)),
        bytes.subarray(at),
      )
  }
}

/** At most 1 MiB: damage that repeats a part must not make files grow without bound. */
function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts)).slice(0, 1024 * 1024)
}
