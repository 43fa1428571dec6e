/** What one migration sent, page by page, as its streams showed it: rounds, classes of pages, what was sent again. */

/** How a page travelled: `raw`, `zero`, or the name of an encoding. */
export type PageKind = string

export type MigrationPhase = 'pre-copy' | 'stop' | 'post-copy'

interface Round {
  phase: MigrationPhase
  readonly firstNs: number
  lastNs: number
  pages: number
  zeroPages: number
  repeatedPages: number
  bytes: number
}

/** A dot of the picture. */
export interface PageDots {
  readonly count: number
  readonly timesNs: Float64Array
  readonly pages: Float64Array
  readonly rounds: Uint16Array
}

export interface RoundDocument {
  readonly round: number
  readonly phase: MigrationPhase
  /** Since the first page seen. */
  readonly start_ms: number
  readonly duration_ms: number
  readonly pages: number
  readonly zero_pages: number
  /** Pages that an earlier round, or this one, had sent already. */
  readonly repeated_pages: number
  /** Of the stream, headers included. */
  readonly bytes: number
  /** Pages of this round over the time of the round before it: what the guest wrote meanwhile. Null for the first. */
  readonly dirty_pages_per_s: number | null
}

export interface PagesDocument {
  readonly sent: number
  readonly unique: number
  readonly zero: number
  readonly repeated: number
  /** Bytes of the stream spent on pages that had been sent before, and their share. */
  readonly resent_bytes: number
  readonly resent_ratio: number
  readonly by_class: Readonly<Record<PageKind, { readonly pages: number; readonly bytes: number }>>
}

/** Sweeps of a page order that jumps about are no rounds: beyond this many, they are added to the last. */
const maxRounds = 10_000
/** Pages told apart: bits in blocks of 2^16, at most 64 MiB of them, which is 2 TiB of guest in 4 KiB pages. */
const blockPages = 1 << 16
const maxBlocks = 8192
const maxDots = 4_000_000

export class PageTrack {
  readonly rounds: Round[] = []
  phase: MigrationPhase = 'pre-copy'
  private readonly seen = new Map<number, Uint32Array>()
  private readonly kinds = new Map<PageKind, { pages: number; bytes: number }>()
  private unique = 0
  private repeated = 0
  private repeatedBytes = 0
  private closed = false
  private dots: { timesNs: Float64Array; pages: Float64Array; rounds: Uint16Array; count: number } | undefined

  /** With `dots`, every page is kept for the picture. */
  constructor(dots: boolean) {
    if (dots) {
      this.dots = {
        timesNs: new Float64Array(1024),
        pages: new Float64Array(1024),
        rounds: new Uint16Array(1024),
        count: 0,
      }
    }
  }

  get pagesSent(): number {
    return this.unique + this.repeated
  }

  /** A page was sent; `bytes` is what it took in the stream. */
  page(kind: PageKind, page: number, bytes: number, timeNs: number): void {
    const round = this.roundFor(timeNs)
    round.pages++
    round.bytes += bytes
    round.lastNs = Math.max(round.lastNs, timeNs)
    if (kind === 'zero') round.zeroPages++
    const known = this.kinds.get(kind)
    if (known) {
      known.pages++
      known.bytes += bytes
    } else {
      this.kinds.set(kind, { pages: 1, bytes })
    }
    if (this.first(page)) this.unique++
    else {
      this.repeated++
      this.repeatedBytes += bytes
      round.repeatedPages++
    }
    this.dot(timeNs, page)
  }

  /** The next page begins another round. */
  endRound(): void {
    this.closed = true
  }

  /** The last round of pages was sent while the guest stood still. */
  markLastAsStop(): void {
    const last = this.rounds.at(-1)
    if (last) last.phase = 'stop'
  }

  get firstNs(): number | undefined {
    return this.rounds[0]?.firstNs
  }

  pagesDocument(): PagesDocument {
    const bytes = [...this.kinds.values()].reduce((sum, one) => sum + one.bytes, 0)
    return {
      sent: this.pagesSent,
      unique: this.unique,
      zero: this.kinds.get('zero')?.pages ?? 0,
      repeated: this.repeated,
      resent_bytes: this.repeatedBytes,
      resent_ratio: bytes === 0 ? 0 : this.repeatedBytes / bytes,
      by_class: Object.fromEntries(this.kinds),
    }
  }

  roundDocuments(): RoundDocument[] {
    const startNs = this.firstNs ?? 0
    return this.rounds.map((round, i) => {
      const before = this.rounds[i - 1]
      const beforeNs = before ? before.lastNs - before.firstNs : 0
      const estimates = round.phase !== 'post-copy' && beforeNs > 0
      return {
        round: i + 1,
        phase: round.phase,
        start_ms: (round.firstNs - startNs) / 1e6,
        duration_ms: (round.lastNs - round.firstNs) / 1e6,
        pages: round.pages,
        zero_pages: round.zeroPages,
        repeated_pages: round.repeatedPages,
        bytes: round.bytes,
        dirty_pages_per_s: estimates ? (round.pages * 1e9) / beforeNs : null,
      }
    })
  }

  pageDots(): PageDots | undefined {
    return this.dots
  }

  private roundFor(timeNs: number): Round {
    const last = this.rounds.at(-1)
    const full = this.rounds.length >= maxRounds
    if (last && !full && !this.closed && last.phase === this.phase) return last
    if (last && full) return last
    this.closed = false
    const round = {
      phase: this.phase,
      firstNs: timeNs,
      lastNs: timeNs,
      pages: 0,
      zeroPages: 0,
      repeatedPages: 0,
      bytes: 0,
    }
    this.rounds.push(round)
    return round
  }

  /** Notes the page; true if it was not sent before (or if there are too many to tell). */
  private first(page: number): boolean {
    const number = Math.floor(page / blockPages)
    let block = this.seen.get(number)
    if (!block) {
      if (this.seen.size >= maxBlocks) return true
      block = new Uint32Array(blockPages / 32)
      this.seen.set(number, block)
    }
    const at = page - number * blockPages
    const bit = 1 << (at & 31)
    if ((block[at >> 5]! & bit) !== 0) return false
    block[at >> 5] = block[at >> 5]! | bit
    return true
  }

  private dot(timeNs: number, page: number): void {
    const { dots } = this
    if (!dots || dots.count >= maxDots) return
    if (dots.count === dots.pages.length) {
      dots.timesNs = doubled(dots.timesNs, new Float64Array(2 * dots.count))
      dots.pages = doubled(dots.pages, new Float64Array(2 * dots.count))
      dots.rounds = doubled(dots.rounds, new Uint16Array(2 * dots.count))
    }
    dots.timesNs[dots.count] = timeNs
    dots.pages[dots.count] = page
    dots.rounds[dots.count] = this.rounds.length
    dots.count++
  }
}

function doubled<T extends Float64Array | Uint16Array>(old: T, larger: T): T {
  larger.set(old)
  return larger
}
