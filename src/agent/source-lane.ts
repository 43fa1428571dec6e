/**
 * The source's end of one lane: reads the newest version of each page when its turn comes, frames it and writes it
 * to the lane's socket; keeps count of what the destination has confirmed.
 */

import type { Socket } from 'node:net'
import type { PageContent } from '../memory/content.js'
import { type Encoders, Encoding, type EncodingSpec, type PageEncoder } from '../memory/encoding.js'
import type { PageSet, ReadonlyPageSet } from '../memory/page-set.js'
import type { Versions } from '../memory/page-versions.js'
import { assert } from '../support/assert.js'
import { PagewireError } from '../support/errors.js'
import { FrameType, frame, headerBytes, viewOf, writeHeader } from '../wire/frame.js'
import { protocolError } from '../wire/frame-reader.js'
import { monotonicNs } from './clock.js'
import type { CompressPool, Prepared } from './compress-pool.js'
import { PageGather, pagesPerGather } from './page-gather.js'

/** Page bytes framed into one write. */
const writeBytes = 2 ** 18
/** Pages between two looks at the dirty log (Xen's batch). */
export const pagesPerPeek = 1024

/** Where a lane takes its pages from. */
export interface PageSource {
  /** Writes the next pages into `out`, as many as fit, and returns how many; 0 when there are none. */
  take(out: Uint32Array): number
  /** Waits until there may be more, where more can come; false: never again. */
  more?(): Promise<boolean>
}

export interface Feed {
  readonly order: PageSource
  /** Raw when absent. */
  readonly encoding?: EncodingSpec
  readonly rateLimitBps: number | undefined
  readonly feedUntilNs: number
  readonly giveUpAtNs: number
  /** Pages that are skipped at their turn: looked at before each batch, after the guest was advanced. */
  readonly skipping: readonly (() => ReadonlyPageSet)[]
  readonly sent: { add(page: number): void }
  readonly skipped: PageSet
  /** Versions to send, those of a checkpoint; the newest when absent. */
  readonly versions?: Versions
  /** Brings the guest up to now. Called before pages are read or the dirty log is looked at. */
  readonly advanceGuest: () => void
  readonly stopped: () => boolean
}

export interface Fed {
  readonly payloadBytes: number
  readonly messageBytes: number
  readonly zeroPages: number
  readonly mappedPages: number
}

/** Faults that a test asks for, to prove that they are found. */
export interface LaneHooks {
  /** This record of a guest's input log, 0 the first, is left out of the log. */
  readonly dropLogRecord?: number
  /** One byte of this page is flipped on its way, the first time that it is sent. */
  readonly flipByteOfPage?: number
}

/** How pages become payloads: in this thread, and in others. */
export interface Coding {
  readonly encoders: Encoders
  readonly pool: CompressPool
}

export class SourceLane {
  readonly name: string
  readonly #socket: Socket
  readonly #content: PageContent
  /** The newest version of everything that the lane carries. */
  readonly #newest: Versions
  readonly #coding: Coding
  readonly #broken: (error: Error) => void
  readonly #pagesPerWrite: number
  /** The frames of one write. Of pages that are gathered it holds the heads alone, unless the kernel is full. */
  readonly #frames: Buffer
  readonly #view: DataView
  readonly #gather: PageGather | undefined
  #flipPage: number | undefined
  /** What is sent of each page. */
  #versions: Versions
  readonly #type: number
  #pagesWritten = 0
  #pagesConfirmed = 0
  #flushes = 0
  #awaitedFlush: { readonly flush: number; readonly done: () => void } | undefined
  /** Ends each wait in progress on this lane: at most one write and one flush. */
  readonly #releases = new Set<() => void>()
  #error: Error | undefined
  #gaveUp = false
  /** Bytes of frames written so far: what the capture must show as TCP payload. */
  bytesWritten = 0
  /** Those of them that went past the socket, which does not count them. */
  bytesGathered = 0

