/** What a thread of the compression pool does: makes the bytes of pages from their recipe and encodes them. */

import { type ContentSpec, pageContent } from '../memory/content.js'
import { Encoders, type PageEncoder } from '../memory/encoding.js'

export interface CompressTask {
  readonly content: ContentSpec
  readonly pageBytes: number
  readonly seed: number
  readonly pages: Uint32Array
  readonly versions: Uint32Array
}

/** The payloads of the pages, one after the other, with the length and the encoding of each. */
export interface Compressed {
  readonly bytes: Uint8Array
  readonly lengths: Uint32Array
  readonly codes: Uint8Array
}

let made: { readonly of: string; readonly encoder: PageEncoder } | undefined

export function compressPages({ content, pageBytes, seed, pages, versions }: CompressTask): Compressed {
  const encoder = encoderOf(content, pageBytes, seed)
  const bytes = new Uint8Array(pages.length * pageBytes)
  const lengths = new Uint32Array(pages.length)
  const codes = new Uint8Array(pages.length)
  let at = 0
  for (let i = 0; i < pages.length; i++) {
    const length = encoder.encode(pages[i]!, versions[i]!, bytes, at)
    lengths[i] = length
    codes[i] = encoder.code
    at += length
  }
  return { bytes: bytes.slice(0, at), lengths, codes }
}

/** A source has one guest, whose recipe takes a moment to make. */
function encoderOf(content: ContentSpec, pageBytes: number, seed: number): PageEncoder {
  const of = JSON.stringify([content, pageBytes, seed])
  if (made?.of !== of) {
    const encoders = new Encoders(pageContent(content, pageBytes, seed), 0)
    made = { of, encoder: encoders.for({ kind: 'compress', threads: 1, speedBps: 1 }) }
  }
  return made.encoder
}
