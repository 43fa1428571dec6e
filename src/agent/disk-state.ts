/** A guest's disk at the source as lanes carry it: its blocks, and its writes by their place in the log. */

import { type ContentSpec, type PageContent, pageContent } from '../memory/content.js'
import { deltaHeadBytes } from '../wire/frame.js'
import type { GuestDisk } from '../workload/disk.js'
import type { WriteLog } from '../workload/write-log.js'

/** Blocks hold what pages hold, but not the same bytes. */
const diskStream = 0x6469736b

export function diskContent(spec: ContentSpec, blockBytes: number, seed: number): PageContent {
  return pageContent(spec, blockBytes, (seed ^ diskStream) >>> 0)
}

export interface DiskState {
  readonly disk: GuestDisk
  readonly content: PageContent
}

/** Forwarded writes as a lane sends them: by their place in the log, the block and its version in front of the bytes. */
export function deltaContent(content: PageContent, log: WriteLog): PageContent {
  return {
    pageBytes: deltaHeadBytes + content.pageBytes,
    write: (place, version, target, at) => {
      const block = log.blockOf(place)
      new DataView(target.buffer, target.byteOffset + at, deltaHeadBytes).setUint32(0, block)
      new DataView(target.buffer, target.byteOffset + at, deltaHeadBytes).setUint32(4, version)
      content.write(block, version, target, at + deltaHeadBytes)
    },
    matches: () => false,
    isZero: () => false,
  }
}