  /** `broken` hears of a write that failed; it calls `fail` of every lane. `type`: of the frames that it carries. */
  constructor(
    name: string,
    socket: Socket,
    content: PageContent,
    newest: Versions,
    coding: Coding,
    hooks: LaneHooks,
    broken: (error: Error) => void,
    type: number = FrameType.page,
  ) {
    this.#broken = broken
    this.name = name
    this.#socket = socket
    this.#content = content
    this.#newest = newest
    this.#coding = coding
    this.#versions = newest
    this.#type = type
    this.#flipPage = hooks.flipByteOfPage
    const frameBytes = headerBytes + content.pageBytes
    this.#pagesPerWrite = Math.min(Math.max(1, Math.floor(writeBytes / content.pageBytes)), pagesPerGather)
    this.#frames = Buffer.allocUnsafe(this.#pagesPerWrite * frameBytes)
    this.#view = viewOf(this.#frames)
    const { slices } = content
    if (slices !== undefined) {
      this.#gather = new PageGather(socket, this.#frames, frameBytes, headerBytes + slices.stampBytes, slices)
    }
  }

  /** Pages written to this lane since it opened, for the handover's tally. */
  get pagesWritten(): number {
    return this.#pagesWritten
  }

  get pagesConfirmed(): number {
    return this.#pagesConfirmed
  }

