/**
 * The guest's disk as the destination holds it: which version of each block has arrived, that its bytes were right,
 * and the forwarded writes that wait until every block has come once.
 */

import { createHash } from 'node:crypto'
import type { PageContent } from '../memory/content.js'
import { PageSet } from '../memory/page-set.js'
import { failure } from '../support/errors.js'
import { deltaHeadBytes, hashBytes, hashEntryBytes } from '../wire/frame.js'
import { protocolError } from '../wire/frame-reader.js'
import { type DiskSpec, replicaBlocks } from '../workload/disk.js'
import { WriteLog } from '../workload/write-log.js'
import { type AuditOutcome, VersionAudit } from './version-audit.js'

/** More writes than any migration forwards; each takes eight bytes here. */
const deltasAtMost = 2 ** 26

export class DiskImage {
  readonly #spec: DiskSpec
  readonly #content: PageContent
  readonly #seed: number
  readonly #versions: Uint32Array
  readonly #present: PageSet
  readonly #deltas = new WriteLog()
  #applied = 0
  /** Hashes of the blocks that were here before, when the source asks for them. */
  #known: Map<string, number> | undefined
  readonly #scratch: Buffer
  readonly #audit: VersionAudit

  constructor(spec: DiskSpec, content: PageContent, seed: number) {
    this.#spec = spec
    this.#content = content
    this.#seed = seed
    this.#versions = new Uint32Array(spec.totalBlocks)
    this.#present = new PageSet(spec.totalBlocks)
    this.#scratch = Buffer.alloc(spec.blockBytes)
    this.#audit = new VersionAudit('blocks', content, this.#versions, this.#present)
  }

  /** A block of the copy. Throws when a byte is not what this version must hold. */
  block(block: number, version: number, payload: Buffer): void {
    this.#check(block, version, payload, 0)
    if (this.#present.has(block) && version < this.#versions[block]!) {
      throw failure(`block ${block} arrived in version ${version} after version ${this.#versions[block]}`, {
        code: 'stale-block',
      })
    }
    this.#hold(block, version)
    this.#apply()
  }

  /** A forwarded write: u32 block, u32 version, the block. They come in order, without a gap. */
  delta(sequence: number, payload: Buffer): void {
    if (sequence !== this.#deltas.length || sequence >= deltasAtMost) {
      throw protocolError(`write ${sequence} was forwarded, expected ${this.#deltas.length}`)
    }
    if (payload.length < deltaHeadBytes) throw protocolError('a forwarded write without a block')
    const block = payload.readUInt32BE(0)
    const version = payload.readUInt32BE(4)
    this.#check(block, version, payload, deltaHeadBytes)
    this.#deltas.add(block, version)
    this.#apply()
  }

  /** True when no forwarded write waits for a block that never came. */
  get settled(): boolean {
    return this.#applied === this.#deltas.length
  }

  /** Which of these blocks, listed by version and hash from `first` on, are not here: a bitmap. */
  unknown(first: number, list: Buffer): Buffer {
    const blocks = list.length / hashEntryBytes
    if (!Number.isInteger(blocks) || first % 8 !== 0 || first + blocks > this.#spec.totalBlocks) {
      throw protocolError(`hashes of ${blocks} blocks from block ${first} are out of range`)
    }
    const known = this.#knownHashes()
    const unknown = Buffer.alloc(Math.ceil(blocks / 8))
    for (let i = 0; i < blocks; i++) {
      const at = i * hashEntryBytes
      const hash = list.toString('latin1', at + 4, at + hashEntryBytes)
      if (known.has(hash)) this.#hold(first + i, list.readUInt32BE(at))
      else unknown[i >>> 3]! |= 1 << (i & 7)
    }
    return unknown
  }

  /** Compares versions and hashes of the source at suspend with what is here. Blocks must be listed in order. */
  audit(first: number, list: Buffer): void {
    this.#audit.compare(first, list)
  }

  auditOutcome(): AuditOutcome {
    return this.#audit.outcome()
  }

  #check(block: number, version: number, payload: Buffer, at: number): void {
    const { totalBlocks, blockBytes } = this.#spec
    if (block >= totalBlocks)
      throw protocolError(`block ${block} does not exist; the disk has ${totalBlocks}`)
    if (payload.length !== at + blockBytes || !this.#content.matches(block, version, payload, at)) {
      throw failure(`block ${block} (version ${version}) arrived with wrong bytes`, {
        code: 'block-corrupt',
        next: 'Something between the agents changes payloads; the migration was stopped, the guest runs on at the source.',
      })
    }
  }

  #hold(block: number, version: number): void {
    this.#present.add(block)
    this.#versions[block] = version
  }

  #apply(): void {
    if (this.#present.count < this.#spec.totalBlocks) return
    for (; this.#applied < this.#deltas.length; this.#applied++) {
      this.#hold(this.#deltas.blockOf(this.#applied), this.#deltas.of(this.#applied))
    }
  }

  /** What an earlier synchronisation has left here, by hash. */
  #knownHashes(): Map<string, number> {
    if (this.#known !== undefined) return this.#known
    const known = new Map<string, number>()
    const replica: PageSet = replicaBlocks(this.#spec, this.#seed)
    for (let block = replica.next(0); block !== -1; block = replica.next(block + 1)) {
      known.set(blockHash(this.#content, block, 0, this.#scratch).toString('latin1'), block)
    }
    this.#known = known
    return known
  }
}

/** The first 16 bytes of the SHA-256 of one version of a block, made in `scratch`. */
export function blockHash(content: PageContent, block: number, version: number, scratch: Buffer): Buffer {
  content.write(block, version, scratch, 0)
  return createHash('sha256').update(scratch).digest().subarray(0, hashBytes)
}