  /**
   * Sends the pages in order, then waits until the destination has confirmed them or it is time to give up. Ends
   * early at `feedUntilNs` or when stopped; what was confirmed is then in `sent` all the same.
   */
  async feed(feed: Feed): Promise<Fed> {
    const confirmedBefore = this.#pagesWritten
    assert(this.#pagesConfirmed === confirmedBefore, 'a lane is idle between two copies')
    this.#versions = feed.versions ?? this.#newest
    const order = new PageList()
    const totals: Totals = { payloadBytes: 0, messageBytes: 0, zeroPages: 0, mappedPages: 0 }
    const startNs = monotonicNs()
    const timer = setTimeout(() => this.giveUp(), millisecondsUntil(feed.giveUpAtNs))
    try {
      await this.#writeAll(feed, order, startNs, totals)
      // A rate limit holds to the end of the copy, or the next one would begin with a burst.
      if (feed.rateLimitBps !== undefined) {
        await this.#pace(feed, startNs, totals.payloadBytes, feed.giveUpAtNs)
      }
      if (order.length > 0) await this.#flush()
    } finally {
      clearTimeout(timer)
    }
    if (this.#error !== undefined) throw this.#error
    const confirmed = this.#pagesConfirmed - confirmedBefore
    order.forEachUpTo(confirmed, (page) => feed.sent.add(page))
    // A copy that was cut off may have pages on their way: what was not confirmed is not goodput.
    if (confirmed < order.length)
      totals.payloadBytes = Math.round((totals.payloadBytes * confirmed) / order.length)
    return totals
  }

  /** Writes a rare frame and waits until the kernel has it, or until the lane gives up. */
  async send(bytes: Buffer): Promise<void> {
    await this.#write(bytes)
    if (this.#error !== undefined) throw this.#error
  }

  /** Writes rare frames and waits until the destination has read them, or until it is time to give up. */
  async deliver(frames: readonly Buffer[], giveUpAtNs: number): Promise<'delivered' | 'gave up'> {
    const timer = setTimeout(() => this.giveUp(), millisecondsUntil(giveUpAtNs))
    try {
      for (const bytes of frames) await this.#write(bytes)
      await this.#flush()
    } finally {
      clearTimeout(timer)
    }
    if (this.#error !== undefined) throw this.#error
    return this.#gaveUp ? 'gave up' : 'delivered'
  }

  /** The destination confirmed pages of this lane: `total` since it opened, modulo 2^32. */
  confirmed(flush: number, total: number): void {
    const confirmed = this.#pagesConfirmed + ((total - this.#pagesConfirmed) >>> 0)
    if (confirmed > this.#pagesWritten) {
      throw protocolError(`${confirmed} pages confirmed on lane ${this.name}, ${this.#pagesWritten} sent`)
    }
    this.#pagesConfirmed = confirmed
    if (flush !== 0 && this.#awaitedFlush?.flush === flush) this.#awaitedFlush.done()
  }

  /** The lane is broken: whoever waits on it is told. */
  fail(error: Error): void {
    this.#error ??= error
    this.#socket.destroy()
    this.giveUp()
  }

  /** Ends every wait of this lane now. What is not confirmed stays so, and only an abort may follow. */
  giveUp(): void {
    this.#gaveUp = true
    for (const release of this.#releases) release()
  }

  #over(feed: Feed): boolean {
    return this.#gaveUp || feed.stopped() || monotonicNs() >= feed.feedUntilNs
  }

  async #writeAll(feed: Feed, order: PageList, startNs: number, totals: Totals): Promise<void> {
    const batch = new Uint32Array(pagesPerPeek)
    while (!this.#over(feed)) {
      const taken = feed.order.take(batch)
      if (taken === 0) {
        if (await feed.order.more?.()) continue
        return
      }
      feed.advanceGuest()
      let count = taken
      for (const unwanted of feed.skipping) count = feed.skipped.takeFrom(batch, count, unwanted())
      const written = await this.#writeBatch(batch.subarray(0, count), feed, startNs, totals)
      order.push(batch.subarray(0, written))
      if (written < count) return
    }
  }

  /** Returns how many pages of the batch were written before it was time to stop. */
  async #writeBatch(batch: Uint32Array, feed: Feed, startNs: number, totals: Totals): Promise<number> {
    const encoder = feed.encoding === undefined ? undefined : this.#coding.encoders.for(feed.encoding)
    for (let from = 0; from < batch.length; from += this.#pagesPerWrite) {
      if (feed.rateLimitBps !== undefined) {
        await this.#pace(feed, startNs, totals.payloadBytes, feed.feedUntilNs)
      }
      if (this.#over(feed)) return from
      feed.advanceGuest()
      const pages = batch.subarray(from, from + this.#pagesPerWrite)
      const prepared = await this.#prepared(pages, feed.encoding)
      await this.#writePages(pages, prepared?.encoder ?? encoder, totals, prepared?.versions)
      await turn()
    }
    return batch.length
  }

  /** Pages that other threads compress; nothing where this one does what there is to do. */
  async #prepared(pages: Uint32Array, encoding: EncodingSpec | undefined): Promise<Prepared | undefined> {
    if (encoding?.kind !== 'compress') return undefined
    const versions = this.#versions
    const now = Uint32Array.from(pages, (page) => versions.of(page))
    return this.#coding.pool.encode(pages, now, encoding.threads)
  }

  /** Writes the pages as they are, or as they were `prepared`. Ends when the kernel has them, or with the lane. */
  #writePages(
    pages: Uint32Array,
    encoder: PageEncoder | undefined,
    totals: Totals,
    prepared?: Uint32Array,
  ): Promise<void> | undefined {
    const bytesBefore = this.bytesWritten
    this.#pagesWritten += pages.length
    const gathered = encoder === undefined && this.#gather !== undefined && !this.#mustFlip(pages)
    const written = gathered
      ? this.#writeGathered(pages, this.#gather, totals)
      : this.#write(this.#frames.subarray(0, this.#frame(pages, encoder, totals, prepared)))
    totals.messageBytes += this.bytesWritten - bytesBefore
    return written
  }

  /** Lets the kernel collect the pages; what it has no room for is copied, and waits in the socket. */
  #writeGathered(pages: Uint32Array, gather: PageGather, totals: Totals): Promise<void> | undefined {
    const frameBytes = headerBytes + this.#content.pageBytes
    const bytes = pages.length * frameBytes
    totals.payloadBytes += pages.length * this.#content.pageBytes
    this.#writeHeads(pages, gather)
    let taken = 0
    try {
      taken = gather.write(pages.length)
    } catch (error) {
      if (!(error instanceof PagewireError)) throw error
      this.#broken(error)
      return undefined
    }
    this.bytesWritten += taken
    this.bytesGathered += taken
    if (taken === bytes) return undefined
    for (let i = Math.floor(taken / frameBytes); i < pages.length; i++) {
      const page = pages[i]!
      this.#content.write(page, this.#versions.of(page), this.#frames, i * frameBytes + headerBytes)
    }
    return this.#write(this.#frames.subarray(taken, bytes))
  }

  #writeHeads(pages: Uint32Array, gather: PageGather): void {
    const slices = this.#content.slices!
    const { pageBytes } = this.#content
    const versions = this.#versions
    for (let i = 0, at = 0; i < pages.length; i++, at += headerBytes + pageBytes) {
      const page = pages[i]!
      const version = versions.of(page)
      writeHeader(this.#view, at, this.#type, Encoding.raw, pageBytes, page, version)
      slices.writeStamp(page, version, this.#frames, at + headerBytes)
      gather.set(i, slices.offsetOf(page, version))
    }
  }

  /** Makes the frames of the pages, and returns how many bytes they are. */
  #frame(
    pages: Uint32Array,
    encoder: PageEncoder | undefined,
    totals: Totals,
    prepared: Uint32Array | undefined,
  ): number {
    const content = this.#content
    const buffer = this.#frames
    const versions = this.#versions
    const pageBytes = content.pageBytes
    let at = 0
    for (let i = 0; i < pages.length; i++) {
      const page = pages[i]!
      const version = prepared?.[i] ?? versions.of(page)
      let length = pageBytes
      if (encoder === undefined) content.write(page, version, buffer, at + headerBytes)
      else length = encoder.encode(page, version, buffer, at + headerBytes)
      const code = encoder === undefined ? Encoding.raw : encoder.code
      writeHeader(this.#view, at, this.#type, code, length, page, version)
      if (page === this.#flipPage && code === Encoding.raw) this.#flip(buffer, at + headerBytes)
      if (code === Encoding.zero) totals.zeroPages++
      if (code === Encoding.mapped) totals.mappedPages++
      totals.payloadBytes += length
      at += headerBytes + length
    }
    return at
  }

  #mustFlip(pages: Uint32Array): boolean {
    return this.#flipPage !== undefined && pages.includes(this.#flipPage)
  }

  #flip(buffer: Buffer, at: number): void {
    const victim = at + Math.floor(this.#content.pageBytes / 2)
    buffer[victim] = buffer[victim]! ^ 0x01
    this.#flipPage = undefined
  }

  async #pace(feed: Feed, startNs: number, payloadBytes: number, latestNs: number): Promise<void> {
    const dueNs = startNs + (payloadBytes * 8e9) / feed.rateLimitBps!
    const until = Math.min(dueNs, latestNs)
    // Not `#over`: what left shortly before the end of feeding is paid for in time as well.
    while (monotonicNs() < until && !this.#gaveUp && !feed.stopped()) {
      await sleep(Math.min((until - monotonicNs()) / 1e6, 50))
    }
  }

  async #flush(): Promise<void> {
    const flush = ++this.#flushes
    const confirmed = this.#wait((done) => {
      this.#awaitedFlush = { flush, done }
    })
    await Promise.all([this.#write(frame(FrameType.flush, flush)), confirmed])
    this.#awaitedFlush = undefined
  }

  /** Ends when the kernel has the bytes, when the lane gives up, or when it breaks: `#error` then says why. */
  #write(bytes: Buffer): Promise<void> {
    this.bytesWritten += bytes.length
    return this.#wait((done) => {
      this.#socket.write(bytes, (error) => {
        if (error) this.#broken(error)
        done()
      })
    })
  }

  /** A wait that `giveUp` ends too. */
  #wait(begin: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#releases.delete(done)
        resolve()
      }
      this.#releases.add(done)
      if (this.#gaveUp) done()
      else begin(done)
    })
  }
}

interface Totals {
  payloadBytes: number
  messageBytes: number
  zeroPages: number
  mappedPages: number
}

/** Pages in the order in which they were written, in chunks that grow as needed. */
class PageList {
  readonly #chunks: Uint32Array[] = []
  length = 0

  push(pages: Uint32Array): void {
    if (pages.length === 0) return
    this.#chunks.push(pages.slice())
    this.length += pages.length
  }

  /** Visits the first `count` pages. */
  forEachUpTo(count: number, visit: (page: number) => void): void {
    let left = count
    for (const chunk of this.#chunks) {
      const here = Math.min(left, chunk.length)
      for (let i = 0; i < here; i++) visit(chunk[i]!)
      left -= here
      if (left === 0) return
    }
  }
}

/** Lets the event loop see confirmations, timers and control messages between two writes. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * Milliseconds for a timer, which takes at most 2^31 - 1 of them, cuts off fractions and may be early by one: a lane that
 * gave up before the time would be asked for another copy.
 */
function millisecondsUntil(ns: number): number {
  return Math.max(0, Math.min(Math.ceil((ns - monotonicNs()) / 1e6) + 1, 2 ** 31 - 1))
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
